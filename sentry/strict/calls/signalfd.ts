/** signalfd(2), and read(2) from it. */
import { EBADF, EINVAL } from "../../../linux/abi/errno.ts";
import { O_CLOEXEC, O_NONBLOCK, O_RDWR } from "../../../linux/abi/fcntl.ts";
import { Fd } from "../../../linux/fd.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import { copyIn, small } from "../memory.ts";
import { SignalFile } from "../objects/signalfd.ts";
import type { Handler, Strict } from "../strict.ts";
import type { Trapped } from "../trapped.ts";

/** sizeof(sigset_t) of the kernel's. */
const MASK_SIZE = 8;

/** The kernel reads. */
export function readSignals(call: Trapped, strict: Strict, file: SignalFile): number {
  kernel.setFlags(file.fd.number, file.flags & O_NONBLOCK);
  return strict.descriptors.lendFor(call, file, call.int(0), { fd: file.fd });
}

function make(call: Trapped, strict: Strict, flags: number): number {
  if (call.arg(2) !== MASK_SIZE) return -EINVAL;
  const copied = copyIn(call, call.arg(1), small, MASK_SIZE);
  if (copied < 0) return copied;
  if ((flags & ~(O_CLOEXEC | O_NONBLOCK)) !== 0) return -EINVAL;
  const mask = small.view.getBigUint64(0, true);
  if (call.int(0) !== -1) return change(call, strict, mask);
  const made = kernel.makeSignals(-1, small.address, O_CLOEXEC);
  return made < 0 ? made : strict.descriptors.give(call, new SignalFile(new Fd(made), O_RDWR | (flags & O_NONBLOCK), mask, strict.epoll, () => strict.callers.pendingSignals()), (flags & O_CLOEXEC) !== 0);
}

function change(call: Trapped, strict: Strict, mask: bigint): number {
  const file = strict.descriptors.file(call, call.int(0));
  if (file === undefined) return -EBADF;
  if (!(file instanceof SignalFile)) return -EINVAL;
  small.view.setBigUint64(0, mask, true);
  const changed = kernel.makeSignals(file.fd.number, small.address, 0);
  if (changed < 0) return changed;
  file.mask = mask;
  strict.waiting.wake(file);
  return call.int(0);
}

export const signalfd: Handler = (call, strict) => make(call, strict, 0);
export const signalfd4: Handler = (call, strict) => make(call, strict, call.int(3));
