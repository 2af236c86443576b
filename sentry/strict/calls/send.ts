/** sendto(2), sendmsg(2), sendmmsg(2), and write(2) to a socket. */
import { EAGAIN, EMSGSIZE, EPIPE } from "../../../linux/abi/errno.ts";
import { POLLOUT } from "../../../linux/abi/poll.ts";
import { MSG_DONTWAIT, MSG_NOSIGNAL } from "../../../linux/abi/socket.ts";
import { BUFFER_SIZE, copyOut, gather, small } from "../memory.ts";
import type { Strict } from "../strict.ts";
import { WAITS, type Trapped } from "../trapped.ts";
import { copyAddress, onSocket } from "./address.ts";
import { copyControl, copyHeader, sizeOf, type Vectors } from "./message.ts";
import { NOTHING, type Outgoing, type Socket } from "../sockets/socket.ts";

/** What is sent besides data. */
type Besides = Pick<Outgoing, "to" | "control">;
const ALONE: Besides = { to: undefined, control: NOTHING };

/** @returns bytes, a negative errno, WAITS or ANSWERED. */
export function sendFrom(call: Trapped, strict: Strict, socket: Socket, vectors: Vectors, flags: number, besides: Besides = ALONE): number {
  const before = socket.progress.take(call);
  const total = sizeOf(vectors);
  if (before > 0 && (!socket.isStream || before >= total)) return before;
  return socket.isStream ? sendStream(call, strict, socket, vectors, flags, besides, before) : sendMessage(call, strict, socket, vectors, flags, besides);
}

/** All of it, unless it does not want to wait. */
function sendStream(call: Trapped, strict: Strict, socket: Socket, vectors: Vectors, flags: number, besides: Besides, before: number): number {
  const total = sizeOf(vectors);
  let done = before;
  do {
    const size = gather(call, vectors, done);
    const sent = size < 0 ? size : socket.send(call, strict, { size, flags, ...(done === 0 ? besides : ALONE) });
    if (sent < 0) return sent === -EAGAIN ? full(call, strict, socket, flags, done) : done > 0 ? told(call, strict, socket, done) : refused(call, strict, socket, flags, sent);
    done += sent;
    if (sent === 0) break;
  } while (done < total);
  return told(call, strict, socket, done);
}

function sendMessage(call: Trapped, strict: Strict, socket: Socket, vectors: Vectors, flags: number, besides: Besides): number {
  if (sizeOf(vectors) > BUFFER_SIZE) return -EMSGSIZE;
  const size = gather(call, vectors, 0);
  if (size < 0) return size;
  const sent = socket.send(call, strict, { size, flags, ...besides });
  if (sent === -EAGAIN) return full(call, strict, socket, flags, 0);
  return sent < 0 ? refused(call, strict, socket, flags, sent) : told(call, strict, socket, sent);
}

/** Where the caller does not learn of it, it will ask again, and is told then. */
function told(call: Trapped, strict: Strict, socket: Socket, done: number): number {
  return strict.undoable(done, () => socket.progress.keep(call, done));
}

function full(call: Trapped, strict: Strict, socket: Socket, flags: number, done: number): number {
  if (socket.nonBlocking || (flags & MSG_DONTWAIT) !== 0 || strict.waiting.isOver) return done > 0 ? told(call, strict, socket, done) : -EAGAIN;
  socket.progress.keep(call, done);
  return strict.waiting.waitFor(call, [socket.blocker], POLLOUT, socket.sendTimeout);
}

function refused(call: Trapped, strict: Strict, socket: Socket, flags: number, errno: number): number {
  return errno === -EPIPE && socket.isStream && (flags & MSG_NOSIGNAL) === 0 ? strict.callers.brokenPipe(call) : errno;
}

export const sendto = onSocket((call, strict, socket) => {
  const to = call.arg(4) === 0 ? undefined : copyAddress(call, call.arg(4), call.int(5));
  if (typeof to === "number") return to;
  return sendFrom(call, strict, socket, [[call.arg(1), call.arg(2)]], call.int(3), { to, control: NOTHING });
});

function sendHeader(call: Trapped, strict: Strict, socket: Socket, at: number, flags: number): number {
  const header = copyHeader(call, at);
  if (typeof header === "number") return header;
  const to = header.nameSize === 0 ? undefined : copyAddress(call, header.name, header.nameSize);
  if (typeof to === "number") return to;
  const control = copyControl(call, header);
  return typeof control === "number" ? control : sendFrom(call, strict, socket, header.vectors, flags, { to, control });
}

export const sendmsg = onSocket((call, strict, socket) => sendHeader(call, strict, socket, call.arg(1), call.int(2)));

/** struct mmsghdr: struct msghdr, and what was sent. */
export const MMSGHDR = { result: 56, size: 64 } as const;
export const MOST_MESSAGES = 1024;

/** Those after the first do not wait: the caller asks again. Source: sendmmsg(2). */
export const sendmmsg = onSocket((call, strict, socket) => {
  const count = Math.min(call.arg(2) % 0x1_0000_0000, MOST_MESSAGES);
  for (let i = 0; i < count; i++) {
    const at = call.arg(1) + i * MMSGHDR.size;
    const sent = sendHeader(call, strict, socket, at, i === 0 ? call.int(3) : call.int(3) | MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) return i === 0 || sent === WAITS ? sent : i;
    small.view.setUint32(0, sent, true);
    const copied = copyOut(call, at + MMSGHDR.result, small, 4);
    if (copied < 0) return i === 0 ? copied : i;
  }
  return count;
});
