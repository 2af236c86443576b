/** truncate(2), fallocate(2). */
import { EINVAL } from "../../../linux/abi/errno.ts";
import { O_NOCTTY, O_NONBLOCK, O_WRONLY } from "../../../linux/abi/fcntl.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import { HostFile } from "../objects/files.ts";
import { MemoryFile } from "../objects/memfd.ts";
import { name } from "../paths.ts";
import type { Handler } from "../strict.ts";
import { seekable, take } from "./arguments.ts";
import { lendToWrite } from "./lend.ts";
import { isBeyondLimit, tooLarge } from "./rlimit.ts";

const WRITE_ONLY = O_WRONLY | O_NONBLOCK | O_NOCTTY;

export const truncate: Handler = (call, strict) => {
  const taken = take(call, strict, undefined, 0);
  if (taken < 0) return taken;
  const fd = name.file instanceof HostFile ? strict.procfs.reopen(name.file.fd, WRITE_ONLY) : kernel.open(name.dir, name.path, WRITE_ONLY, 0, 0);
  if (fd < 0) return fd;
  const result = isBeyondLimit(call, strict, call.arg(1)) ? tooLarge(call, strict) : kernel.resize(fd, call.arg(1));
  kernel.close(fd);
  return result;
};

export const ftruncate: Handler = (call, strict) => {
  const file = seekable(call, strict, -EINVAL);
  if (typeof file === "number") return file;
  return isBeyondLimit(call, strict, call.signed(1)) ? tooLarge(call, strict) : kernel.resize(file.fd.number, call.signed(1));
};

export const fallocate: Handler = (call, strict) => {
  const file = seekable(call, strict, -EINVAL);
  if (typeof file === "number") return file;
  if (isBeyondLimit(call, strict, call.signed(2) + call.signed(3))) return tooLarge(call, strict);
  return file instanceof MemoryFile ? lendToWrite(call, strict) : kernel.allocate(file.fd.number, call.int(1), call.signed(2), call.signed(3));
};
