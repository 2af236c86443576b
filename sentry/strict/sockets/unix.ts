/** Sockets of AF_UNIX: what streams, packets and datagrams have in common (unix(7)): a queue of messages, a name, options. */
import { EINVAL, ENOPROTOOPT, ENOTCONN } from "../../../linux/abi/errno.ts";
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRNORM } from "../../../linux/abi/poll.ts";
import { AF_UNIX, MSG_PEEK, MSG_TRUNC, SHUT, SOL_SOCKET, UCRED } from "../../../linux/abi/socket.ts";
import type { Block } from "../../../linux/memory.unsafe.ts";
import { copyOut, small } from "../memory.ts";
import type { Strict } from "../strict.ts";
import type { Trapped } from "../trapped.ts";
import { askInterfaces } from "./interfaces.ts";
import { takeAncillary, type Rights } from "./rights.ts";
import { NOTHING, Socket, type Incoming, type Outgoing } from "./socket.ts";
import type { Credentials } from "../tasks/tasks.ts";
import { bindUnix, unbindUnix, UNNAMED } from "./unix-names.ts";

/** Bytes that may be under way from one socket. Source: net.core.wmem_default. */
const SEND_BUFFER = 212_992;
/** Bytes that a message counts besides its own: the kernel's struct sk_buff does. */
const OVERHEAD = 512;
/** Of all of the sandbox's unix sockets together, in bytes: what lies in them is the sentry's memory. */
const MOST_QUEUED = 128 << 20;
let queued = 0;

export const READ = 1;
export const WRITE = 2;
/** Linux's overflow ids: of a message whose sender nobody has asked for. */
const UNKNOWN: Credentials = { pid: 0, uid: 65_534, gid: 65_534 };
const SIOCINQ = 0x541b;
const SIOCOUTQ = 0x5411;

export interface Message {
  readonly bytes: Uint8Array;
  /** Where the part that is not received yet begins. */
  start: number;
  rights: Rights | undefined;
  readonly credentials: Credentials | undefined;
  readonly from: Uint8Array;
  /** Who is given room again when it is received. */
  readonly sender: UnixSocket | undefined;
}

const costOf = ({ bytes }: Message): number => bytes.length + OVERHEAD;

/** SO_*. Source: asm-generic/socket.h. */
const SO = { type: 3, error: 4, sendBuffer: 7, receiveBuffer: 8, passCredentials: 16, peerCredentials: 17, isListening: 30, protocol: 38, domain: 39, sendBufferForce: 32, receiveBufferForce: 33 } as const;
/** What is remembered for whoever asks, and has no effect. */
const REMEMBERED: readonly number[] = [1, 2, 5, 6, 9, 10, 11, 12, 13, 15, 18, 19, 29, 35, 47, 63, 64];
/** Struct linger; all others are an int. */
const LINGER = 13;

export abstract class UnixSocket extends Socket {
  protected readonly strict: Strict;
  protected readonly queue: Message[] = [];
  /** READ and WRITE, as far as they are shut down. */
  protected shut = 0;
  /** The next call's. */
  protected error = 0;
  protected peerCredentials: Credentials = UNKNOWN;
  protected isClosed = false;
  sendBuffer = SEND_BUFFER;
  /** Of it, what is under way. */
  #used = 0;
  #name: Uint8Array | undefined;
  #passesCredentials = false;
  readonly #options = new Map<number, Uint8Array>();

  constructor(strict: Strict, type: number, flags: number) {
    super(AF_UNIX, type, flags);
    this.strict = strict;
  }

  /** Whom `send` without an address reaches. */
  protected abstract get peer(): UnixSocket | undefined;
  protected abstract get isListening(): boolean;

  get passesCredentials(): boolean {
    return this.#passesCredentials;
  }

  get isReadable(): boolean {
    return (this.shut & READ) === 0;
  }

  get isWritable(): boolean {
    return (this.shut & WRITE) === 0;
  }

  get room(): number {
    return Math.max(this.sendBuffer - this.#used - OVERHEAD, 0);
  }

  /** Of data that are waiting for this one. */
  get queued(): number {
    return this.queue.length;
  }

  name(): Uint8Array {
    return this.#name ?? UNNAMED;
  }

  protected takeName(address: Uint8Array): void {
    this.#name = address;
  }

  peerName(): Uint8Array | number {
    return this.peer?.name() ?? -ENOTCONN;
  }

  bind(call: Trapped, strict: Strict, address: Uint8Array): number {
    if (this.#name !== undefined) return -EINVAL;
    const bound = bindUnix(call, strict, this, address);
    if (typeof bound === "number") return bound;
    this.#name = bound;
    return 0;
  }

  /** Source: Linux net/unix/af_unix.c, unix_poll. */
  ready(): number {
    const hasInput = this.queue.length > 0 || !this.isReadable;
    return (
      (hasInput ? POLLIN | POLLRDNORM : 0) |
      (this.isReadable ? 0 : POLLRDHUP) |
      (this.shut === (READ | WRITE) ? POLLHUP : 0) |
      (this.error === 0 ? 0 : POLLERR) |
      (this.#used * 4 <= this.sendBuffer ? POLLOUT | POLLWRNORM : 0)
    );
  }

  /** Whether the sandbox's sockets hold as much as they may. */
  protected isOverfull(size: number): boolean {
    return queued + size > MOST_QUEUED;
  }

  /** A message of what is in `buffer`. @returns the negative errno. */
  protected makeMessage(call: Trapped, bytes: Uint8Array, { control }: Outgoing, to: UnixSocket): Message | number {
    const ancillary = control.length === 0 ? undefined : takeAncillary(call, this.strict, control);
    if (typeof ancillary === "number") return ancillary;
    const credentials = to.#passesCredentials || this.#passesCredentials ? (ancillary?.credentials ?? this.strict.callers.credentials(call)) : undefined;
    return { bytes: bytes.slice(), start: 0, rights: ancillary?.rights, credentials, from: this.#name ?? NOTHING, sender: this };
  }

  /** Gives it to `to`. */
  protected deliver(message: Message, to: UnixSocket): void {
    this.#used += costOf(message);
    queued += costOf(message);
    to.queue.push(message);
    this.strict.waiting.wake(to);
  }

  /** It has been received, or never will be. */
  protected received(message: Message): void {
    const { sender } = message;
    queued -= costOf(message);
    if (sender === undefined) return;
    sender.#used -= costOf(message);
    this.strict.waiting.wake(sender);
  }

  protected takeError(): number {
    const { error } = this;
    this.error = 0;
    return -error;
  }

  /** @param length of the whole; for a stream the same. */
  protected tell(message: Message, size: number, length: number, flags: number): Incoming {
    return { size, length, flags, from: message.from, control: NOTHING, rights: message.rights, credentials: this.#passesCredentials ? (message.credentials ?? UNKNOWN) : undefined };
  }

  /** One message, of which the block may take a part only. */
  protected receiveWhole(into: Block, size: number, flags: number): Incoming | undefined {
    const [message] = this.queue;
    if (message === undefined) return undefined;
    const count = Math.min(size, message.bytes.length);
    into.bytes.set(message.bytes.subarray(0, count));
    if ((flags & MSG_PEEK) === 0) {
      this.queue.shift();
      this.received(message);
    }
    return this.tell(message, count, message.bytes.length, count < message.bytes.length ? MSG_TRUNC : 0);
  }

  unreceive({ rights, credentials, from }: Incoming, bytes: Uint8Array): void {
    const message = { bytes: bytes.slice(), start: 0, rights, credentials, from, sender: undefined };
    queued += costOf(message);
    this.queue.unshift(message);
  }

  write(_from: Block, size: number): number {
    return this.sendBytes(size);
  }

  /** Without anything besides. */
  protected abstract sendBytes(size: number): number;

  shutdown(how: number): number {
    if (how !== SHUT.read && how !== SHUT.write && how !== SHUT.both) return -EINVAL;
    const mine = how === SHUT.read ? READ : how === SHUT.write ? WRITE : READ | WRITE;
    this.hangUp(mine);
    this.peerHangsUp(((mine & READ) === 0 ? 0 : WRITE) | ((mine & WRITE) === 0 ? 0 : READ));
    return 0;
  }

  /** @param what READ and WRITE. */
  protected abstract peerHangsUp(what: number): void;

  hangUp(what: number): void {
    this.shut |= what;
    this.strict.waiting.wake(this);
  }

  getOption(_call: Trapped, _strict: Strict, level: number, option: number, size: number): number {
    if (level !== SOL_SOCKET) return -ENOPROTOOPT;
    const stored = this.#options.get(option);
    if (stored !== undefined || REMEMBERED.includes(option)) return put(stored ?? new Uint8Array(option === LINGER ? 8 : 4), size);
    if (option === SO.peerCredentials) return putCredentials(this.peerCredentials, size);
    const value = this.#valueOf(option);
    if (value === undefined) return -ENOPROTOOPT;
    small.view.setInt32(0, value, true);
    return Math.min(size, 4);
  }

  #valueOf(option: number): number | undefined {
    switch (option) {
      case SO.type:
        return this.type;
      case SO.error:
        return -this.takeError();
      case SO.sendBuffer:
      case SO.receiveBuffer:
        return this.sendBuffer;
      case SO.passCredentials:
        return this.#passesCredentials ? 1 : 0;
      case SO.isListening:
        return this.isListening ? 1 : 0;
      case SO.protocol:
        return 0;
      case SO.domain:
        return AF_UNIX;
      default:
        return undefined;
    }
  }

  setOption(_call: Trapped, _strict: Strict, level: number, option: number, size: number): number {
    if (level !== SOL_SOCKET) return -ENOPROTOOPT;
    if (this.keepTimeout(level, option, size)) return (this.#options.set(option, small.bytes.slice(0, size)), 0);
    if (size < 4) return -EINVAL;
    const value = small.view.getInt32(0, true);
    if (option === SO.passCredentials) return ((this.#passesCredentials = value !== 0), 0);
    if (option === SO.sendBuffer || option === SO.sendBufferForce) return this.#resize(value);
    if (option === SO.receiveBuffer || option === SO.receiveBufferForce) return 0;
    if (!REMEMBERED.includes(option)) return -ENOPROTOOPT;
    if (option === LINGER && size < 8) return -EINVAL;
    this.#options.set(option, small.bytes.slice(0, option === LINGER ? 8 : 4));
    return 0;
  }

  /** Twice what is asked for, as the kernel has it; at most its own net.core.wmem_default. Source: socket(7), SO_SNDBUF. */
  #resize(bytes: number): number {
    const SMALLEST = 4608;
    this.sendBuffer = Math.min(Math.max(bytes * 2, SMALLEST), 2 * SEND_BUFFER);
    this.strict.waiting.wake(this);
    return 0;
  }

  protected controlSocket(call: Trapped, command: number): number {
    if (command !== SIOCINQ && command !== SIOCOUTQ) return askInterfaces(call, command);
    const waiting = this.isStream ? this.queue.reduce((sum, { bytes, start }) => sum + bytes.length - start, 0) : (this.queue[0]?.bytes.length ?? 0);
    small.view.setInt32(0, command === SIOCINQ ? waiting : this.#used, true);
    return copyOut(call, call.arg(2), small, 4);
  }

  close(): void {
    this.isClosed = true;
    if (this.#name !== undefined) unbindUnix(this, this.#name);
    for (const message of this.queue.splice(0)) {
      message.rights?.release();
      this.received(message);
    }
  }
}

function put(value: Uint8Array, size: number): number {
  small.bytes.set(value);
  return Math.min(size, value.length);
}

function putCredentials({ pid, uid, gid }: Credentials, size: number): number {
  small.view.setInt32(UCRED.pid, pid, true);
  small.view.setUint32(UCRED.uid, uid, true);
  small.view.setUint32(UCRED.gid, gid, true);
  return Math.min(size, UCRED.size);
}
