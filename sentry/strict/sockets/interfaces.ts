/** What programs ask any socket about the interfaces of its network namespace. Source: netdevice(7). Nothing is changed by these. */
import { EFAULT, ENOTTY } from "../../../linux/abi/errno.ts";
import { AF_INET, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK } from "../../../linux/abi/socket.ts";
import { Fd } from "../../../linux/fd.ts";
import { INTERFACE_COMMANDS, SIOCGIFCONF } from "../../../linux/abi/socket.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import { permanentBlock } from "../../../linux/memory.unsafe.ts";
import { buffer, copyIn, copyOut, small, wide } from "../memory.ts";
import type { Trapped } from "../trapped.ts";

/** struct ifreq. */
const REQUEST_SIZE = 40;
const KNOWN: readonly number[] = Object.values(INTERFACE_COMMANDS);

/** @param fd a socket of the kernel's. */
export function interfaceControl(call: Trapped, fd: number, command: number): number {
  if (command === SIOCGIFCONF) return interfaceList(call, fd);
  if (!KNOWN.includes(command)) return -ENOTTY;
  const copied = copyIn(call, call.arg(2), small, REQUEST_SIZE);
  const result = copied < 0 ? copied : kernel.control(fd, command, small.address);
  return result < 0 ? result : copyOut(call, call.arg(2), small, REQUEST_SIZE);
}

/** For sockets that are not the kernel's: any will do, and glibc asks one of AF_UNIX. */
export function askInterfaces(call: Trapped, command: number): number {
  const made = kernel.makeSocket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (made < 0) return -ENOTTY;
  using socket = new Fd(made);
  return interfaceControl(call, socket.number, command);
}

/** struct ifconf: a size, and where the list is to be. */
const list = permanentBlock(16);
const LONGEST = 65_536;

function interfaceList(call: Trapped, fd: number): number {
  const copied = copyIn(call, call.arg(2), list, 16);
  if (copied < 0) return copied;
  const [size, to] = [list.view.getInt32(0, true), wide(list, 8)];
  if (size < 0) return -EFAULT;
  list.view.setInt32(0, Math.min(size, LONGEST), true);
  list.view.setBigUint64(8, BigInt(to === 0 ? 0 : buffer.address), true);
  const result = kernel.control(fd, SIOCGIFCONF, list.address);
  if (result < 0) return result;
  const told = to === 0 ? 0 : copyOut(call, to, buffer, Math.min(list.view.getInt32(0, true), LONGEST));
  return told < 0 ? told : copyOut(call, call.arg(2), list, 4);
}
