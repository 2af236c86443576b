/** Namespaces of the calling task. Sources: namespaces(7), unshare(2), setns(2), user_namespaces(7). */
import { SYS } from "./arch.ts";
import { check } from "./errors.ts";
import { Fd, fdNumber, type FdLike } from "./fd.ts";
import { ioctl } from "./file.ts";
import { scratch } from "./memory.unsafe.ts";
import { syscall } from "./syscall.unsafe.ts";

/** CLONE_NEW* by the name of the file in /proc/PID/ns. Source: Linux include/uapi/linux/sched.h. */
export const CLONE_NEW = {
  time: 0x00000080,
  mnt: 0x00020000,
  cgroup: 0x02000000,
  uts: 0x04000000,
  ipc: 0x08000000,
  user: 0x10000000,
  pid: 0x20000000,
  net: 0x40000000,
} as const;

export type NamespaceFile = keyof typeof CLONE_NEW;

/** @param flags CLONE_NEW* bits. A new pid or time namespace is for the children, not for the caller. */
export function unshare(flags: number, what: string): void {
  check(syscall(SYS.unshare, flags), "unshare", what);
}

/** @param kind the kind it has to be, as a CLONE_NEW* bit: a descriptor of another kind is refused with EINVAL. */
export function setNamespace(fd: FdLike, kind: number, path: string): void {
  check(syscall(SYS.setns, fdNumber(fd), kind), "setns", path);
}

/** Source: Linux include/uapi/linux/nsfs.h. */
const NS_GET_USERNS = 0xb701;

/** @returns the user namespace that owns the namespace. @throws SysError EPERM where that is outside the caller's own. */
export const userNamespaceOf = (namespace: FdLike): Fd => new Fd(ioctl(namespace, NS_GET_USERNS, 0, "NS_GET_USERNS"));

export function setHostname(name: string): void {
  using s = scratch();
  check(syscall(SYS.sethostname, s.cstr(name), Buffer.byteLength(name)), "sethostname", name);
}

export function setDomainname(name: string): void {
  using s = scratch();
  check(syscall(SYS.setdomainname, s.cstr(name), Buffer.byteLength(name)), "setdomainname", name);
}
