/** What calls are given by their arguments: a name, an open file. */
import { EBADF } from "../../../linux/abi/errno.ts";
import { copyString } from "../memory.ts";
import { HostFile, HostStream } from "../objects/files.ts";
import { name, secondName } from "../paths.ts";
import type { Strict } from "../strict.ts";
import type { Trapped } from "../trapped.ts";

const AT_FDCWD = -100;

/** Which argument is the directory's descriptor; undefined where the call has none. */
export type At = number | undefined;

/** Copies the name, and becomes the caller. */
export function take(call: Trapped, strict: Strict, at: At, path: number, flags = 0, copy = copyString): number {
  const result = name.copy(call, strict, at === undefined ? AT_FDCWD : call.int(at), call.arg(path), flags, copy);
  if (result === 0) name.startInDirectory(call, strict);
  if (result === 0) strict.callers.asCaller(call);
  return result;
}

/** For calls with two names. */
export function takeTwo(call: Trapped, strict: Strict, from: readonly [at: At, path: number], to: readonly [at: At, path: number], flags = 0): number {
  const first = name.copy(call, strict, from[0] === undefined ? AT_FDCWD : call.int(from[0]), call.arg(from[1]), flags);
  const result = first < 0 ? first : secondName.copy(call, strict, to[0] === undefined ? AT_FDCWD : call.int(to[0]), call.arg(to[1]));
  if (result === 0) for (const one of [name, secondName]) one.startInDirectory(call, strict);
  if (result === 0) strict.callers.asCaller(call);
  return result;
}

/** An open file, as the caller. */
export function ownFile(call: Trapped, strict: Strict): HostFile | undefined {
  const file = strict.descriptors.file(call, call.int(0));
  strict.callers.asCaller(call);
  return file instanceof HostFile ? file : undefined;
}

/** A file with a position. */
export function seekable(call: Trapped, strict: Strict, otherwise: number): HostFile | number {
  const file = strict.descriptors.file(call, call.int(0));
  if (file === undefined) return -EBADF;
  return file instanceof HostFile && !(file instanceof HostStream) ? file : otherwise;
}
