/** recvfrom(2), recvmsg(2), recvmmsg(2), and read(2) from a socket. */
import { EAGAIN, ENOENT } from "../../../linux/abi/errno.ts";
import { POLLIN } from "../../../linux/abi/poll.ts";
import * as abi from "../../../linux/abi/socket.ts";
import { buffer, BUFFER_SIZE, copyIn, copyOut, part, small } from "../memory.ts";
import type { Strict } from "../strict.ts";
import { ANSWERED, type Trapped } from "../trapped.ts";
import { onSocket, tellAddress } from "./address.ts";
import { copyHeader, sizeOf, type Header, type Vectors } from "./message.ts";
import { MMSGHDR, MOST_MESSAGES } from "./send.ts";
import type { Incoming, Socket } from "../sockets/socket.ts";

const SYS_RECVMMSG = 299;

/** Copies what is in the buffer to the vectors, past `from` bytes of them. @returns 0 or the negative errno. */
function scatter(call: Trapped, vectors: Vectors, from: number, count: number): number {
  let done = 0;
  let skip = from;
  for (const [address, size] of vectors) {
    const taken = Math.min(size - skip, count - done);
    if (taken > 0) {
      const copied = copyOut(call, address + skip, part(buffer, done), taken);
      if (copied < 0) return copied;
      done += taken;
    }
    skip = Math.max(skip - size, 0);
  }
  return 0;
}

/** @param tell writes what comes with the data. @returns bytes, the negative errno, WAITS or ANSWERED. */
export function receiveInto(call: Trapped, strict: Strict, socket: Socket, vectors: Vectors, flags: number, tell: (message: Incoming) => number = () => 0): number {
  const total = sizeOf(vectors);
  const wantsAll = socket.isStream && (flags & abi.MSG_WAITALL) !== 0 && (flags & abi.MSG_PEEK) === 0;
  const before = wantsAll ? socket.progress.take(call) : 0;
  for (let done = before; ; ) {
    const message = socket.receive(buffer, Math.min(total - done, BUFFER_SIZE), flags);
    if (typeof message === "number") return message === -EAGAIN ? nothing(call, strict, socket, flags, done) : done > 0 ? done : message;
    const told = tell(message);
    const copied = told < 0 ? told : scatter(call, vectors, done, message.size);
    if (copied < 0) return lose(socket, message, flags, copied);
    done += message.length;
    if (wantsAll && message.length > 0 && done < total) continue;
    return end(call, strict, socket, message, flags, done, before);
  }
}

function lose(socket: Socket, message: Incoming, flags: number, errno: number): number {
  if ((flags & abi.MSG_PEEK) === 0) giveBack(socket, message);
  return errno;
}

function giveBack(socket: Socket, message: Incoming): void {
  socket.unreceive(message, buffer.bytes.slice(0, message.size));
}

/** @param before what had been received before this attempt. */
function end(call: Trapped, strict: Strict, socket: Socket, message: Incoming, flags: number, done: number, before: number): number {
  const result = socket.isStream || (flags & abi.MSG_TRUNC) !== 0 ? done : message.size;
  if ((flags & abi.MSG_PEEK) !== 0) return result;
  const undo = () => (before === 0 && done === message.size ? giveBack(socket, message) : socket.progress.keep(call, done));
  if (message.rights !== undefined && call.nr === SYS_RECVMMSG) message.rights.release();
  if (message.rights === undefined || call.nr === SYS_RECVMMSG) return message.length === 0 ? result : strict.undoable(result, undo);
  // The receiver has copies of the descriptors by now: ours are needed until it is known that it has learned of them.
  if (call.answer(result) === -ENOENT) giveBack(socket, message);
  else message.rights.release();
  return ANSWERED;
}

function nothing(call: Trapped, strict: Strict, socket: Socket, flags: number, done: number): number {
  if (socket.nonBlocking || (flags & abi.MSG_DONTWAIT) !== 0 || strict.waiting.isOver) return done > 0 ? done : -EAGAIN;
  socket.progress.keep(call, done);
  return strict.waiting.waitFor(call, [socket], POLLIN, socket.receiveTimeout);
}

export const recvfrom = onSocket((call, strict, socket) => {
  const tell = ({ from }: Incoming) => (call.arg(4) === 0 ? 0 : tellAddress(call, call.arg(4), call.arg(5), from));
  return receiveInto(call, strict, socket, [[call.arg(1), call.arg(2)]], call.int(3), tell);
});

function receiveHeader(call: Trapped, strict: Strict, socket: Socket, at: number, flags: number): number {
  const header = copyHeader(call, at);
  return typeof header === "number" ? header : receiveInto(call, strict, socket, header.vectors, flags, (message) => tellMessage(call, header, message, flags));
}

/** The address, the control messages, and what of both was too long. */
function tellMessage(call: Trapped, header: Header, message: Incoming, flags: number): number {
  const { nameSize } = abi.MSGHDR;
  const told = header.name === 0 ? 0 : tellAddress(call, header.name, header.at + nameSize, message.from);
  if (told < 0) return told;
  const { bytes, isCut } = controlOf(call, message, header.controlSize, flags);
  small.bytes.set(bytes);
  const copied = bytes.length === 0 ? 0 : copyOut(call, header.control, small, bytes.length);
  if (copied < 0) return copied;
  small.view.setBigUint64(0, BigInt(bytes.length), true);
  small.view.setBigUint64(8, BigInt(message.flags | (isCut ? abi.MSG_CTRUNC : 0) | (flags & abi.MSG_CMSG_CLOEXEC)), true);
  // Size of the control messages and flags lie side by side, at the end.
  return copyOut(call, header.at + abi.MSGHDR.controlSize, small, 12);
}

interface Control {
  readonly bytes: Uint8Array;
  readonly isCut: boolean;
}

/** @param room for it. Source: Linux net/core/scm.c, put_cmsg, scm_detach_fds. */
function controlOf(call: Trapped, message: Incoming, room: number, flags: number): Control {
  const parts: Uint8Array[] = [message.control.subarray(0, room)];
  let isCut = message.control.length > room;
  const { credentials, rights } = message;
  const left = () => room - parts.reduce((sum, { length }) => sum + length, 0);
  if (credentials !== undefined) {
    const data = new DataView(new ArrayBuffer(abi.UCRED.size));
    data.setInt32(abi.UCRED.pid, credentials.pid, true);
    data.setUint32(abi.UCRED.uid, credentials.uid, true);
    data.setUint32(abi.UCRED.gid, credentials.gid, true);
    if (left() < abi.CMSG.data + abi.UCRED.size) isCut = true;
    else parts.push(controlMessage(abi.SCM_CREDENTIALS, new Uint8Array(data.buffer), left()));
  }
  if (rights !== undefined) {
    const numbers: number[] = [];
    const most = Math.floor((left() - abi.CMSG.data) / 4);
    for (const fd of rights.fds.slice(0, Math.max(most, 0))) {
      const number = call.addDescriptor(fd, (flags & abi.MSG_CMSG_CLOEXEC) !== 0);
      if (number < 0) break;
      numbers.push(number);
    }
    if (numbers.length < rights.fds.length) isCut = true;
    if (numbers.length > 0) parts.push(controlMessage(abi.SCM_RIGHTS, new Uint8Array(Int32Array.from(numbers).buffer), left()));
  }
  return { bytes: Buffer.concat(parts), isCut };
}

/** struct cmsghdr with its data, filled up to a multiple of 8 where there is room for that. */
function controlMessage(type: number, data: Uint8Array, room: number): Uint8Array {
  const size = abi.CMSG.data + data.length;
  const bytes = new Uint8Array(Math.min((size + 7) & ~7, Math.max(room, size)));
  const view = new DataView(bytes.buffer);
  view.setBigUint64(abi.CMSG.length, BigInt(size), true);
  view.setInt32(abi.CMSG.level, abi.SOL_SOCKET, true);
  view.setInt32(abi.CMSG.type, type, true);
  bytes.set(data, abi.CMSG.data);
  return bytes;
}

export const recvmsg = onSocket((call, strict, socket) => receiveHeader(call, strict, socket, call.arg(1), call.int(2)));

/** The first one is waited for; the others are taken where they are there. Its time limit is looked at between messages only, as the kernel does. Source: recvmmsg(2). */
export const recvmmsg = onSocket((call, strict, socket) => {
  const limit = call.arg(4) === 0 ? 0 : copyIn(call, call.arg(4), small, 16);
  if (limit < 0) return limit;
  const count = Math.min(call.arg(2) % 0x1_0000_0000, MOST_MESSAGES);
  for (let i = 0; i < count; i++) {
    const at = call.arg(1) + i * MMSGHDR.size;
    const received = receiveHeader(call, strict, socket, at, i === 0 ? call.int(3) : call.int(3) | abi.MSG_DONTWAIT);
    if (received < 0) return i === 0 ? received : i;
    small.view.setUint32(0, received, true);
    const copied = copyOut(call, at + MMSGHDR.result, small, 4);
    if (copied < 0) return i === 0 ? copied : i;
  }
  return count;
});
