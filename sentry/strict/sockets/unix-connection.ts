/**
 * Unix sockets that are connected: SOCK_STREAM, SOCK_SEQPACKET. Source: Linux net/unix/af_unix.c.
 *
 *   connect: a new socket, which the client has for its peer, waits at the listening one until accept(2) takes it
 */
import { EAGAIN, ECONNREFUSED, ECONNRESET, EINVAL, EISCONN, EMSGSIZE, ENOBUFS, ENOTCONN, EOPNOTSUPP, EPIPE } from "../../../linux/abi/errno.ts";
import { POLLHUP, POLLIN, POLLRDNORM } from "../../../linux/abi/poll.ts";
import { MSG_OOB, MSG_PEEK } from "../../../linux/abi/socket.ts";
import type { Block } from "../../../linux/memory.unsafe.ts";
import { buffer } from "../memory.ts";
import type { Strict } from "../strict.ts";
import type { Trapped } from "../trapped.ts";
import { NOTHING, type Incoming, type Outgoing } from "./socket.ts";
import type { Credentials } from "../tasks/tasks.ts";
import { READ, UnixSocket, WRITE, type Message } from "./unix.ts";
import { findUnix } from "./unix-names.ts";

/** net.core.somaxconn. */
const LONGEST_BACKLOG = 4096;

type State =
  | { readonly kind: "new" }
  | { readonly kind: "listening"; backlog: number; readonly pending: UnixConnection[]; readonly credentials: Credentials }
  | { readonly kind: "connected"; readonly peer: UnixConnection };

const END: Incoming = { size: 0, length: 0, flags: 0, from: NOTHING, control: NOTHING, rights: undefined, credentials: undefined };

export class UnixConnection extends UnixSocket {
  #state: State = { kind: "new" };

  protected get peer(): UnixConnection | undefined {
    return this.#state.kind === "connected" ? this.#state.peer : undefined;
  }

  protected get isListening(): boolean {
    return this.#state.kind === "listening";
  }

  static join(one: UnixConnection, other: UnixConnection, ofOne: Credentials, ofOther: Credentials): void {
    one.#state = { kind: "connected", peer: other };
    other.#state = { kind: "connected", peer: one };
    one.peerCredentials = ofOther;
    other.peerCredentials = ofOne;
  }

  listen(call: Trapped, strict: Strict, backlog: number): number {
    const longest = Math.min(backlog < 0 ? LONGEST_BACKLOG : backlog, LONGEST_BACKLOG);
    if (this.#state.kind === "listening") return ((this.#state.backlog = longest), this.strict.waiting.wake(this), 0);
    if (this.#state.kind === "connected" || this.name().length <= 2) return -EINVAL;
    this.#state = { kind: "listening", backlog: longest, pending: [], credentials: strict.callers.credentials(call) };
    this.strict.waiting.wake(this);
    return 0;
  }

  connect(call: Trapped, strict: Strict, address: Uint8Array): number {
    if (this.#state.kind !== "new") return this.#state.kind === "connected" ? -EISCONN : -EINVAL;
    const target = findUnix(call, strict, address, this.type);
    if (typeof target === "number") return target;
    if (!(target instanceof UnixConnection) || !target.isReadable || target.#state.kind !== "listening") return -ECONNREFUSED;
    const listening = target.#state;
    if (listening.pending.length > listening.backlog) return ((this.blocker = target), -EAGAIN);
    const accepted = new UnixConnection(strict, this.type, 0);
    accepted.takeName(target.name());
    UnixConnection.join(this, accepted, strict.callers.credentials(call), listening.credentials);
    listening.pending.push(accepted);
    strict.waiting.wake(target);
    strict.waiting.wake(this);
    return 0;
  }

  accept(strict: Strict, flags: number): UnixConnection | number {
    if (this.#state.kind !== "listening" || !this.isReadable) return -EINVAL;
    const accepted = this.#state.pending.shift();
    if (accepted === undefined) return -EAGAIN;
    accepted.flags |= flags;
    strict.waiting.wake(this);
    return accepted;
  }

  override ready(): number {
    switch (this.#state.kind) {
      case "new":
        return super.ready() | POLLHUP;
      case "listening":
        return this.#state.pending.length > 0 ? POLLIN | POLLRDNORM : 0;
      case "connected":
        return super.ready();
    }
  }

  send(call: Trapped, _strict: Strict, message: Outgoing): number {
    if (message.to !== undefined && this.isStream) return this.peer === undefined ? -EOPNOTSUPP : -EISCONN;
    if ((message.flags & MSG_OOB) !== 0) return -EOPNOTSUPP;
    const count = this.#fitting(message.size);
    if (count < 0 || (count === 0 && this.isStream && message.size > 0)) return count;
    const { peer } = this;
    if (peer === undefined || (message.size === 0 && this.isStream)) return 0;
    const made = this.makeMessage(call, buffer.bytes.subarray(0, count), message, peer);
    if (typeof made === "number") return made;
    this.deliver(made, peer);
    return count;
  }

  protected sendBytes(size: number): number {
    const count = this.#fitting(size);
    const { peer } = this;
    if (count > 0 && peer !== undefined) this.deliver({ bytes: buffer.bytes.slice(0, count), start: 0, rights: undefined, credentials: undefined, from: NOTHING, sender: this }, peer);
    return count;
  }

  /** How many of `size` bytes may be sent now. @returns the negative errno where none may. */
  #fitting(size: number): number {
    const { peer } = this;
    if (peer === undefined) return -ENOTCONN;
    if (!this.isWritable || peer.isClosed || !peer.isReadable) return -EPIPE;
    if (this.isOverfull(size)) return -ENOBUFS;
    this.blocker = this;
    if (this.isStream) return size > 0 && this.room === 0 ? -EAGAIN : Math.min(size, this.room);
    if (size > this.sendBuffer) return -EMSGSIZE;
    return size > this.room ? -EAGAIN : size;
  }

  receive(into: Block, size: number, flags: number): Incoming | number {
    if ((flags & MSG_OOB) !== 0) return -EOPNOTSUPP;
    if (this.queue.length === 0) return this.#receiveNothing();
    return this.isStream ? this.#receiveStream(into, size, (flags & MSG_PEEK) !== 0) : (this.receiveWhole(into, size, flags) ?? -EAGAIN);
  }

  #receiveNothing(): Incoming | number {
    if (this.error !== 0) return this.takeError();
    if (this.#state.kind !== "connected") return this.isStream ? -EINVAL : -ENOTCONN;
    return this.isReadable ? -EAGAIN : END;
  }

  /** Bytes of several messages, up to and with the first that has descriptors; of one sender's, where that is asked for. */
  #receiveStream(into: Block, size: number, peeks: boolean): Incoming {
    let count = 0;
    let told: Incoming = END;
    for (let i = 0; count < size; i += peeks ? 1 : 0) {
      const message = this.queue[i];
      if (message === undefined) break;
      if (count > 0 && this.passesCredentials && !isSame(message.credentials, told.credentials)) break;
      const taken = Math.min(size - count, message.bytes.length - message.start);
      into.bytes.set(message.bytes.subarray(message.start, message.start + taken), count);
      if (told === END || message.rights !== undefined) told = this.tell(message, 0, 0, 0);
      count += taken;
      const hadRights = message.rights !== undefined;
      if (!peeks) this.#advance(message, taken);
      if (hadRights) break;
    }
    return { ...told, from: this.peer?.name() ?? NOTHING, size: count, length: count };
  }

  #advance(message: Message, count: number): void {
    message.start += count;
    message.rights = undefined;
    if (message.start < message.bytes.length) return;
    this.queue.shift();
    this.received(message);
  }

  protected peerHangsUp(what: number): void {
    this.peer?.hangUp(what);
  }

  override close(): void {
    const { peer } = this;
    const hasUnread = this.queue.length > 0;
    super.close();
    if (this.#state.kind === "listening") {
      for (const waiting of this.#state.pending.splice(0)) waiting.#reset();
      this.strict.waiting.wake(this);
    }
    if (peer === undefined || peer.isClosed) return;
    if (hasUnread) peer.error = ECONNRESET;
    peer.hangUp(READ | WRITE);
  }

  /** Nobody has accepted it. */
  #reset(): void {
    const { peer } = this;
    if (peer !== undefined) peer.error = ECONNRESET;
    this.close();
  }
}

function isSame(one: Credentials | undefined, other: Credentials | undefined): boolean {
  return one?.pid === other?.pid && one?.uid === other?.uid && one?.gid === other?.gid;
}
