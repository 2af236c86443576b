/**
 * Sockets of AF_INET, AF_INET6 and of netlink's routes: the sentry has a socket of the kernel's, in the guest's network namespace, and makes the
 * calls on the guest's behalf, of which none waits. So it is with a socket of whatever family that the guest was born with, except that
 * nothing is done with names, or with descriptors in messages, of that.
 */
import { EAGAIN, EINVAL, ENOTTY, EOPNOTSUPP } from "../../../linux/abi/errno.ts";
import { POLLIN, POLLOUT, POLLPRI, POLLRDHUP, POLLRDNORM, POLLWRNORM } from "../../../linux/abi/poll.ts";
import * as abi from "../../../linux/abi/socket.ts";
import { Fd } from "../../../linux/fd.ts";
import { permanentBlock, type Block } from "../../../linux/memory.unsafe.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import { buffer, copyOut, small } from "../memory.ts";
import type { Streams } from "../objects/streams.ts";
import type { Strict } from "../strict.ts";
import type { Trapped } from "../trapped.ts";
import { interfaceControl } from "./interfaces.ts";
import { checkRouteRequests } from "./netlink.ts";
import { NOTHING, Socket, type Incoming, type Outgoing } from "./socket.ts";

const ANY = POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM;
const SEND_FLAGS = abi.MSG_OOB | abi.MSG_DONTROUTE | abi.MSG_EOR | abi.MSG_MORE | abi.MSG_CONFIRM;
const RECEIVE_FLAGS = abi.MSG_OOB | abi.MSG_PEEK | abi.MSG_TRUNC | abi.MSG_ERRQUEUE;
const SO_LINGER = 13;
const CONTROL_SIZE = 4096;
/** FIONREAD, TIOCOUTQ, SIOCATMARK: an int that is told. */
const TELLING: readonly number[] = [0x541b, 0x5411, 0x8905];

const header = permanentBlock(abi.MSGHDR.size);
const vector = permanentBlock(16);
const address = permanentBlock(abi.ADDRESS_SIZE);
const addressSize = permanentBlock(8);
const control = permanentBlock(CONTROL_SIZE);

function put(block: Block, at: number, value: number): void {
  block.view.setUint32(at, value % 0x1_0000_0000, true);
  block.view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
}

/** Fills in struct msghdr. @returns its address. */
function describe(data: Block, size: number, nameSize: number, controlSize: number): number {
  put(vector, 0, data.address);
  put(vector, 8, size);
  put(header, abi.MSGHDR.name, nameSize === 0 ? 0 : address.address);
  put(header, abi.MSGHDR.nameSize, nameSize);
  put(header, abi.MSGHDR.vectors, vector.address);
  put(header, abi.MSGHDR.vectorCount, 1);
  put(header, abi.MSGHDR.control, controlSize === 0 ? 0 : control.address);
  put(header, abi.MSGHDR.controlSize, controlSize);
  put(header, abi.MSGHDR.flags, 0);
  return header.address;
}

export class HostSocket extends Socket {
  readonly fd: Fd;
  readonly #streams: Streams;
  /** The runtime's caller has it as well. */
  readonly #isShared: boolean;
  /** What a receiver was given and did not get. */
  readonly #returned: { readonly message: Incoming; readonly bytes: Uint8Array }[] = [];
  #lingers = false;

  /** @param flags O_NONBLOCK for the guest; the socket itself is never waited for. */
  constructor(strict: Strict, fd: Fd, family: number, type: number, flags: number, isShared = false) {
    super(family, type, flags);
    this.fd = fd;
    this.#streams = strict.streams;
    this.#isShared = isShared;
    this.#streams.follow(fd, this);
  }

  /** With a name of a unix socket the kernel would look for a file, and not for the guest. */
  get #hasAddresses(): boolean {
    return !this.#isShared;
  }

  ready(): number {
    const events = kernel.readiness(this.fd.number, ANY);
    return this.#returned.length > 0 ? events | POLLIN | POLLRDNORM : events;
  }

  #putAddress(bytes: Uint8Array): number {
    if (!this.#hasAddresses || bytes.length > abi.ADDRESS_SIZE) return -EINVAL;
    address.bytes.set(bytes);
    return 0;
  }

  bind(call: Trapped, strict: Strict, to: Uint8Array): number {
    const refused = this.#putAddress(to);
    strict.callers.asCaller(call);
    return refused < 0 ? refused : kernel.bind(this.fd.number, address.address, to.length);
  }

  connect(call: Trapped, strict: Strict, to: Uint8Array): number {
    const refused = this.#putAddress(to);
    strict.callers.asCaller(call);
    return refused < 0 ? refused : kernel.connect(this.fd.number, address.address, to.length);
  }

  listen(_call: Trapped, _strict: Strict, backlog: number): number {
    return kernel.listen(this.fd.number, backlog);
  }

  accept(strict: Strict, flags: number): HostSocket | number {
    if (this.#isShared) return -EOPNOTSUPP;
    const accepted = kernel.accept(this.fd.number, abi.SOCK_CLOEXEC | abi.SOCK_NONBLOCK);
    if (accepted < 0) return accepted;
    const socket = new HostSocket(strict, new Fd(accepted), this.family, this.type, flags);
    socket.#lingers = this.#lingers;
    return socket;
  }

  send(_call: Trapped, _strict: Strict, message: Outgoing): number {
    if (this.family === abi.AF_NETLINK) {
      const refused = checkRouteRequests(buffer, message.size);
      if (refused < 0) return refused;
    }
    const { to } = message;
    const refused = to === undefined ? 0 : this.#putAddress(to);
    if (refused < 0) return refused;
    const passes = this.#hasAddresses && message.control.length <= CONTROL_SIZE ? message.control : NOTHING;
    control.bytes.set(passes);
    return kernel.send(this.fd.number, describe(buffer, message.size, to?.length ?? 0, passes.length), (message.flags & SEND_FLAGS) | abi.MSG_DONTWAIT | abi.MSG_NOSIGNAL);
  }

  write(from: Block, size: number): number {
    return kernel.send(this.fd.number, describe(from, size, 0, 0), abi.MSG_DONTWAIT | abi.MSG_NOSIGNAL);
  }

  receive(into: Block, size: number, flags: number): Incoming | number {
    if (this.#returned.length > 0 && (flags & (abi.MSG_OOB | abi.MSG_ERRQUEUE)) === 0) return this.#receiveReturned(into, size, (flags & abi.MSG_PEEK) !== 0);
    const result = kernel.receive(this.fd.number, describe(into, size, abi.ADDRESS_SIZE, this.#hasAddresses ? CONTROL_SIZE : 0), (flags & RECEIVE_FLAGS) | abi.MSG_DONTWAIT);
    if (result < 0) return result;
    // Of a stream, MSG_TRUNC has the kernel throw the data away: there is nothing in the block. Source: tcp(7).
    const isDiscarded = this.isStream && (flags & abi.MSG_TRUNC) !== 0;
    return {
      size: isDiscarded ? 0 : Math.min(result, size),
      length: result,
      flags: header.view.getInt32(abi.MSGHDR.flags, true) & ~abi.MSG_CMSG_CLOEXEC,
      from: address.bytes.slice(0, header.view.getUint32(abi.MSGHDR.nameSize, true)),
      control: this.#hasAddresses ? control.bytes.slice(0, header.view.getUint32(abi.MSGHDR.controlSize, true)) : NOTHING,
      rights: undefined,
      credentials: undefined,
    };
  }

  #receiveReturned(into: Block, size: number, peeks: boolean): Incoming | number {
    const [first] = this.#returned;
    if (first === undefined) return -EAGAIN;
    const count = Math.min(size, first.bytes.length);
    into.bytes.set(first.bytes.subarray(0, count));
    if (!peeks) {
      this.#returned.shift();
      if (this.isStream && count < first.bytes.length) this.#returned.unshift({ message: first.message, bytes: first.bytes.subarray(count) });
    }
    return { ...first.message, size: count, length: this.isStream ? count : first.message.length };
  }

  unreceive(message: Incoming, bytes: Uint8Array): void {
    this.#returned.unshift({ message, bytes: bytes.slice() });
  }

  shutdown(how: number): number {
    return kernel.shutDown(this.fd.number, how);
  }

  name(): Uint8Array | number {
    return this.#told(kernel.localName);
  }

  peerName(): Uint8Array | number {
    return this.#told(kernel.peerName);
  }

  #told(ask: (fd: number, address: number, size: number) => number): Uint8Array | number {
    put(addressSize, 0, abi.ADDRESS_SIZE);
    const result = ask(this.fd.number, address.address, addressSize.address);
    return result < 0 ? result : address.bytes.slice(0, Math.min(addressSize.view.getUint32(0, true), abi.ADDRESS_SIZE));
  }

  getOption(_call: Trapped, _strict: Strict, level: number, option: number, size: number): number {
    put(addressSize, 0, size);
    const result = kernel.getOption(this.fd.number, level, option, small.address, addressSize.address);
    return result < 0 ? result : addressSize.view.getUint32(0, true);
  }

  setOption(call: Trapped, strict: Strict, level: number, option: number, size: number): number {
    strict.callers.asCaller(call);
    const result = kernel.setOption(this.fd.number, level, option, small.address, size);
    if (result < 0) return result;
    this.keepTimeout(level, option, size);
    if (level === abi.SOL_SOCKET && option === SO_LINGER) this.#lingers = small.view.getInt32(0, true) !== 0 && small.view.getInt32(4, true) !== 0;
    return result;
  }

  protected controlSocket(call: Trapped, command: number): number {
    if (TELLING.includes(command)) {
      const result = kernel.control(this.fd.number, command, small.address);
      return result < 0 ? result : copyOut(call, call.arg(2), small, 4);
    }
    return this.#hasAddresses ? interfaceControl(call, this.fd.number, command) : -ENOTTY;
  }

  /** One that lingers would have us wait for its peer, whoever that is: it goes on without us. Source: socket(7), SO_LINGER. */
  close(): void {
    if (this.#lingers) {
      small.bytes.fill(0, 0, 8);
      kernel.setOption(this.fd.number, abi.SOL_SOCKET, SO_LINGER, small.address, 8);
    }
    this.#streams.unfollow(this.fd);
    this.fd.close();
  }
}
