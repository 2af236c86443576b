/** stat(2), statx(2), statfs(2), access(2). */
import { EBADF, ENOENT } from "../../../linux/abi/errno.ts";
import { AT_EACCESS, AT_SYMLINK_NOFOLLOW, O_PATH } from "../../../linux/abi/fcntl.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import { copyOut, peekString, small } from "../memory.ts";
import { HostFile } from "../objects/files.ts";
import { name } from "../paths.ts";
import type { Handler, Strict } from "../strict.ts";
import type { Trapped } from "../trapped.ts";
import { ownFile, take, type At } from "./arguments.ts";

const STAT_SIZE = 144;
const STATX_SIZE = 256;
const STATFS_SIZE = 120;

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

export const statfs: Handler = (call, strict) => {
  const taken = take(call, strict, undefined, 0);
  if (taken < 0) return taken;
  const fd = name.file instanceof HostFile ? strict.procfs.reopen(name.file.fd, O_PATH) : kernel.open(name.dir, name.path, O_PATH, 0, 0);
  if (fd < 0) return fd;
  const result = kernel.statFsOf(fd, small.address);
  kernel.close(fd);
  return result < 0 ? result : copyOut(call, call.arg(1), small, STATFS_SIZE);
};

export const fstatfs: Handler = (call, strict) => {
  const file = ownFile(call, strict);
  const result = file === undefined ? -EBADF : kernel.statFsOf(file.fd.number, small.address);
  return result < 0 ? result : copyOut(call, call.arg(1), small, STATFS_SIZE);
};
