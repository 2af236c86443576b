/**
 * Names in directories, on a hot path: every function takes a directory's descriptor and one name as it came from outside, and returns the
 * call's result or the negative errno. Nothing is allocated. Sources: the man page named like each function.
 */
import { SYS } from "./arch.ts";
import { AT_EMPTY_PATH, O_CLOEXEC } from "./abi/fcntl.ts";
import { OPEN_HOW_SIZE } from "./abi/openat2.ts";
import type { CString } from "./c-string.ts";
import { fdNumber, type FdLike } from "./fd.ts";
import { permanentBlock, type Block } from "./memory.unsafe.ts";
import { retrying, syscall } from "./syscall.unsafe.ts";

const how = permanentBlock(OPEN_HOW_SIZE);
const empty = permanentBlock(8);
const times = permanentBlock(32);
const UTIME_OMIT = 0x3ffffffe;
const WORD = 0x1_0000_0000;

/** openat2(2), always close-on-exec. */
export function tryOpenEntry(dir: FdLike, name: CString, flags: number, resolve: number, mode = 0): number {
  how.view.setUint32(0, (flags | O_CLOEXEC) >>> 0, true);
  how.view.setUint32(8, mode, true);
  how.view.setUint32(16, resolve, true);
  return retrying(SYS.openat2, fdNumber(dir), name.address, how.address, OPEN_HOW_SIZE);
}

export function tryMakeDirectory(dir: FdLike, name: CString, mode: number): number {
  return syscall(SYS.mkdirat, fdNumber(dir), name.address, mode);
}

/** mknod(2) of what is no device. */
export function tryMakeNode(dir: FdLike, name: CString, mode: number): number {
  return syscall(SYS.mknodat, fdNumber(dir), name.address, mode, 0);
}

export function trySymlink(target: CString, dir: FdLike, name: CString): number {
  return syscall(SYS.symlinkat, target.address, fdNumber(dir), name.address);
}

/** @param flags AT_REMOVEDIR or 0. */
export function tryUnlink(dir: FdLike, name: CString, flags: number): number {
  return syscall(SYS.unlinkat, fdNumber(dir), name.address, flags);
}

export function tryRename(fromDir: FdLike, from: CString, toDir: FdLike, to: CString, flags: number): number {
  return syscall(SYS.renameat2, fdNumber(fromDir), from.address, fdNumber(toDir), to.address, flags);
}

/** Another name for the file at `path`, a link of /proc/self/fd, which is followed. */
export function tryLinkPath(path: CString, dir: FdLike, name: CString): number {
  const AT_SYMLINK_FOLLOW = 0x400;
  return syscall(SYS.linkat, -100, path.address, fdNumber(dir), name.address, AT_SYMLINK_FOLLOW);
}

/** The target of a symbolic link that `fd`, opened with O_PATH | O_NOFOLLOW, refers to. @returns its length. */
export function tryReadLink(fd: FdLike, into: Block, offset: number, size: number): number {
  if (offset + size > into.size) throw new RangeError("beyond the block");
  return syscall(SYS.readlinkat, fdNumber(fd), empty.address, into.address + offset, size);
}

/** @param uid or -1, -1 for no change, as `gid`. */
export function tryChangeOwner(fd: FdLike, uid: number, gid: number): number {
  return syscall(SYS.fchownat, fdNumber(fd), empty.address, uid, gid, AT_EMPTY_PATH);
}

/** chmod of the file at `path`, a link of /proc/self/fd: fchmod(2) refuses O_PATH descriptors. */
export function tryChangeMode(path: CString, mode: number): number {
  return syscall(SYS.fchmodat, -100, path.address, mode);
}

/** A point in time for `trySetTimes`; seconds may be negative. `nanoseconds` UTIME_NOW (0x3fffffff) or UTIME_OMIT (0x3ffffffe) as in utimensat(2). */
export interface TimeSpec {
  seconds: number;
  nanoseconds: number;
}

function putTime(offset: number, { seconds, nanoseconds }: TimeSpec): void {
  const high = Math.floor(seconds / WORD);
  times.view.setUint32(offset, (seconds - high * WORD) >>> 0, true);
  times.view.setInt32(offset + 4, high, true);
  times.view.setUint32(offset + 8, nanoseconds, true);
}

export function trySetTimes(fd: FdLike, access: TimeSpec, modify: TimeSpec): number {
  putTime(0, access);
  putTime(16, modify);
  return syscall(SYS.utimensat, fdNumber(fd), empty.address, times.address, AT_EMPTY_PATH);
}

export const UTIME = { now: 0x3fffffff, omit: UTIME_OMIT } as const;
