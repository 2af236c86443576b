/**
 * The netfilter socket: batches of changes to nf_tables, which take effect together or not at all, and packets that a rule logs. It speaks for the
 * network namespace in which it was opened. Source: Linux net/netfilter/nfnetlink.c, nfnetlink_log.c.
 */
import { SYS } from "../arch.ts";
import { EAGAIN, ENOBUFS } from "../abi/errno.ts";
import * as nl from "../abi/netlink.ts";
import * as nf from "../abi/nftables.ts";
import { check, SysError } from "../errors.ts";
import type { Fd } from "../fd.ts";
import { scratch } from "../memory.unsafe.ts";
import { retrying } from "../syscall.unsafe.ts";
import { attribute, concat, decodeAttributes, decodeMessages, encodeMessage, textOf, viewOf } from "./message.ts";
import { openNetlink, TIMEOUT_SECONDS } from "./open.ts";

const RECEIVE_SIZE = 65536;
const MOST_PACKETS = 64;
const MSG_DONTWAIT = 0x40;

/** One message of a batch, without its header. */
export interface Command {
  /** Of `NFT_MSG`. */
  readonly type: number;
  /** `NLM_F_*`. */
  readonly flags: number;
  readonly attributes: readonly Uint8Array[];
}

export class NetfilterSocket implements Disposable {
  readonly fd: Fd;
  #sequence = 0;

  constructor(fd: Fd) {
    this.fd = fd;
  }

  /** @param what says in an error what was asked. @throws SysError, with which none of the commands has been carried out; EAGAIN without an answer within 10 s. */
  commit(commands: readonly Command[], what: string): void {
    const first = this.#sequence + 1;
    const messages = commands.map(({ type, flags, attributes }, i) =>
      this.#message((nf.NFNL_SUBSYS_NFTABLES << 8) | type, flags | (i === commands.length - 1 ? nl.NLM_F_ACK : 0), generic(nf.NFPROTO_INET, 0), attributes),
    );
    const last = this.#sequence;
    const edge = generic(0, nf.NFNL_SUBSYS_NFTABLES);
    const begin = encodeMessage({ type: nf.NFNL_MSG_BATCH_BEGIN, flags: nl.NLM_F_REQUEST, sequence: first - 1, body: edge });
    const end = this.#message(nf.NFNL_MSG_BATCH_END, 0, edge, []);
    this.#send(concat([begin, ...messages, end]), what);
    this.#awaitAnswers(first - 1, last, what);
  }

  #message(type: number, flags: number, header: Uint8Array, attributes: readonly Uint8Array[]): Uint8Array {
    return encodeMessage({ type, flags: flags | nl.NLM_F_REQUEST, sequence: ++this.#sequence, body: concat([header, ...attributes]) });
  }

  /** Errors come before the acknowledgement of the last one. */
  #awaitAnswers(first: number, last: number, what: string): void {
    for (;;) {
      for (const { type, flags, sequence, body } of this.#receive(0, what)) {
        if (type !== nl.NLMSG_ERROR || sequence < first || sequence > last + 1) continue;
        const error = viewOf(body).getInt32(0, true);
        const hint = (flags & nl.NLM_F_ACK_TLVS) === 0 ? undefined : textOf(decodeAttributes(body.subarray(4 + nl.NLMSGHDR_SIZE)), nl.NLMSGERR_ATTR_MSG);
        if (error < 0) throw new SysError({ syscall: "netlink", errno: -error, path: what, hint });
        if (sequence === last) return;
      }
    }
  }

  /** Has what rules log to `group` come here, each packet with its first `bytes`. @throws SysError EBUSY where somebody else gets it. */
  listenTo(group: number, bytes: number): void {
    const [mode, one] = [new Uint8Array(6), new Uint8Array([0, 0, 0, 1])];
    viewOf(mode).setUint32(0, bytes, false);
    mode[4] = nf.NFULNL_COPY_PACKET;
    // The kernel would collect them, for up to a second.
    for (const attributes of [attribute(nf.NFULA_CFG.command, new Uint8Array([nf.NFULNL_CFG_CMD_BIND])), attribute(nf.NFULA_CFG.mode, mode), attribute(nf.NFULA_CFG.threshold, one)]) {
      this.#send(this.#message((nf.NFNL_SUBSYS_ULOG << 8) | nf.NFULNL_MSG_CONFIG, nl.NLM_F_ACK, generic(0, group), [attributes]), "nflog");
      this.#awaitAnswers(this.#sequence, this.#sequence, "nflog");
    }
  }

  /** Packets that have been logged, from their IP header on; what comes while it takes them may be left for the next time. */
  packets(): Uint8Array[] {
    const all: Uint8Array[] = [];
    for (let messages = this.#receive(MSG_DONTWAIT, "nflog"); messages.length > 0 && all.length < MOST_PACKETS; messages = this.#receive(MSG_DONTWAIT, "nflog")) {
      const packets = messages.filter(({ type }) => type === ((nf.NFNL_SUBSYS_ULOG << 8) | nf.NFULNL_MSG_PACKET));
      all.push(...packets.flatMap(({ body }) => decodeAttributes(body.subarray(GENERIC_SIZE)).get(nf.NFULA_PAYLOAD) ?? []));
    }
    return all;
  }

  #send(bytes: Uint8Array, what: string): void {
    using s = scratch();
    check(retrying(SYS.sendto, this.fd.number, s.copy(bytes), bytes.length, 0, 0, 0), "netlink", what);
  }

  /** One datagram; what another process has sent is dropped. Packets that did not fit into the queue are lost, which is no error. */
  #receive(flags: number, what: string): ReturnType<typeof decodeMessages> {
    using s = scratch();
    const buffer = s.reserve(RECEIVE_SIZE);
    const sender = s.reserve(16);
    sender.view.setUint32(12, nl.SOCKADDR_NL_SIZE, true);
    const length = retrying(SYS.recvfrom, this.fd.number, buffer.address, buffer.size, flags, sender.address, sender.address + 12);
    if (flags === MSG_DONTWAIT && (length === -EAGAIN || length === -ENOBUFS)) return [];
    if (length === -EAGAIN) throw new SysError({ syscall: "netlink", errno: EAGAIN, path: what, hint: `no answer within ${TIMEOUT_SECONDS} s` });
    check(length, "netlink", what);
    return sender.view.getUint32(4, true) === 0 ? decodeMessages(buffer.bytes.slice(0, length)) : [];
  }

  [Symbol.dispose](): void {
    this.fd.close();
  }
}

const GENERIC_SIZE = 4;

/** struct nfgenmsg. */
function generic(family: number, resource: number): Uint8Array {
  const header = new Uint8Array(GENERIC_SIZE);
  header[0] = family;
  viewOf(header).setUint16(2, resource, false);
  return header;
}

/** For the caller's network namespace. @throws SysError EPROTONOSUPPORT on a kernel without nfnetlink. */
export function openNetfilter(): NetfilterSocket {
  return new NetfilterSocket(openNetlink(nf.NETLINK_NETFILTER, "NETLINK_NETFILTER", [nl.NETLINK_CAP_ACK, nl.NETLINK_EXT_ACK]));
}
