/** The socket that a call's first argument is, and addresses in the guest's memory. */
import { EBADF, EINVAL, ENOTSOCK } from "../../../linux/abi/errno.ts";
import { ADDRESS_SIZE } from "../../../linux/abi/socket.ts";
import { copyIn, copyOut, small } from "../memory.ts";
import type { Handler, Strict } from "../strict.ts";
import type { Trapped } from "../trapped.ts";
import { Socket } from "../sockets/socket.ts";

/** A handler that is given it. */
export const onSocket =
  (act: (call: Trapped, strict: Strict, socket: Socket) => number): Handler =>
  (call, strict) => {
    const file = strict.descriptors.file(call, call.int(0));
    return file === undefined ? -EBADF : file instanceof Socket ? act(call, strict, file) : -ENOTSOCK;
  };

/** struct sockaddr of the guest's. */
export function copyAddress(call: Trapped, address: number, size: number): Uint8Array | number {
  if (size < 0 || size > ADDRESS_SIZE) return -EINVAL;
  const copied = size === 0 ? 0 : copyIn(call, address, small, size);
  return copied < 0 ? copied : small.bytes.slice(0, size);
}

/** As much of it as there is room for, and how long it is. @param sizeAt where the room's size, an int, is. @returns 0 or the negative errno. */
export function tellAddress(call: Trapped, address: number, sizeAt: number, bytes: Uint8Array): number {
  const copied = copyIn(call, sizeAt, small, 4);
  if (copied < 0) return copied;
  const room = small.view.getInt32(0, true);
  if (room < 0) return -EINVAL;
  small.bytes.set(bytes, 0);
  const told = room === 0 || bytes.length === 0 ? 0 : copyOut(call, address, small, Math.min(room, bytes.length));
  if (told < 0) return told;
  small.view.setInt32(0, bytes.length, true);
  return copyOut(call, sizeAt, small, 4);
}
