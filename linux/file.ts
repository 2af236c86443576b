/** Files and directories by descriptor. Sources: openat2(2), statx(2) and the man page named like each function. */
import { SYS } from "./arch.ts";
import * as fcntl from "./abi/fcntl.ts";
import { decodeStatx, STATX_BASIC, STATX_MNT_ID, STATX_SIZE, type Statx } from "./abi/statx.ts";
import { encodeOpenHow, OPEN_HOW_SIZE } from "./abi/openat2.ts";
import { check } from "./errors.ts";
import { AT_FDCWD, Fd, fdNumber, type FdLike } from "./fd.ts";
import { readCString, scratch } from "./memory.unsafe.ts";
import { retrying, syscall } from "./syscall.unsafe.ts";

export interface OpenOptions {
  /** Creation mode, 0 to 0o7777. */
  readonly mode?: number;
  /** `RESOLVE_*`. */
  readonly resolve?: number;
}

/** openat2(2), always close-on-exec. @throws SysError */
export function openAt(dir: FdLike, path: string, flags: number, options: OpenOptions = {}): Fd {
  return new Fd(check(tryOpenAt(dir, path, flags, options), "openat2", path));
}

/** The same with the negative errno as the result, for callers to whom a refusal is an answer. */
export function tryOpenAt(dir: FdLike, path: string, flags: number, options: OpenOptions = {}): number {
  using s = scratch();
  const how = s.copy(encodeOpenHow({ flags: flags | fcntl.O_CLOEXEC, mode: options.mode ?? 0, resolve: options.resolve ?? 0 }));
  return retrying(SYS.openat2, fdNumber(dir), s.cstr(path), how, OPEN_HOW_SIZE);
}

export function open(path: string, flags: number, options: OpenOptions = {}): Fd {
  return openAt(AT_FDCWD, path, flags, options);
}

/** @returns the bytes read; none at the end of the file. */
export function read(fd: FdLike, size: number): Uint8Array {
  using s = scratch();
  const block = s.reserve(size);
  const count = check(retrying(SYS.read, fdNumber(fd), block.address, size), "read");
  return block.bytes.slice(0, count);
}

/** Reads to the end. @throws SysError; EOVERFLOW-like growth is bounded by `limit` bytes, past which the rest is left unread. */
export function readAll(fd: FdLike, limit = 1 << 20): Uint8Array {
  const chunks: Uint8Array[] = [];
  for (let total = 0; total < limit; ) {
    const chunk = read(fd, Math.min(65536, limit - total));
    if (chunk.length === 0) break;
    chunks.push(chunk);
    total += chunk.length;
  }
  return Buffer.concat(chunks);
}

/** Reads at an offset in bytes, without moving the descriptor's own. Source: pread(2). */
export function readAt(fd: FdLike, offset: number, size: number): Uint8Array {
  using s = scratch();
  const block = s.reserve(size);
  const count = check(retrying(SYS.pread64, fdNumber(fd), block.address, size, offset), "pread64");
  return block.bytes.slice(0, count);
}

/** Sets the descriptor's offset back to 0. Source: lseek(2). */
export function rewind(fd: FdLike): void {
  check(syscall(SYS.lseek, fdNumber(fd), 0, 0), "lseek");
}

/** Writes all of `data`. @throws SysError */
export function writeAll(fd: FdLike, data: Uint8Array | string): void {
  let rest = typeof data === "string" ? Buffer.from(data) : data;
  while (rest.length > 0) {
    using s = scratch();
    const chunk = rest.subarray(0, 65536);
    rest = rest.subarray(check(retrying(SYS.write, fdNumber(fd), s.copy(chunk), chunk.length), "write"));
  }
}

/** statx(2) of an open descriptor, or of `path` below it without following a last symbolic link. */
export function statAt(fd: FdLike, path = ""): Statx {
  using s = scratch();
  const buffer = s.reserve(STATX_SIZE);
  const flags = path === "" ? fcntl.AT_EMPTY_PATH : fcntl.AT_SYMLINK_NOFOLLOW;
  check(syscall(SYS.statx, fdNumber(fd), s.cstr(path), flags, STATX_BASIC | STATX_MNT_ID, buffer.address), "statx", path || undefined);
  return decodeStatx(buffer.view);
}

/** The file system that an open descriptor's file lies on; a server of that is not asked. Source: statx(2), AT_STATX_DONT_SYNC. */
export function deviceOf(fd: FdLike): Statx["dev"] {
  using s = scratch();
  const buffer = s.reserve(STATX_SIZE);
  check(syscall(SYS.statx, fdNumber(fd), s.cstr(""), fcntl.AT_EMPTY_PATH | fcntl.AT_STATX_DONT_SYNC, 0, buffer.address), "statx");
  return decodeStatx(buffer.view).dev;
}

/** The file system's magic number. Source: statfs(2), Linux include/uapi/linux/magic.h. */
export function fileSystemMagic(fd: FdLike): number {
  using s = scratch();
  const buffer = s.reserve(120);
  check(syscall(SYS.fstatfs, fdNumber(fd), buffer.address), "fstatfs");
  return Number(buffer.view.getBigInt64(0, true));
}

const PROC_SUPER_MAGIC = 0x9fa0;

/** Whether the file lies on a procfs. Source: statfs(2). */
export function isOnProcfs(fd: FdLike): boolean {
  return fileSystemMagic(fd) === PROC_SUPER_MAGIC;
}

/** Whether it is the null device (1:3), however it is called. Source: null(4). */
export function isNullDevice(fd: FdLike): boolean {
  const { mode, rdev } = statAt(fd);
  return (mode & fcntl.S_IFMT) === fcntl.S_IFCHR && rdev.major === 1 && rdev.minor === 3;
}

export function readLinkAt(dir: FdLike, path: string): string {
  using s = scratch();
  const buffer = s.reserve(4096);
  const length = check(syscall(SYS.readlinkat, fdNumber(dir), s.cstr(path), buffer.address, 4096), "readlink", path);
  return readCString(buffer.bytes.subarray(0, length));
}

export function makeDirectoryAt(dir: FdLike, name: string, mode: number): void {
  using s = scratch();
  check(syscall(SYS.mkdirat, fdNumber(dir), s.cstr(name), mode), "mkdir", name);
}

/** @param device the number that `makeDevice` composes; 0 for all but character and block devices. */
export function makeNodeAt(dir: FdLike, name: string, mode: number, device = 0): void {
  using s = scratch();
  check(syscall(SYS.mknodat, fdNumber(dir), s.cstr(name), mode, device), "mknod", name);
}

/** Composes a device number. Source: makedev(3). */
export function makeDevice(major: number, minor: number): number {
  return ((major & 0xfff) << 8) | (minor & 0xff) | ((minor & 0xfff00) << 12);
}

export function symlinkAt(target: string, dir: FdLike, name: string): void {
  using s = scratch();
  check(syscall(SYS.symlinkat, s.cstr(target), fdNumber(dir), s.cstr(name)), "symlink", name);
}

/** Two names exchange what they stand for, at once: renameat2(2) with RENAME_EXCHANGE. */
export function exchangeNames(one: string, other: string): void {
  const RENAME_EXCHANGE = 2;
  using s = scratch();
  check(syscall(SYS.renameat2, AT_FDCWD, s.cstr(one), AT_FDCWD, s.cstr(other), RENAME_EXCHANGE), "renameat2", other);
}

export function unlinkAt(dir: FdLike, name: string, flags = 0): void {
  using s = scratch();
  check(syscall(SYS.unlinkat, fdNumber(dir), s.cstr(name), flags), "unlink", name);
}

/** Changes owner and group of what `fd` refers to, an O_PATH descriptor included. */
export function changeOwner(fd: FdLike, uid: number, gid: number): void {
  using s = scratch();
  check(syscall(SYS.fchownat, fdNumber(fd), s.cstr(""), uid, gid, fcntl.AT_EMPTY_PATH), "fchown");
}

/** chmod of `name` in `dir`; follows a last symbolic link, so the caller has made sure that there is none. */
export function changeModeAt(dir: FdLike, name: string, mode: number): void {
  using s = scratch();
  check(syscall(SYS.fchmodat, fdNumber(dir), s.cstr(name), mode), "chmod", name);
}

/** Whether the effective user may do `mode` (X_OK ...) with the file; the negative errno is the answer if not. */
export function tryAccess(dir: FdLike, path: string, mode: number): number {
  using s = scratch();
  return syscall(SYS.faccessat2, fdNumber(dir), s.cstr(path), mode, fcntl.AT_EACCESS);
}

export function duplicate(fd: FdLike): Fd {
  const F_DUPFD_CLOEXEC = 1030;
  return new Fd(check(syscall(SYS.fcntl, fdNumber(fd), F_DUPFD_CLOEXEC, 0), "fcntl"));
}

/** Makes `target` refer to what `source` does, without close-on-exec. Source: dup2(2); a descriptor onto itself only loses the flag. */
export function duplicateOnto(source: FdLike, target: number): void {
  if (fdNumber(source) === target) return setCloseOnExec(target, false);
  check(retrying(SYS.dup3, fdNumber(source), target, 0), "dup3");
}

export function setCloseOnExec(fd: FdLike, on: boolean): void {
  check(syscall(SYS.fcntl, fdNumber(fd), fcntl.F_SETFD, on ? fcntl.FD_CLOEXEC : 0), "fcntl");
}

/** Marks every descriptor from `first` on close-on-exec, whoever opened it. Source: close_range(2). */
export function closeOnExecFrom(first: number): void {
  check(syscall(SYS.close_range, first, 0xffffffff, fcntl.CLOSE_RANGE_CLOEXEC), "close_range");
}

/** Closes every descriptor from `first` to `last`, both included. */
export function closeRange(first: number, last = 0xffffffff): void {
  if (first <= last) check(syscall(SYS.close_range, first, last, 0), "close_range");
}

/** @returns the read and the write end, both close-on-exec. */
export function pipe(): [Fd, Fd] {
  using s = scratch();
  const pair = s.reserve(8);
  check(syscall(SYS.pipe2, pair.address, fcntl.O_CLOEXEC), "pipe2");
  return [new Fd(pair.view.getInt32(0, true)), new Fd(pair.view.getInt32(4, true))];
}

/** The names in an open directory, without `.` and `..`. */
export function listDirectory(dir: FdLike): string[] {
  return listEntries(dir).map(({ name }) => name);
}

export interface DirectoryEntry {
  readonly name: string;
  /** S_IF*, or 0 where the file system does not tell. */
  readonly type: number;
}

/** The same with what each is. Source: getdents64(2). */
export function listEntries(dir: FdLike): DirectoryEntry[] {
  using s = scratch();
  const buffer = s.reserve(32768);
  const entries: DirectoryEntry[] = [];
  for (;;) {
    const filled = check(syscall(SYS.getdents64, fdNumber(dir), buffer.address, buffer.size), "getdents64");
    if (filled === 0) return entries;
    for (let offset = 0, next = 0; offset < filled; offset = next) {
      next = offset + buffer.view.getUint16(offset + 16, true);
      const name = readCString(buffer.bytes.subarray(offset + 19, next));
      if (name !== "." && name !== "..") entries.push({ name, type: buffer.view.getUint8(offset + 18) << 12 });
    }
  }
}

/** getcwd(2): starts with `(unreachable)` where the directory is outside the process's root. */
export function currentDirectory(): string {
  using s = scratch();
  const buffer = s.reserve(4096);
  check(syscall(SYS.getcwd, buffer.address, buffer.size), "getcwd");
  return readCString(buffer.bytes);
}

/** ioctl(2) whose argument is a number. @returns the call's result. */
export function ioctl(fd: FdLike, request: number, argument: number, name: string): number {
  return check(retrying(SYS.ioctl, fdNumber(fd), request, argument), name);
}

