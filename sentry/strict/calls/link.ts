/** link(2), symlink(2), readlink(2), rename(2), unlink(2), rmdir(2). */
import { EINVAL } from "../../../linux/abi/errno.ts";
import { AT_EMPTY_PATH, AT_REMOVEDIR } from "../../../linux/abi/fcntl.ts";
import { permanentBlock } from "../../../linux/memory.unsafe.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import { buffer, copyOut, copyString, peekString } from "../memory.ts";
import { HostFile } from "../objects/files.ts";
import { name, secondName } from "../paths.ts";
import type { Handler, Strict } from "../strict.ts";
import type { Trapped } from "../trapped.ts";
import { take, takeTwo, type At } from "./arguments.ts";

const PATH_MAX = 4096;

function renamed(strict: Strict, taken: number, flags: number): number {
  const result = taken < 0 ? taken : kernel.rename(name.dir, name.path, secondName.dir, secondName.path, flags);
  strict.surroundings.renames();
  return result;
}

export const rename: Handler = (call, strict) => renamed(strict, takeTwo(call, strict, [undefined, 0], [undefined, 1]), 0);
export const renameat: Handler = (call, strict) => renamed(strict, takeTwo(call, strict, [0, 1], [2, 3]), 0);
export const renameat2: Handler = (call, strict) => renamed(strict, takeTwo(call, strict, [0, 1], [2, 3]), call.int(4));

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

function remove(call: Trapped, strict: Strict, at: At, path: number, flags: number): number {
  const taken = take(call, strict, at, path);
  return taken < 0 ? taken : kernel.unlink(name.dir, name.path, flags);
}

export const unlink: Handler = (call, strict) => remove(call, strict, undefined, 0, 0);
export const rmdir: Handler = (call, strict) => remove(call, strict, undefined, 0, AT_REMOVEDIR);
export const unlinkat: Handler = (call, strict) => remove(call, strict, 0, 1, call.int(2));

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
