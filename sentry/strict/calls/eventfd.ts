/** eventfd(2). */
import { EINVAL } from "../../../linux/abi/errno.ts";
import { O_CLOEXEC, O_NONBLOCK, O_RDWR } from "../../../linux/abi/fcntl.ts";
import { EventCounter } from "../objects/eventfd.ts";
import type { Handler, Strict } from "../strict.ts";
import type { Trapped } from "../trapped.ts";

const EFD_SEMAPHORE = 1;

function make(call: Trapped, strict: Strict, flags: number): number {
  if ((flags & ~(EFD_SEMAPHORE | O_CLOEXEC | O_NONBLOCK)) !== 0) return -EINVAL;
  const counter = new EventCounter(strict.waiting, O_RDWR | (flags & O_NONBLOCK), call.int(0) >>> 0, (flags & EFD_SEMAPHORE) !== 0);
  return strict.descriptors.give(call, counter, (flags & O_CLOEXEC) !== 0);
}

export const eventfd: Handler = (call, strict) => make(call, strict, 0);
export const eventfd2: Handler = (call, strict) => make(call, strict, call.int(1));
