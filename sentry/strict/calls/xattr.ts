/** xattr(7): the sentry opens what the name means, for no more than that (O_PATH), and asks by way of it. */
import { E2BIG, EBADF, EFAULT, ERANGE } from "../../../linux/abi/errno.ts";
import { O_NOFOLLOW, O_PATH } from "../../../linux/abi/fcntl.ts";
import { XATTR_LIST_MAX, XATTR_SIZE_MAX } from "../../../linux/abi/xattr.ts";
import { permanentBlock } from "../../../linux/memory.unsafe.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import { HostFile } from "../objects/files.ts";
import { buffer, copyIn, copyOut, copyString } from "../memory.ts";
import { name } from "../paths.ts";
import type { Handler, Strict } from "../strict.ts";
import type { Trapped } from "../trapped.ts";

const AT_FDCWD = -100;
const XATTR_NAME_MAX = 255;
const attribute = permanentBlock(XATTR_NAME_MAX + 8);

type Act = (call: Trapped, strict: Strict, fd: number) => number;
/** What the first argument names: a path, a path whose last link is meant itself, a descriptor. */
type Kind = "path" | "link" | "descriptor";

function withFile(call: Trapped, strict: Strict, kind: Kind, act: Act): number {
  if (kind === "descriptor") {
    const file = strict.descriptors.file(call, call.int(0));
    strict.callers.asCaller(call);
    return file instanceof HostFile && (file.flags & O_PATH) === 0 ? act(call, strict, file.fd.number) : -EBADF;
  }
  const taken = name.copy(call, strict, AT_FDCWD, call.arg(0));
  if (taken < 0) return taken;
  strict.callers.asCaller(call);
  if (name.file instanceof HostFile) return act(call, strict, name.file.fd.number);
  const fd = kernel.open(name.dir, name.path, O_PATH | (kind === "link" ? O_NOFOLLOW : 0), 0, 0);
  if (fd < 0) return fd;
  const result = act(call, strict, fd);
  kernel.close(fd);
  return result;
}

/** The attribute's name. @returns its length or the negative errno. */
function copyName(call: Trapped): number {
  const length = copyString(call, call.arg(1), attribute, 0, XATTR_NAME_MAX + 1);
  return length === 0 ? -ERANGE : length < 0 && length !== -EFAULT ? -ERANGE : length;
}

/** The caller gets what was found, or, with a size of 0, its length. */
const told = (call: Trapped, result: number, argument: number): number => {
  if (result <= 0 || call.arg(argument + 1) === 0) return result;
  const copied = copyOut(call, call.arg(argument), buffer, result);
  return copied < 0 ? copied : result;
};

const get: Act = (call, strict, fd) => {
  const length = copyName(call);
  if (length < 0) return length;
  const size = Math.min(call.arg(3), XATTR_SIZE_MAX);
  return told(call, kernel.attribute("getxattr", strict.procfs.pathOf(fd), attribute.address, buffer.address, size), 2);
};

const set: Act = (call, strict, fd) => {
  const length = copyName(call);
  if (length < 0) return length;
  const size = call.arg(3);
  if (size > XATTR_SIZE_MAX) return -E2BIG;
  const copied = size === 0 ? 0 : copyIn(call, call.arg(2), buffer, size);
  return copied < 0 ? copied : kernel.attribute("setxattr", strict.procfs.pathOf(fd), attribute.address, buffer.address, size, call.int(4));
};

const list: Act = (call, strict, fd) => told(call, kernel.attribute("listxattr", strict.procfs.pathOf(fd), buffer.address, Math.min(call.arg(2), XATTR_LIST_MAX)), 1);

const remove: Act = (call, strict, fd) => {
  const length = copyName(call);
  return length < 0 ? length : kernel.attribute("removexattr", strict.procfs.pathOf(fd), attribute.address);
};

const handler = (kind: Kind, act: Act): Handler => (call, strict) => withFile(call, strict, kind, act);

export const getxattr = handler("path", get);
export const lgetxattr = handler("link", get);
export const fgetxattr = handler("descriptor", get);
export const setxattr = handler("path", set);
export const lsetxattr = handler("link", set);
export const fsetxattr = handler("descriptor", set);
export const listxattr = handler("path", list);
export const llistxattr = handler("link", list);
export const flistxattr = handler("descriptor", list);
export const removexattr = handler("path", remove);
export const lremovexattr = handler("link", remove);
export const fremovexattr = handler("descriptor", remove);
