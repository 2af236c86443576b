/** Calls about names, connections and options of sockets. */
import { EAGAIN, EALREADY, EINPROGRESS, EINVAL, ENOBUFS } from "../../../linux/abi/errno.ts";
import { POLLIN, POLLOUT } from "../../../linux/abi/poll.ts";
import { SOCK_CLOEXEC, SOCK_NONBLOCK } from "../../../linux/abi/socket.ts";
import { copyIn, copyOut, small } from "../memory.ts";
import type { Handler, Strict } from "../strict.ts";
import { ANSWERED, type Trapped } from "../trapped.ts";
import { copyAddress, onSocket, tellAddress } from "./address.ts";
import { NOTHING, type Socket } from "../sockets/socket.ts";

export const bind = onSocket((call, strict, socket) => {
  const address = copyAddress(call, call.arg(1), call.int(2));
  return typeof address === "number" ? address : socket.bind(call, strict, address);
});

export const listen = onSocket((call, strict, socket) => socket.listen(call, strict, call.int(1)));

export const connect = onSocket((call, strict, socket) => {
  const address = copyAddress(call, call.arg(1), call.int(2));
  if (typeof address === "number") return address;
  const result = socket.connect(call, strict, address);
  if (socket.nonBlocking) return result;
  // The kernel goes on connecting; made again, the call tells how that has ended.
  if (result === -EINPROGRESS || result === -EALREADY) return strict.waiting.isOver ? -EINPROGRESS : strict.waiting.waitFor(call, [socket], POLLOUT, socket.sendTimeout);
  return result === -EAGAIN && !strict.waiting.isOver ? strict.waiting.waitFor(call, [socket.blocker], POLLOUT, socket.sendTimeout) : result;
});

function acceptOn(call: Trapped, strict: Strict, socket: Socket, flags: number): number {
  // A caller that has been interrupted would lose the connection.
  if (!call.isWaiting()) return ANSWERED;
  const accepted = socket.accept(strict, flags & SOCK_NONBLOCK);
  if (accepted === -EAGAIN && !socket.nonBlocking && !strict.waiting.isOver) return strict.waiting.waitFor(call, [socket], POLLIN, socket.receiveTimeout);
  if (typeof accepted === "number") return accepted;
  const told = call.arg(1) === 0 ? 0 : tellAddress(call, call.arg(1), call.arg(2), addressOf(accepted));
  if (told >= 0) return strict.descriptors.give(call, accepted, (flags & SOCK_CLOEXEC) !== 0);
  accepted.close();
  return told;
}

function addressOf(socket: Socket): Uint8Array {
  const name = socket.peerName();
  return typeof name === "number" ? NOTHING : name;
}

export const accept = onSocket((call, strict, socket) => acceptOn(call, strict, socket, 0));
const acceptWithFlags = onSocket((call, strict, socket) => acceptOn(call, strict, socket, call.int(3)));
export const accept4: Handler = (call, strict) => ((call.int(3) & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) === 0 ? acceptWithFlags(call, strict) : -EINVAL);

const telling = (ask: (socket: Socket) => Uint8Array | number): Handler => onSocket((call, _strict, socket) => {
  const name = ask(socket);
  return typeof name === "number" ? name : tellAddress(call, call.arg(1), call.arg(2), name);
});

export const getsockname = telling((socket) => socket.name());
export const getpeername = telling((socket) => socket.peerName());

export const shutdown = onSocket((call, _strict, socket) => socket.shutdown(call.int(1)));

/** What fits into `small`: no option is longer but lists of multicast sources. */
const LONGEST_OPTION = 4096;

export const setsockopt = onSocket((call, strict, socket) => {
  const size = call.int(4);
  if (size < 0) return -EINVAL;
  if (size > LONGEST_OPTION) return -ENOBUFS;
  const copied = size === 0 ? 0 : copyIn(call, call.arg(3), small, size);
  return copied < 0 ? copied : socket.setOption(call, strict, call.int(1), call.int(2), size);
});

export const getsockopt = onSocket((call, strict, socket) => {
  const copied = copyIn(call, call.arg(4), small, 4);
  if (copied < 0) return copied;
  const room = small.view.getInt32(0, true);
  if (room < 0) return -EINVAL;
  // Some options are told by what the caller has put there.
  const size = Math.min(room, LONGEST_OPTION);
  const given = size === 0 ? 0 : copyIn(call, call.arg(3), small, size);
  const result = given < 0 ? given : socket.getOption(call, strict, call.int(1), call.int(2), size);
  if (result < 0) return result;
  const told = result === 0 ? 0 : copyOut(call, call.arg(3), small, result);
  if (told < 0) return told;
  small.view.setInt32(0, result, true);
  return copyOut(call, call.arg(4), small, 4);
});
