/** mkdir(2), mknod(2), getcwd(2), getdents(2). */
import { ENOENT, ENOTDIR, ERANGE } from "../../../linux/abi/errno.ts";
import { AT_EMPTY_PATH, S_IFDIR, S_IFMT } from "../../../linux/abi/fcntl.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import { CONTINUE } from "../../platform/platform.ts";
import { buffer, BUFFER_SIZE, copyOut, small } from "../memory.ts";
import { name } from "../paths.ts";
import type { Handler, Strict } from "../strict.ts";
import type { Trapped } from "../trapped.ts";
import { seekable, take, type At } from "./arguments.ts";

function makeDirectory(call: Trapped, strict: Strict, at: At, path: number): number {
  const taken = take(call, strict, at, path);
  if (taken < 0) return taken;
  kernel.setMask(strict.surroundings.mask(call.pid));
  return kernel.makeDirectory(name.dir, name.path, call.int(path + 1));
}

export const mkdir: Handler = (call, strict) => makeDirectory(call, strict, undefined, 0);
export const mkdirat: Handler = (call, strict) => makeDirectory(call, strict, 0, 1);

/** The filter refuses devices. */
function makeNode(call: Trapped, strict: Strict, at: At, path: number): number {
  const taken = take(call, strict, at, path);
  if (taken < 0) return taken;
  kernel.setMask(strict.surroundings.mask(call.pid));
  return kernel.makeNode(name.dir, name.path, call.int(path + 1) & 0xffff);
}

export const mknod: Handler = (call, strict) => makeNode(call, strict, undefined, 0);
export const mknodat: Handler = (call, strict) => makeNode(call, strict, 0, 1);

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

export const getdents64: Handler = (call, strict) => {
  const file = seekable(call, strict, -ENOTDIR);
  if (typeof file === "number") return file;
  if ((file.mode & S_IFMT) !== S_IFDIR) return -ENOTDIR;
  const count = kernel.listEntries(file.fd.number, buffer.address, Math.min(call.arg(2) % 0x1_0000_0000, BUFFER_SIZE));
  if (count <= 0) return count;
  const copied = copyOut(call, call.arg(1), buffer, count);
  return copied < 0 ? copied : count;
};
