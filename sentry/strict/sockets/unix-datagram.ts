/** Unix sockets of SOCK_DGRAM: reliable, in order. Source: Linux net/unix/af_unix.c. */
import { EAGAIN, ECONNREFUSED, EMSGSIZE, ENOBUFS, ENOTCONN, EOPNOTSUPP, EPERM, EPIPE } from "../../../linux/abi/errno.ts";
import { POLLOUT, POLLWRNORM } from "../../../linux/abi/poll.ts";
import { AF_UNSPEC, MSG_OOB } from "../../../linux/abi/socket.ts";
import type { Block } from "../../../linux/memory.unsafe.ts";
import { buffer } from "../memory.ts";
import type { Strict } from "../strict.ts";
import type { Trapped } from "../trapped.ts";
import { NOTHING, type Incoming, type Outgoing } from "./socket.ts";
import { UnixSocket, type Message } from "./unix.ts";
import { findUnix } from "./unix-names.ts";

/** net.unix.max_dgram_qlen: how many wait at one socket. */
const LONGEST_QUEUE = 10;
const END: Incoming = { size: 0, length: 0, flags: 0, from: NOTHING, control: NOTHING, rights: undefined, credentials: undefined };

export class UnixDatagram extends UnixSocket {
  #peer: UnixDatagram | undefined;
  /** Who is connected to this one, and may wait for it. */
  readonly #senders = new Set<UnixDatagram>();

  protected get peer(): UnixDatagram | undefined {
    return this.#peer;
  }

  protected get isListening(): boolean {
    return false;
  }

  connectTo(peer: UnixDatagram | undefined): void {
    if (this.#peer !== undefined) this.#peer.#senders.delete(this);
    this.#peer = peer;
    if (peer !== undefined) peer.#senders.add(this);
    this.strict.waiting.wake(this);
  }

  connect(call: Trapped, strict: Strict, address: Uint8Array): number {
    if (address.length >= 2 && address[0] === AF_UNSPEC) return (this.connectTo(undefined), 0);
    const found = this.#find(call, strict, address);
    if (typeof found === "number") return found;
    this.connectTo(found);
    return 0;
  }

  /** Who is connected takes messages of its peer alone. */
  #find(call: Trapped, strict: Strict, address: Uint8Array): UnixDatagram | number {
    const found = findUnix(call, strict, address, this.type);
    if (typeof found === "number") return found;
    if (!(found instanceof UnixDatagram)) return -ECONNREFUSED;
    return found.#peer === undefined || found.#peer === this ? found : -EPERM;
  }

  listen(): number {
    return -EOPNOTSUPP;
  }

  accept(): number {
    return -EOPNOTSUPP;
  }

  get #isFull(): boolean {
    return this.queued > LONGEST_QUEUE;
  }

  override ready(): number {
    const isBlocked = this.#peer !== undefined && this.#peer.#peer !== this && this.#peer.#isFull;
    return isBlocked ? super.ready() & ~(POLLOUT | POLLWRNORM) : super.ready();
  }

  send(call: Trapped, strict: Strict, message: Outgoing): number {
    if ((message.flags & MSG_OOB) !== 0) return -EOPNOTSUPP;
    const to = message.to === undefined ? (this.#peer ?? -ENOTCONN) : this.#find(call, strict, message.to);
    if (typeof to === "number") return to;
    const refused = this.#refusal(to, message.size);
    if (refused < 0) return refused;
    const made = this.makeMessage(call, buffer.bytes.subarray(0, message.size), message, to);
    if (typeof made === "number") return made;
    this.deliver(made, to);
    return message.size;
  }

  protected sendBytes(size: number): number {
    const to = this.#peer;
    if (to === undefined) return -ENOTCONN;
    const refused = this.#refusal(to, size);
    if (refused < 0) return refused;
    const from = this.name();
    this.deliver({ bytes: buffer.bytes.slice(0, size), start: 0, rights: undefined, credentials: undefined, from: from.length > 2 ? from : NOTHING, sender: this }, to);
    return size;
  }

  #refusal(to: UnixDatagram, size: number): number {
    if (!this.isWritable) return -EPIPE;
    if (to.isClosed) {
      if (to === this.#peer) this.connectTo(undefined);
      return -ECONNREFUSED;
    }
    if (!to.isReadable) return -EPIPE;
    if (size > this.sendBuffer) return -EMSGSIZE;
    if (this.isOverfull(size)) return -ENOBUFS;
    const isFull = to.#isFull && to.#peer !== this;
    this.blocker = isFull ? to : this;
    return isFull || size > this.room ? -EAGAIN : 0;
  }

  receive(into: Block, size: number, flags: number): Incoming | number {
    if ((flags & MSG_OOB) !== 0) return -EOPNOTSUPP;
    const message = this.receiveWhole(into, size, flags);
    if (message !== undefined) return message;
    if (this.error !== 0) return this.takeError();
    return this.isReadable ? -EAGAIN : END;
  }

  /** Those who wait because this one was full. */
  protected override received(message: Message): void {
    super.received(message);
    this.strict.waiting.wake(this);
    for (const sender of this.#senders) if (sender !== message.sender) this.strict.waiting.wake(sender);
  }

  /** It learns of it when it sends. */
  protected peerHangsUp(): void {}

  override close(): void {
    super.close();
    this.connectTo(undefined);
    for (const sender of this.#senders) this.strict.waiting.wake(sender);
  }
}
