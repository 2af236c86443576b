/**
 * The route socket: one request, then its answers, by a blocking exchange. It speaks for the network namespace in which it was opened,
 * wherever its owner has gone since. Sources: netlink(7), rtnetlink(7).
 */
import { SYS } from "../arch.ts";
import { EAGAIN, EINTR, EIO, EMSGSIZE } from "../abi/errno.ts";
import * as nl from "../abi/netlink.ts";
import { check, SysError } from "../errors.ts";
import type { Fd } from "../fd.ts";
import { scratch } from "../memory.unsafe.ts";
import { retrying } from "../syscall.unsafe.ts";
import { decodeAttributes, decodeMessages, encodeMessage, type NetlinkMessage, textOf, viewOf } from "./message.ts";
import { openNetlink, TIMEOUT_SECONDS } from "./open.ts";

const MSG_TRUNC = 0x20;
/** The kernel fills at most 32 KiB of a dump at a time. Source: Linux net/netlink/af_netlink.c, netlink_recvmsg. */
const RECEIVE_SIZE = 65536;
/** How often a dump is asked again that a change of the table has interrupted. */
const DUMP_ATTEMPTS = 10;

export class RouteSocket implements Disposable {
  readonly #fd: Fd;
  #sequence = 0;

  constructor(fd: Fd) {
    this.#fd = fd;
  }

  /**
   * Asks for a change and waits until the kernel has made it.
   * @param what says in an error what was asked.
   * @throws SysError with the kernel's own explanation as the hint where it gives one; EAGAIN where there is no answer within 10 s.
   */
  change(type: number, flags: number, body: Uint8Array, what: string): void {
    this.#exchange(type, flags | nl.NLM_F_ACK, body, what);
  }

  /** Asks for one object. @throws SysError as above. */
  get(type: number, body: Uint8Array, what: string): NetlinkMessage {
    const [answer] = this.#exchange(type, nl.NLM_F_ACK, body, what);
    if (answer === undefined) throw new SysError({ syscall: "netlink", errno: EIO, path: what, hint: "an answer without an object" });
    return answer;
  }

  /** Asks for all objects of a kind; asks again where the table changed meanwhile. */
  dump(type: number, body: Uint8Array, what: string): NetlinkMessage[] {
    for (let attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
      const answers = this.#exchange(type, nl.NLM_F_DUMP, body, what);
      if (answers.every(({ flags }) => (flags & nl.NLM_F_DUMP_INTR) === 0)) return answers;
    }
    throw new SysError({ syscall: "netlink", errno: EINTR, path: what, hint: "the table changes faster than it can be read" });
  }

  #exchange(type: number, flags: number, body: Uint8Array, what: string): NetlinkMessage[] {
    const sequence = ++this.#sequence;
    this.#send(encodeMessage({ type, flags: flags | nl.NLM_F_REQUEST, sequence, body }), what);
    const answers: NetlinkMessage[] = [];
    for (;;) {
      for (const message of this.#receive(what)) {
        if (message.sequence !== sequence) continue;
        if (message.type === nl.NLMSG_ERROR || message.type === nl.NLMSG_DONE) return finish(message, answers, what);
        answers.push(message);
      }
    }
  }

  #send(message: Uint8Array, what: string): void {
    using s = scratch();
    const kernel = s.reserve(nl.SOCKADDR_NL_SIZE);
    kernel.view.setUint16(0, nl.AF_NETLINK, true);
    const address = s.copy(message);
    check(retrying(SYS.sendto, this.#fd.number, address, message.length, 0, kernel.address, kernel.size), "netlink", what);
  }

  /** One datagram from the kernel; another process's is dropped, which any process of the namespace may send. */
  #receive(what: string): NetlinkMessage[] {
    using s = scratch();
    const buffer = s.reserve(RECEIVE_SIZE);
    const sender = s.reserve(16);
    sender.view.setUint32(12, nl.SOCKADDR_NL_SIZE, true);
    const length = retrying(SYS.recvfrom, this.#fd.number, buffer.address, buffer.size, MSG_TRUNC, sender.address, sender.address + 12);
    if (length === -EAGAIN) {
      throw new SysError({ syscall: "netlink", errno: EAGAIN, path: what, hint: `no answer within ${TIMEOUT_SECONDS} s` });
    }
    check(length, "netlink", what);
    if (length > buffer.size) throw new SysError({ syscall: "netlink", errno: EMSGSIZE, path: what });
    const fromKernel = sender.view.getUint32(4, true) === 0;
    return fromKernel ? decodeMessages(buffer.bytes.slice(0, length)) : [];
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}

/** struct nlmsgerr starts with a negative errno, 0 for an acknowledgement; so does the body of NLMSG_DONE. */
function finish(message: NetlinkMessage, answers: NetlinkMessage[], what: string): NetlinkMessage[] {
  const error = message.body.length >= 4 ? viewOf(message.body).getInt32(0, true) : 0;
  if (error < 0) throw new SysError({ syscall: "netlink", errno: -error, path: what, hint: explanation(message) });
  return answers;
}

/** NLMSGERR_ATTR_MSG; with NETLINK_CAP_ACK the attributes stand right behind the header of the request. */
function explanation(message: NetlinkMessage): string | undefined {
  const start = message.type === nl.NLMSG_DONE ? 4 : 4 + nl.NLMSGHDR_SIZE;
  const tlvs = (message.flags & nl.NLM_F_ACK_TLVS) !== 0;
  return tlvs ? textOf(decodeAttributes(message.body.subarray(start)), nl.NLMSGERR_ATTR_MSG) : undefined;
}

/** A socket for the caller's network namespace. @throws SysError EPROTONOSUPPORT on a kernel without netlink. */
export function openRoute(): RouteSocket {
  // The first two are there since Linux 4.12, the third since 4.20: it makes a dump keep to the filter in its request.
  return new RouteSocket(openNetlink(nl.NETLINK_ROUTE, "NETLINK_ROUTE", [nl.NETLINK_CAP_ACK, nl.NETLINK_EXT_ACK, nl.NETLINK_GET_STRICT_CHK]));
}
