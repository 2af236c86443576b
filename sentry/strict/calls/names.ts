/** Calls that take a path and change or tell something about what it names. */
import { EBADF, EINVAL, ENOENT, ERANGE } from "../../../linux/abi/errno.ts";
import { AT_EACCESS, AT_EMPTY_PATH, AT_REMOVEDIR, AT_SYMLINK_NOFOLLOW } from "../../../linux/abi/fcntl.ts";
import { permanentBlock } from "../../../linux/memory.unsafe.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import { CONTINUE } from "../../platform/platform.ts";
import { HostFile } from "../objects/files.ts";
import { isBeyondLimit, tooLarge } from "./rlimit.ts";
import { buffer, copyIn, copyOut, copyString, peekString, small } from "../memory.ts";
import { name, secondName } from "../paths.ts";
import type { Handler, Strict } from "../strict.ts";
import type { Trapped } from "../trapped.ts";

const AT_FDCWD = -100;
const STAT_SIZE = 144;
const STATX_SIZE = 256;
const STATFS_SIZE = 120;
const PATH_MAX = 4096;

/** Which argument is the directory's descriptor; undefined where the call has none. */
type At = number | undefined;

/** Copies the name, and becomes the caller. */
function take(call: Trapped, strict: Strict, at: At, path: number, flags = 0, copy = copyString): number {
  const result = name.copy(call, strict, at === undefined ? AT_FDCWD : call.int(at), call.arg(path), flags, copy);
  if (result === 0) strict.callers.asCaller(call);
  return result;
}

/** @param flags of fstatat(2). */
function statInto(call: Trapped, strict: Strict, at: At, path: number, into: number, flags: number): number {
  const taken = take(call, strict, at, path, flags, peekString);
  if (taken < 0) return taken;
  const result = statNamed(call, strict, flags);
  return result < 0 ? result : copyOut(call, call.arg(into), small, STAT_SIZE);
}

function statNamed(call: Trapped, strict: Strict, flags: number): number {
  if (name.file !== undefined && (flags & AT_SYMLINK_NOFOLLOW) === 0) return name.file.stat(small);
  const result = kernel.stat(name.dir, name.path, small.address, flags);
  return result === -ENOENT && (flags & AT_SYMLINK_NOFOLLOW) === 0 && name.follow(call, strict) ? statNamed(call, strict, flags) : result;
}

export const stat: Handler = (call, strict) => statInto(call, strict, undefined, 0, 1, 0);
export const lstat: Handler = (call, strict) => statInto(call, strict, undefined, 0, 1, AT_SYMLINK_NOFOLLOW);
export const newfstatat: Handler = (call, strict) => statInto(call, strict, 0, 1, 2, call.int(3));

export const fstat: Handler = (call, strict) => {
  const file = strict.descriptors.file(call, call.int(0));
  const result = file?.stat(small) ?? -EBADF;
  return result < 0 ? result : copyOut(call, call.arg(1), small, STAT_SIZE);
};

export const statx: Handler = (call, strict) => {
  const flags = call.int(2);
  const taken = take(call, strict, 0, 1, flags, peekString);
  if (taken < 0) return taken;
  const file = (flags & AT_SYMLINK_NOFOLLOW) === 0 ? name.file : undefined;
  const result = file === undefined ? kernel.statx(name.dir, name.path, flags, call.int(3), small.address) : statxOf(file.stat(small));
  return result < 0 ? result : copyOut(call, call.arg(4), small, STATX_SIZE);
};

/** struct statx of the struct stat in `small`. Source: statx(2), asm/stat.h. */
function statxOf(result: number): number {
  if (result < 0) return result;
  const { view, bytes } = small;
  const from = new DataView(bytes.slice(0, STAT_SIZE).buffer);
  bytes.fill(0, 0, STATX_SIZE);
  const BASIC = 0x7ff;
  view.setUint32(0, BASIC, true);
  view.setUint32(4, from.getUint32(56, true), true);
  view.setUint32(16, from.getUint32(16, true), true);
  view.setUint32(20, from.getUint32(28, true), true);
  view.setUint32(24, from.getUint32(32, true), true);
  view.setUint16(28, from.getUint32(24, true), true);
  view.setBigUint64(32, from.getBigUint64(8, true), true);
  view.setBigUint64(40, from.getBigUint64(48, true), true);
  view.setBigUint64(48, from.getBigUint64(64, true), true);
  for (const [to, at] of [[64, 72], [96, 104], [112, 88]] as const) {
    view.setBigInt64(to, from.getBigInt64(at, true), true);
    view.setUint32(to + 8, from.getUint32(at + 8, true), true);
  }
  return 0;
}

function accessTo(call: Trapped, strict: Strict, at: At, path: number, mode: number, flags: number): number {
  const taken = take(call, strict, at, path, flags, peekString);
  if (taken < 0 || (name.file !== undefined && !(name.file instanceof HostFile))) return taken;
  if ((flags & AT_EACCESS) === 0) strict.callers.asRealCaller(call);
  const how = name.orOpened(flags);
  return kernel.access(name.dir, name.path, mode, how | AT_EACCESS);
}

export const access: Handler = (call, strict) => accessTo(call, strict, undefined, 0, call.int(1), 0);
export const faccessat: Handler = (call, strict) => accessTo(call, strict, 0, 1, call.int(2), 0);
export const faccessat2: Handler = (call, strict) => accessTo(call, strict, 0, 1, call.int(2), call.int(3));

function readLink(call: Trapped, strict: Strict, at: At, path: number): number {
  const size = call.int(path + 2);
  if (size <= 0) return -EINVAL;
  const taken = take(call, strict, at, path, at === undefined ? 0 : AT_EMPTY_PATH, peekString);
  if (taken < 0) return taken;
  const result = name.file instanceof HostFile ? strict.procfs.nameOf(name.file, buffer) : kernel.readLink(name.dir, name.path, buffer.address, Math.min(size, PATH_MAX));
  if (result < 0) return result;
  const length = Math.min(result, size);
  const copied = copyOut(call, call.arg(path + 1), buffer, length);
  return copied < 0 ? copied : length;
}

export const readlink: Handler = (call, strict) => readLink(call, strict, undefined, 0);
export const readlinkat: Handler = (call, strict) => readLink(call, strict, 0, 1);

/** One outside of the caller's root has no name that the sentry could tell from one inside. */
export const getcwd: Handler = (call, strict) => {
  if (strict.namespaces.roots.isElsewhere) return CONTINUE;
  const size = call.arg(1);
  const length = strict.procfs.directoryOf(call, buffer);
  if (length < 0) return length;
  if (length + 1 > size) return -ERANGE;
  if (isDeleted(call, strict, length)) return -ENOENT;
  buffer.bytes[length] = 0;
  const copied = copyOut(call, call.arg(0), buffer, length + 1);
  return copied < 0 ? copied : length + 1;
};

/** The kernel says it behind the path, where a name could as well. */
function isDeleted(call: Trapped, strict: Strict, length: number): boolean {
  const mark = " (deleted)";
  if (Buffer.from(buffer.bytes.subarray(Math.max(length - mark.length, 0), length)).toString("latin1") !== mark) return false;
  strict.callers.asSentry();
  const directory = strict.procfs.openDirectory(call);
  if (directory < 0) return true;
  const result = kernel.stat(directory, kernel.EMPTY_PATH, small.address, AT_EMPTY_PATH);
  kernel.close(directory);
  const NLINK = 16;
  return result < 0 || small.view.getUint32(NLINK, true) === 0;
}

function makeDirectory(call: Trapped, strict: Strict, at: At, path: number): number {
  const taken = take(call, strict, at, path);
  if (taken < 0) return taken;
  kernel.setMask(strict.tasks.umask(call.pid));
  return kernel.makeDirectory(name.dir, name.path, call.int(path + 1));
}

export const mkdir: Handler = (call, strict) => makeDirectory(call, strict, undefined, 0);
export const mkdirat: Handler = (call, strict) => makeDirectory(call, strict, 0, 1);

/** The filter refuses devices. */
function makeNode(call: Trapped, strict: Strict, at: At, path: number): number {
  const taken = take(call, strict, at, path);
  if (taken < 0) return taken;
  kernel.setMask(strict.tasks.umask(call.pid));
  return kernel.makeNode(name.dir, name.path, call.int(path + 1) & 0xffff);
}

export const mknod: Handler = (call, strict) => makeNode(call, strict, undefined, 0);
export const mknodat: Handler = (call, strict) => makeNode(call, strict, 0, 1);

function remove(call: Trapped, strict: Strict, at: At, path: number, flags: number): number {
  const taken = take(call, strict, at, path);
  return taken < 0 ? taken : kernel.unlink(name.dir, name.path, flags);
}

export const unlink: Handler = (call, strict) => remove(call, strict, undefined, 0, 0);
export const rmdir: Handler = (call, strict) => remove(call, strict, undefined, 0, AT_REMOVEDIR);
export const unlinkat: Handler = (call, strict) => remove(call, strict, 0, 1, call.int(2));

/** For calls with two names. */
function takeTwo(call: Trapped, strict: Strict, from: readonly [at: At, path: number], to: readonly [at: At, path: number], flags = 0): number {
  const first = name.copy(call, strict, from[0] === undefined ? AT_FDCWD : call.int(from[0]), call.arg(from[1]), flags);
  const result = first < 0 ? first : secondName.copy(call, strict, to[0] === undefined ? AT_FDCWD : call.int(to[0]), call.arg(to[1]));
  if (result === 0) strict.callers.asCaller(call);
  return result;
}

const renamed = (taken: number, flags: number): number => (taken < 0 ? taken : kernel.rename(name.dir, name.path, secondName.dir, secondName.path, flags));

export const rename: Handler = (call, strict) => renamed(takeTwo(call, strict, [undefined, 0], [undefined, 1]), 0);
export const renameat: Handler = (call, strict) => renamed(takeTwo(call, strict, [0, 1], [2, 3]), 0);
export const renameat2: Handler = (call, strict) => renamed(takeTwo(call, strict, [0, 1], [2, 3]), call.int(4));

function linked(strict: Strict, taken: number, flags: number): number {
  if (taken < 0) return taken;
  const AT_SYMLINK_FOLLOW = 0x400;
  if (name.file instanceof HostFile && (flags & AT_SYMLINK_FOLLOW) !== 0) return strict.procfs.linkOpened(name.file, secondName.dir, secondName.path);
  return kernel.link(name.dir, name.path, secondName.dir, secondName.path, flags);
}

export const link: Handler = (call, strict) => linked(strict, takeTwo(call, strict, [undefined, 0], [undefined, 1]), 0);
export const linkat: Handler = (call, strict) => linked(strict, takeTwo(call, strict, [0, 1], [2, 3], call.int(4)), call.int(4));

function makeLink(call: Trapped, strict: Strict, at: At, path: number): number {
  const length = copyString(call, call.arg(0), content, 0, PATH_MAX);
  const taken = length < 0 ? length : take(call, strict, at, path);
  return taken < 0 ? taken : kernel.symlink(content.address, name.dir, name.path);
}

const content = permanentBlock(PATH_MAX + 8);

export const symlink: Handler = (call, strict) => makeLink(call, strict, undefined, 1);
export const symlinkat: Handler = (call, strict) => makeLink(call, strict, 1, 2);

function changeMode(call: Trapped, strict: Strict, at: At, path: number, flags: number): number {
  const taken = take(call, strict, at, path, flags);
  const how = name.orOpened(flags);
  return taken < 0 ? taken : kernel.changeMode(name.dir, name.path, call.int(path + 1), how);
}

export const chmod: Handler = (call, strict) => changeMode(call, strict, undefined, 0, 0);
export const fchmodat: Handler = (call, strict) => changeMode(call, strict, 0, 1, 0);
export const fchmodat2: Handler = (call, strict) => changeMode(call, strict, 0, 1, call.int(3));

function changeOwner(call: Trapped, strict: Strict, at: At, path: number, flags: number): number {
  const taken = take(call, strict, at, path, flags);
  const how = name.orOpened(flags);
  return taken < 0 ? taken : kernel.changeOwner(name.dir, name.path, call.int(path + 1), call.int(path + 2), how);
}

export const chown: Handler = (call, strict) => changeOwner(call, strict, undefined, 0, 0);
export const lchown: Handler = (call, strict) => changeOwner(call, strict, undefined, 0, AT_SYMLINK_NOFOLLOW);
export const fchownat: Handler = (call, strict) => changeOwner(call, strict, 0, 1, call.int(4));

/** An open file, as the caller. */
function own(call: Trapped, strict: Strict): HostFile | undefined {
  const file = strict.descriptors.file(call, call.int(0));
  strict.callers.asCaller(call);
  return file instanceof HostFile ? file : undefined;
}

export const fchmod: Handler = (call, strict) => {
  const file = own(call, strict);
  return file === undefined ? -EBADF : kernel.changeMode(file.fd.number, kernel.EMPTY_PATH, call.int(1), AT_EMPTY_PATH);
};

export const fchown: Handler = (call, strict) => {
  const file = own(call, strict);
  return file === undefined ? -EBADF : kernel.changeOwner(file.fd.number, kernel.EMPTY_PATH, call.int(1), call.int(2), AT_EMPTY_PATH);
};

/** `times` of utimensat(2), in `small`; 0 for none. */
const TIMES_SIZE = 32;

export const utimensat: Handler = (call, strict) => {
  const address = call.arg(2);
  const times = address === 0 ? 0 : copyIn(call, address, small, TIMES_SIZE);
  if (times < 0) return times;
  // Without a path it is futimens(3).
  const flags = call.int(3) | (call.arg(1) === 0 ? AT_EMPTY_PATH : 0);
  const taken = take(call, strict, 0, 1, flags);
  const how = name.orOpened(flags);
  return taken < 0 ? taken : kernel.setTimes(name.dir, name.path, address === 0 ? 0 : small.address, how);
};

/** @param unit nanoseconds of the second number: 1000 for struct timeval; 0 for struct utimbuf, which has none. */
function setOldTimes(call: Trapped, strict: Strict, at: At, path: number, unit: number): number {
  const address = call.arg(path + 1);
  const times = address === 0 ? 0 : copyIn(call, address, small, unit === 0 ? TIMES_SIZE / 2 : TIMES_SIZE);
  if (times < 0) return times;
  if (unit === 0) small.bytes.copyWithin(16, 8, 16);
  for (const at of [8, 24]) small.view.setBigInt64(at, unit === 0 ? 0n : small.view.getBigInt64(at, true) * BigInt(unit), true);
  const taken = take(call, strict, at, path);
  const how = name.orOpened(0);
  return taken < 0 ? taken : kernel.setTimes(name.dir, name.path, address === 0 ? 0 : small.address, how);
}

export const utime: Handler = (call, strict) => setOldTimes(call, strict, undefined, 0, 0);
export const utimes: Handler = (call, strict) => setOldTimes(call, strict, undefined, 0, 1000);
export const futimesat: Handler = (call, strict) => setOldTimes(call, strict, 0, 1, 1000);

export const truncate: Handler = (call, strict) => {
  const taken = take(call, strict, undefined, 0);
  if (taken < 0) return taken;
  const fd = name.file instanceof HostFile ? strict.procfs.reopen(name.file.fd, WRITE_ONLY) : kernel.open(name.dir, name.path, WRITE_ONLY, 0, 0);
  if (fd < 0) return fd;
  const result = isBeyondLimit(call, strict, call.arg(1)) ? tooLarge(call, strict) : kernel.resize(fd, call.arg(1));
  kernel.close(fd);
  return result;
};

/** O_WRONLY, without waiting and without taking a terminal. */
const WRITE_ONLY = 1 | 0o4000 | 0o400;

export const statfs: Handler = (call, strict) => {
  const taken = take(call, strict, undefined, 0);
  if (taken < 0) return taken;
  const O_PATH = 0o10000000;
  const fd = name.file instanceof HostFile ? strict.procfs.reopen(name.file.fd, O_PATH) : kernel.open(name.dir, name.path, O_PATH, 0, 0);
  if (fd < 0) return fd;
  const result = kernel.statFsOf(fd, small.address);
  kernel.close(fd);
  return result < 0 ? result : copyOut(call, call.arg(1), small, STATFS_SIZE);
};

export const fstatfs: Handler = (call, strict) => {
  const file = own(call, strict);
  const result = file === undefined ? -EBADF : kernel.statFsOf(file.fd.number, small.address);
  return result < 0 ? result : copyOut(call, call.arg(1), small, STATFS_SIZE);
};
