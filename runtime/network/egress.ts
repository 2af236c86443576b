/**
 * Rules for what a container may reach on the network (docs/decisions/0044-egress.md). The kernel enforces them, in the container's network namespace; that
 * one is never owned by the container's user namespace, so that nobody inside has CAP_NET_ADMIN over it. They stand before the container's first process does.
 */
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import process from "node:process";
import { capabilityMask } from "../../linux/abi/capability.ts";
import { EADDRNOTAVAIL, EAFNOSUPPORT, ENOENT, ENETUNREACH } from "../../linux/abi/errno.ts";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { becomeUser, effectiveUid, setCapabilities, type UserIds } from "../../linux/credentials.ts";
import { check, inStep, isErrno, messageOf } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { open, statAt } from "../../linux/file.ts";
import { fork, tryClone } from "../../linux/fork.unsafe.ts";
import { dropInherited, nodeResources } from "../../linux/inherited.unsafe.ts";
import { CLONE_NEW, unshare } from "../../linux/namespace.ts";
import { setLinkUp } from "../../linux/netlink/link.ts";
import { openNetfilter } from "../../linux/netlink/netfilter-socket.ts";
import { deleteTable, newTable } from "../../linux/netlink/nftables.ts";
import { openRoute } from "../../linux/netlink/route-socket.ts";
import { setDumpable, setKeepCapabilities, setNoNewPrivileges } from "../../linux/prctl.ts";
import { newSession, waitPid } from "../../linux/process.ts";
import { setSeccompFilter } from "../../linux/seccomp.ts";
import { socketPair } from "../../linux/socket.ts";
import { bindUdp, connectUdp, localPort } from "../../linux/udp.ts";
import { compileAllowList } from "../../policies/syscalls/filter.ts";
import { emptyRoot } from "../../sentry/jail.ts";
import { bornIn } from "../container/handover.ts";
import { inUserNamespace } from "../container/id-maps.ts";
import { fromWire, receive, rendezvous, reporting, send } from "../init/protocol.ts";
import type { Logger } from "../log.ts";
import { complaining } from "../sandbox/complaining.ts";
import { SandboxLog } from "../sandbox/log.ts";
import type { LinuxNamespace, Spec } from "../spec/config.ts";
import { ConfigError } from "../spec/report.ts";
import { ownProcess } from "../sandbox/record.ts";
import { EGRESS, parseEgress, type EgressRules } from "./egress-rules.ts";
import { within, writeEgressRecord } from "./end.ts";
import { PACKET_BYTES } from "./packet.ts";
import { proxyCalls } from "./policy.ts";
import { Proxy } from "./proxy.ts";
import { LOG_GROUP, rulesetOf, tableOf } from "./ruleset.ts";

export interface EgressPlan extends Disposable {
  readonly rules: EgressRules;
  readonly table: string;
  /** The network namespace. */
  readonly namespace: Fd;
  readonly nameServers: readonly string[];
  /** Of a network namespace that is there before the container and after it. */
  readonly path: string | undefined;
}

/**
 * @param hasSandbox whether the container's mode can keep the rules.
 * @returns undefined where the container asks for none; `spec` joins the network namespace that has them.
 * @throws ConfigError; SysError
 */
export function planEgress(spec: Spec, id: string, hasSandbox: boolean): { readonly plan: EgressPlan; readonly spec: Spec } | undefined {
  const text = spec.annotations?.[EGRESS];
  if (text === undefined) return undefined;
  if (!hasSandbox) refuse("needs sentry mode");
  if (effectiveUid() !== 0 || inUserNamespace()) refuse("takes the host's root so far");
  const namespaces = spec.linux?.namespaces ?? [];
  const network = namespaces.find(({ type }) => type === "network");
  if (network === undefined) refuse("the container has the host's network: its rules would be the host's; give it a network namespace");
  const rules = parse(text);
  const namespace = network.path ? openOther(network.path) : createNetwork();
  const joined: LinuxNamespace = { type: "network", path: `/proc/${process.pid}/fd/${namespace.number}` };
  return {
    plan: { rules, table: tableOf(id), namespace, nameServers: nameServersOf(spec), path: network.path, [Symbol.dispose]: () => namespace.close() },
    spec: { ...spec, linux: { ...spec.linux, namespaces: namespaces.map((one) => (one === network ? joined : one)) } },
  };
}

function refuse(why: string): never {
  throw new ConfigError("config.json", `annotations["${EGRESS}"]`, why);
}

function parse(text: string): EgressRules {
  try {
    return parseEgress(text);
  } catch (error) {
    return refuse(messageOf(error));
  }
}

function openOther(path: string): Fd {
  const namespace = open(path, fcntl.O_RDONLY);
  using own = open("/proc/self/ns/net", fcntl.O_RDONLY);
  if (statAt(namespace).ino !== statAt(own).ino) return namespace;
  namespace.close();
  return refuse("the container joins the network namespace of whoever starts it: its rules would be the host's");
}

/** With a loopback device that is up, as a container's has it. */
export function createNetwork(): Fd {
  const [ours, theirs] = socketPair();
  using socket = ours;
  const pid = fork(() => {
    ours.close();
    return reporting(theirs, () => {
      unshare(CLONE_NEW.net, "net");
      using route = openRoute();
      setLinkUp(route, "lo");
      rendezvous(theirs, { kind: "ready" });
    });
  });
  theirs.close();
  try {
    const message = receive(socket);
    if (message?.kind === "failed") throw fromWire(message.error);
    if (message === undefined) throw new Error("the process that makes a network namespace ended during set-up");
    return open(`/proc/${pid}/ns/net`, fcntl.O_RDONLY);
  } finally {
    socket.close();
    waitPid(pid);
  }
}

const MOST_SERVERS = 3;

/** Those of the resolv.conf that the container gets, or the host's. Source: resolv.conf(5). */
function nameServersOf({ mounts = [] }: Spec): string[] {
  const path = mounts.find(({ destination }) => destination === "/etc/resolv.conf")?.source ?? "/etc/resolv.conf";
  let text = "";
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (!isErrno(error, ENOENT)) throw error;
  }
  return [...text.matchAll(/^nameserver\s+(\S+)/gm)].flatMap(([, server = ""]) => (isIP(server) === 0 ? [] : [server])).slice(0, MOST_SERVERS);
}

export interface EgressRequest {
  /** The container's state directory. */
  readonly directory: string;
  /** The sandbox's. */
  readonly pidNamespace: Fd;
  readonly hostProc: Fd;
  readonly ids: UserIds;
  readonly log: Logger;
}

/** Makes the rules, and starts the proxy. @throws SysError */
export function startEgress({ rules, table, namespace, nameServers, path }: EgressPlan, request: EgressRequest): void {
  // Before there is anything to be removed.
  writeEgressRecord(request.directory, { path });
  const { listeners, netfilter, denied } = within(namespace, () => {
    const bound = bindListeners();
    const sockets = { listeners: bound, netfilter: openNetfilter(), denied: openNetfilter() };
    // What is left of a container of that name, and is no table of somebody else's.
    sockets.netfilter.commit([newTable(table), deleteTable(table), ...rulesetOf(table, rules, portOf(bound))], "rules");
    sockets.denied.listenTo(LOG_GROUP, PACKET_BYTES);
    return sockets;
  });
  // In our own network namespace: the way to the name servers is none that the container has.
  const upstreams = nameServers.flatMap((server) => connectTo(server));
  using _ours = { [Symbol.dispose]: () => [...listeners, ...upstreams, netfilter.fd, denied.fd].forEach((fd) => fd.close()) };
  const log = SandboxLog.open(request.directory, request.log);
  using _log = { [Symbol.dispose]: () => log.close() };
  const proxy = new Proxy({ rules, table, listeners, upstreams, netfilter, denied, warn: (message) => log.warn(message) });
  const pid = startProxy(proxy, [...listeners, ...upstreams, netfilter.fd, denied.fd], log, request);
  writeEgressRecord(request.directory, { path, proxy: ownProcess(pid) });
}

function portOf([first]: readonly Fd[]): number {
  if (first === undefined) throw new Error("no loopback address to listen at");
  return localPort(first);
}

/** The same port of both loopback addresses; a network namespace may be without IPv6. */
function bindListeners(): Fd[] {
  const first = bindUdp("127.0.0.1", 0);
  try {
    return [first, bindUdp("::1", localPort(first))];
  } catch (error) {
    if (!isErrno(error, EADDRNOTAVAIL, EAFNOSUPPORT)) throw error;
    return [first];
  }
}

function connectTo(server: string): Fd[] {
  try {
    return [connectUdp(server, 53)];
  } catch (error) {
    if (!isErrno(error, ENETUNREACH, EAFNOSUPPORT, EADDRNOTAVAIL)) throw error;
    return [];
  }
}

function startProxy(proxy: Proxy, keep: readonly Fd[], log: SandboxLog, { pidNamespace, hostProc, ids }: EgressRequest): number {
  const [ours, theirs] = socketPair();
  using socket = ours;
  const inherited = nodeResources();
  const filter = compileAllowList(proxyCalls, "EPERM");
  const namespaces = CLONE_NEW.mnt | CLONE_NEW.net | CLONE_NEW.ipc | CLONE_NEW.uts;
  const body = () => {
    ours.close();
    return reporting(theirs, () => {
      newSession();
      log.takeStreams();
      inStep("empty root", emptyRoot);
      dropInherited([theirs, ...keep, ...log.descriptors], inherited);
      inStep("identity", () => confine(ids));
      rendezvous(theirs, { kind: "ready" });
      theirs.close();
      complaining("egress proxy", log, () => {
        setSeccompFilter(filter, 0);
        proxy.run();
      });
    });
  };
  const pid = bornIn(pidNamespace, hostProc, (sibling) => check(tryClone({ namespaces, sibling, cgroup: undefined }, body), "clone3"));
  theirs.close();
  const message = receive(socket);
  if (message?.kind === "failed") throw fromWire(message.error);
  if (message === undefined) throw new Error("the egress proxy ended during set-up");
  send(socket, { kind: "go" });
  return pid;
}

/** CAP_NET_ADMIN is what adding an address takes; the only sockets that it reaches are those of the container's network namespace. */
function confine(ids: UserIds): void {
  setKeepCapabilities(true);
  becomeUser(ids);
  const mask = capabilityMask(["CAP_NET_ADMIN"]);
  setCapabilities({ effective: mask, permitted: mask, inheritable: 0n });
  setKeepCapabilities(false);
  setDumpable(false);
  setNoNewPrivileges();
}
