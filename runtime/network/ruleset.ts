/**
 * Egress rules as nf_tables has them, in a table of the container's in its network namespace:
 *
 *   chain names   nat, output      name servers' port is redirected to the proxy
 *   chain output  filter, output   loopback, answers; the rules in their order; the rest is logged and refused, or goes
 *   set NvN       for each rule with a name: its addresses, by the proxy, each for as long as the name server says
 */
import { parseIp } from "../../linux/netlink/ip.ts";
import { hostOrder, accept, destinationIn, destinationIs, icmpv6In, isAnswer, logTo, metaIs, newAddressSet, newOutputChain, newRule, newTable, portIn, redirectTo, reject, type Expression } from "../../linux/netlink/nftables.ts";
import type { Command } from "../../linux/netlink/netfilter-socket.ts";
import { assertNever } from "../../linux/errors.ts";
import type { EgressRule, EgressRules, Ports } from "./egress-rules.ts";

const [TCP, UDP] = [6, 17];
/** From listener queries to listener reports, with neighbour discovery between: the kernel sends them, no guest can. Source: RFC 4861, RFC 3810. */
const NEIGHBOURS = [130, 143] as const;
const DNS_PORT = 53;
/** Of nflog: nobody else's, in a network namespace that is a container's. */
export const LOG_GROUP = 7390;
const LOGS_PER_SECOND = 10;
/** The loopback device is the first of every network namespace. Source: Linux drivers/net/loopback.c. */
const LOOPBACK = 1;
const LOOPBACK_ADDRESSES = [["127.0.0.0", 8], ["::1", 128]] as const;
const [PRIORITY_NAT, PRIORITY_FILTER] = [-100, 0];

export const tableOf = (id: string): string => `tssandbox-${id}`;

/** The set with a rule's addresses. @param rule its place. */
export const setName = (rule: number, version: "ipv4" | "ipv6"): string => `${rule}${version.slice(2)}`;

/** @param proxyPort where the name servers' proxy listens. */
export function rulesetOf(table: string, { rules, otherwise }: EgressRules, proxyPort: number): Command[] {
  const sets = rules.flatMap(({ target }, i) => (target.kind === "name" ? VERSIONS.map((key) => newAddressSet(table, setName(i, key), { key }, setId(i, key))) : []));
  const rule = (expressions: readonly Expression[]) => newRule(table, "output", expressions);
  const denied = [...logTo(LOG_GROUP, LOGS_PER_SECOND)];
  return [
    newTable(table),
    ...sets,
    newOutputChain(table, { name: "names", type: "nat", priority: PRIORITY_NAT, policy: "accept" }),
    newRule(table, "names", [...portIn(UDP, DNS_PORT, DNS_PORT), ...redirectTo(proxyPort)]),
    newOutputChain(table, { name: "output", type: "filter", priority: PRIORITY_FILTER, policy: "drop" }),
    rule([...metaIs("oif", hostOrder(LOOPBACK)), accept()]),
    // A redirected packet's device is still the one that it would have left by.
    ...LOOPBACK_ADDRESSES.map(([address, prefix]) => rule([...destinationIs(parseIp(address), prefix), accept()])),
    rule([...isAnswer(), accept()]),
    ...rules.flatMap((one, i) => matches(one, i).map((match) => one.action === "allow" ? rule([...match, accept()]) : [...refusals(rule, match, denied)]).flat()),
    // Without these there are no neighbours to talk to.
    rule([...icmpv6In(NEIGHBOURS[0], NEIGHBOURS[1]), accept()]),
    ...(otherwise === "allow" ? [rule([accept()])] : refusals(rule, [], denied)),
  ];
}

function refusals(rule: (expressions: readonly Expression[]) => Command, match: readonly Expression[], log: readonly Expression[]): Command[] {
  return [rule([...match, ...log]), rule([...match, ...reject()])];
}

const VERSIONS = ["ipv4", "ipv6"] as const;
const setId = (rule: number, version: (typeof VERSIONS)[number]) => 1 + 2 * rule + VERSIONS.indexOf(version);

/** Each of them by itself. A name that is denied is not looked up (proxy.ts): there is no address to match. */
function matches({ action, target }: EgressRule, index: number): Expression[][] {
  const ports = portMatches(target.ports);
  const with_ = (expressions: Expression[]) => ports.map((port) => [...expressions, ...port]);
  switch (target.kind) {
    case "network":
      return with_(destinationIs(target.address, target.prefix));
    case "all":
      return with_([]);
    case "name":
      return action === "deny" ? [] : VERSIONS.flatMap((key) => with_(destinationIn(setName(index, key), { key }, setId(index, key))));
    default:
      return assertNever(target);
  }
}

const portMatches = (ports: Ports | undefined): Expression[][] => (ports === undefined ? [[]] : [TCP, UDP].map((protocol) => portIn(protocol ?? 0, ports.first, ports.last)));
