/** Opening a netlink socket. Source: netlink(7). */
import { SYS } from "../arch.ts";
import * as nl from "../abi/netlink.ts";
import { check } from "../errors.ts";
import { Fd } from "../fd.ts";
import { scratch } from "../memory.unsafe.ts";
import { syscall } from "../syscall.unsafe.ts";

const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
/** How long an answer is waited for: EAGAIN then. */
export const TIMEOUT_SECONDS = 10;

/**
 * A socket for the caller's network namespace. @param name of the protocol, for errors. @param options NETLINK_* that are switched on.
 * @throws SysError EPROTONOSUPPORT on a kernel without that protocol
 */
export function openNetlink(protocol: number, name: string, options: readonly number[]): Fd {
  const fd = new Fd(check(syscall(SYS.socket, nl.AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol), "socket", name));
  using s = scratch();
  const value = s.reserve(16);
  value.view.setBigInt64(0, BigInt(TIMEOUT_SECONDS), true);
  check(syscall(SYS.setsockopt, fd.number, SOL_SOCKET, SO_RCVTIMEO, value.address, 16), "setsockopt", "SO_RCVTIMEO");
  value.view.setBigInt64(0, 1n, true);
  for (const option of options) check(syscall(SYS.setsockopt, fd.number, nl.SOL_NETLINK, option, value.address, 4), "setsockopt", "NETLINK_EXT_ACK");
  return fd;
}
