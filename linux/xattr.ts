/**
 * Extended attributes of what a descriptor refers to. O_PATH descriptors, which the f-calls refuse, are reached through /proc/self/fd:
 * its links lead to the open file itself, so no name is resolved, and a symbolic link opened with O_NOFOLLOW is meant itself.
 * Source: xattr(7).
 */
import { SYS, type SyscallName } from "./arch.ts";
import { EBADF, ENODATA } from "./abi/errno.ts";
import { XATTR_LIST_MAX, XATTR_SIZE_MAX } from "./abi/xattr.ts";
import { check } from "./errors.ts";
import { fdNumber, type FdLike } from "./fd.ts";
import { scratch, type Scratch } from "./memory.unsafe.ts";
import { syscall } from "./syscall.unsafe.ts";

type PathCall = Extract<SyscallName, "getxattr" | "setxattr" | "listxattr" | "removexattr">;

function call(s: Scratch, name: PathCall, fd: FdLike, ...rest: number[]): number {
  const result = syscall(SYS[`f${name}`], fdNumber(fd), ...rest);
  return result === -EBADF ? syscall(SYS[name], s.cstr(`/proc/self/fd/${fdNumber(fd)}`), ...rest) : result;
}

/** @param name with its prefix, `user.` for example. @returns undefined where the file has no such attribute. */
export function getXattr(fd: FdLike, name: string): Uint8Array | undefined {
  using s = scratch();
  const value = s.reserve(XATTR_SIZE_MAX);
  const length = call(s, "getxattr", fd, s.cstr(name), value.address, value.size);
  if (length === -ENODATA) return undefined;
  return value.bytes.slice(0, check(length, "getxattr", name));
}

/** @param flags XATTR_CREATE (EEXIST where it exists), XATTR_REPLACE (ENODATA where it does not), 0 for either. */
export function setXattr(fd: FdLike, name: string, value: Uint8Array, flags = 0): void {
  using s = scratch();
  check(call(s, "setxattr", fd, s.cstr(name), s.copy(value), value.length, flags), "setxattr", name);
}

/** @returns false where the file has no such attribute. */
export function removeXattr(fd: FdLike, name: string): boolean {
  using s = scratch();
  const result = call(s, "removexattr", fd, s.cstr(name));
  if (result === -ENODATA) return false;
  check(result, "removexattr", name);
  return true;
}

/** The names, in the file system's own order. */
export function listXattr(fd: FdLike): string[] {
  using s = scratch();
  const list = s.reserve(XATTR_LIST_MAX);
  const length = check(call(s, "listxattr", fd, list.address, list.size), "listxattr");
  return new TextDecoder().decode(list.bytes.slice(0, length)).split("\0").slice(0, -1);
}
