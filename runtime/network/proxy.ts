/**
 * The proxy between a container and its name servers, in a process of its own. It passes on what the rules allow to be looked up; the addresses
 * that are answered go into the rules' sets before the answer goes to the container. It also tells of what the kernel has refused.
 *
 *   container -- query --> listener    refused, or with an id of our own to all name servers
 *   name server -- answer -> upstream  the first one counts: addresses into the sets, the answer back with its own id
 *   kernel -- packet -----> denied     a line in the log
 */
import { POLLIN } from "../../linux/abi/poll.ts";
import { messageOf } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import type { NetfilterSocket } from "../../linux/netlink/netfilter-socket.ts";
import { renewElement } from "../../linux/netlink/nftables.ts";
import { poll } from "../../linux/poll.ts";
import { randomBytes } from "../../linux/random.ts";
import { now } from "../../linux/sleep.ts";
import { receiveUdp, sendUdp, type Peer } from "../../linux/udp.ts";
import { addressesIn, parseQuery, parseQuestion, refusalOf, withId, type Address, type Question } from "./dns-message.ts";
import { covers, type EgressRules } from "./egress-rules.ts";
import { describeDestination } from "./packet.ts";
import { setName } from "./ruleset.ts";

export interface ProxyRequest {
  readonly rules: EgressRules;
  readonly table: string;
  readonly listeners: readonly Fd[];
  readonly upstreams: readonly Fd[];
  readonly netfilter: NetfilterSocket;
  /** Listens to what the rules log. */
  readonly denied: NetfilterSocket;
  readonly warn: (message: string) => void;
}

/** Queries that wait for an answer; the oldest is given up for a new one. A client asks again. */
const MOST_PENDING = 512;
const PENDING_MS = 10_000;
/** Seconds for which an address is good at least, whatever its name server says, and how much longer than that: who has just looked it up still has to connect. */
const [LEAST_TTL, MOST_TTL, GRACE] = [30, 86_400, 10];
/** Lines in the log, all in all: the container decides how often it tries. */
const MOST_LINES = 1000;

interface Pending {
  readonly listener: Fd;
  readonly client: Peer;
  readonly question: Question;
  readonly since: number;
}

/** What a name may be: refused, or looked up, for the rules whose sets get its addresses. */
export type Verdict = { readonly kind: "refused" } | { readonly kind: "allowed"; readonly rules: readonly number[] };

export function verdictOn(name: string, { rules, otherwise }: EgressRules): Verdict {
  const named = rules.flatMap(({ action, target }, index) => (target.kind === "name" && covers(target.name, name) ? [{ action, index }] : []));
  if (named.some(({ action }) => action === "deny")) return { kind: "refused" };
  const open = otherwise === "allow" || rules.some(({ action, target }) => action === "allow" && target.kind === "all");
  return named.length > 0 || open ? { kind: "allowed", rules: named.map(({ index }) => index) } : { kind: "refused" };
}

export class Proxy {
  readonly #request: ProxyRequest;
  readonly #pending = new Map<number, Pending>();
  readonly #told = new Set<string>();

  constructor(request: ProxyRequest) {
    this.#request = request;
  }

  /** Does not return. */
  run(): never {
    const { listeners, upstreams, denied } = this.#request;
    const sources = [
      // First: who has been refused something may have no more to do after the next answer, and end.
      { fd: denied.fd, take: () => denied.packets().forEach((packet) => this.#tellPacket(packet)) },
      ...listeners.map((fd) => ({ fd, take: () => this.#takeQuery(fd) })),
      ...upstreams.map((fd) => ({ fd, take: () => this.#takeAnswer(fd) })),
    ];
    for (;;) {
      const ready = poll(sources.map(({ fd }) => ({ fd, events: POLLIN })), Infinity);
      for (const [i, { take }] of sources.entries()) if (ready[i] !== 0) take();
    }
  }

  #takeQuery(listener: Fd): void {
    const { rules, upstreams } = this.#request;
    const received = receiveUdp(listener);
    const question = received === undefined ? undefined : parseQuery(received.data);
    if (received === undefined || question === undefined) return;
    if (verdictOn(question.name, rules).kind === "refused") {
      this.#tell(`name ${question.name}`);
      sendUdp(listener, refusalOf(received.data, question), received.from);
      return;
    }
    const id = this.#freeId();
    this.#pending.set(id, { listener, client: received.from, question, since: now() });
    for (const upstream of upstreams) sendUdp(upstream, withId(received.data, id));
  }

  /** One that cannot be guessed. */
  #freeId(): number {
    for (const [id, { since }] of this.#pending) if (this.#pending.size >= MOST_PENDING || now() - since > PENDING_MS) this.#pending.delete(id);
    for (;;) {
      const [high = 0, low = 0] = randomBytes(2);
      const id = (high << 8) | low;
      if (!this.#pending.has(id)) return id;
    }
  }

  #takeAnswer(upstream: Fd): void {
    const received = receiveUdp(upstream);
    const answered = received === undefined ? undefined : parseQuestion(received.data);
    const pending = answered === undefined ? undefined : this.#pending.get(answered.id);
    if (received === undefined || answered === undefined || pending === undefined || pending.question.name !== answered.name) return;
    const addresses = addressesIn(received.data, answered);
    if (addresses === undefined) return;
    this.#pending.delete(answered.id);
    const verdict = verdictOn(answered.name, this.#request.rules);
    if (verdict.kind === "allowed") this.#open(verdict.rules, addresses);
    sendUdp(pending.listener, withId(received.data, pending.question.id), pending.client);
  }

  /** What the kernel cannot take is not opened, and told of. */
  #open(rules: readonly number[], addresses: readonly Address[]): void {
    const { table, netfilter, warn } = this.#request;
    const commands = rules.flatMap((rule) =>
      addresses.flatMap(({ address, ttl }) => renewElement(table, setName(rule, address.length === 4 ? "ipv4" : "ipv6"), address, Math.min(Math.max(ttl, LEAST_TTL), MOST_TTL) + GRACE)),
    );
    if (commands.length === 0) return;
    try {
      netfilter.commit(commands, "addresses of a name");
    } catch (error) {
      warn(`egress: ${messageOf(error)}`);
    }
  }

  #tellPacket(packet: Uint8Array): void {
    const destination = describeDestination(packet);
    if (destination !== undefined) this.#tell(destination);
  }

  /** Each of them once. */
  #tell(what: string): void {
    if (this.#told.size >= MOST_LINES || this.#told.has(what)) return;
    this.#told.add(what);
    this.#request.warn(`egress: denied: ${what}${this.#told.size === MOST_LINES ? "; no more will be told" : ""}`);
  }
}
