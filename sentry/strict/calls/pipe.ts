/** pipe(2). */
import { EINVAL } from "../../../linux/abi/errno.ts";
import { O_CLOEXEC, O_NONBLOCK, O_RDONLY, O_WRONLY, S_IFIFO } from "../../../linux/abi/fcntl.ts";
import { Pipe, PipeEnd, type Stat } from "../objects/pipe.ts";
import { nextInode, putStat } from "../objects/stat.ts";
import type { Handler, Strict } from "../strict.ts";
import type { Trapped } from "../trapped.ts";

function makePipe(call: Trapped, strict: Strict, flags: number): number {
  if ((flags & ~(O_CLOEXEC | O_NONBLOCK)) !== 0) return -EINVAL;
  const both = new Pipe();
  const inode = nextInode();
  const stat: Stat = (into) => putStat(into, { mode: S_IFIFO | 0o600, inode });
  const writer = new PipeEnd(both, strict.waiting, O_WRONLY | (flags & O_NONBLOCK), stat);
  const reader = new PipeEnd(both, strict.waiting, O_RDONLY | (flags & O_NONBLOCK), stat);
  return strict.descriptors.giveTwo(call, reader, writer, (flags & O_CLOEXEC) !== 0, call.arg(0));
}

export const pipe: Handler = (call, strict) => makePipe(call, strict, 0);
export const pipe2: Handler = (call, strict) => makePipe(call, strict, call.int(1));
