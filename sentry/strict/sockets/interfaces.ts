/** What programs ask any socket about the interfaces of its network namespace. Source: netdevice(7). Nothing is changed by these. */
import { EFAULT, ENOTTY } from "../../../linux/abi/errno.ts";
import { AF_INET, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK } from "../../../linux/abi/socket.ts";
import { Fd } from "../../../linux/fd.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import { permanentBlock } from "../../../linux/memory.unsafe.ts";
import { buffer, copyIn, copyOut, small, wide } from "../memory.ts";
import type { Trapped } from "../trapped.ts";

/** struct ifreq. */
const REQUEST_SIZE = 40;
export const INTERFACE_COMMANDS = {
  SIOCGIFNAME: 0x8910,
  SIOCGIFFLAGS: 0x8913,
  SIOCGIFADDR: 0x8915,
  SIOCGIFDSTADDR: 0x8917,
  SIOCGIFBRDADDR: 0x8919,
  SIOCGIFNETMASK: 0x891b,
  SIOCGIFMETRIC: 0x891d,
  SIOCGIFMTU: 0x8921,
  SIOCGIFHWADDR: 0x8927,
  SIOCGIFINDEX: 0x8933,
  SIOCGIFTXQLEN: 0x8942,
} as const;
export const INTERFACE_LIST = { SIOCGIFCONF: 0x8912 } as const;
const KNOWN: readonly number[] = Object.values(INTERFACE_COMMANDS);

/** @param fd a socket of the kernel's. */
export function interfaceControl(call: Trapped, fd: number, command: number): number {
  if (command === INTERFACE_LIST.SIOCGIFCONF) return interfaceList(call, fd);
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
  const result = kernel.control(fd, INTERFACE_LIST.SIOCGIFCONF, list.address);
  if (result < 0) return result;
  const told = to === 0 ? 0 : copyOut(call, to, buffer, Math.min(list.view.getInt32(0, true), LONGEST));
  return told < 0 ? told : copyOut(call, call.arg(2), list, 4);
}
