/** Extended attributes on a hot path, of the file at a link of /proc/self/fd, into and out of blocks. Source: xattr(7). */
import { SYS } from "./arch.ts";
import type { CString } from "./c-string.ts";
import type { Block } from "./memory.unsafe.ts";
import { syscall } from "./syscall.unsafe.ts";

/** @param size 0 asks for the length only. @returns the length or the negative errno: ENODATA, ERANGE. */
export function tryGetXattr(path: CString, name: CString, into: Block, offset: number, size: number): number {
  return syscall(SYS.getxattr, path.address, name.address, size === 0 ? 0 : address(into, offset, size), size);
}

/** The names, each with its NUL. @param size 0 asks for the length only. */
export function tryListXattr(path: CString, into: Block, offset: number, size: number): number {
  return syscall(SYS.listxattr, path.address, size === 0 ? 0 : address(into, offset, size), size);
}

export function trySetXattr(path: CString, name: CString, from: Block, offset: number, size: number, flags: number): number {
  return syscall(SYS.setxattr, path.address, name.address, address(from, offset, size), size, flags);
}

export function tryRemoveXattr(path: CString, name: CString): number {
  return syscall(SYS.removexattr, path.address, name.address);
}

function address(block: Block, offset: number, size: number): number {
  if (offset < 0 || offset + size > block.size) throw new RangeError("beyond the block");
  return block.address + offset;
}
