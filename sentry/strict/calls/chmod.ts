/** chmod(2), chown(2), utime(2), utimensat(2). */
import { EBADF } from "../../../linux/abi/errno.ts";
import { AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW } from "../../../linux/abi/fcntl.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import { copyIn, small } from "../memory.ts";
import { name } from "../paths.ts";
import type { Handler, Strict } from "../strict.ts";
import type { Trapped } from "../trapped.ts";
import { ownFile, take, type At } from "./arguments.ts";

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

export const fchmod: Handler = (call, strict) => {
  const file = ownFile(call, strict);
  return file === undefined ? -EBADF : kernel.changeMode(file.fd.number, kernel.EMPTY_PATH, call.int(1), AT_EMPTY_PATH);
};

export const fchown: Handler = (call, strict) => {
  const file = ownFile(call, strict);
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
