/** eventfd(2): a counter. */
import { EAGAIN, EINVAL } from "../../../linux/abi/errno.ts";
import { O_CLOEXEC, O_NONBLOCK, O_RDWR } from "../../../linux/abi/fcntl.ts";
import { POLLIN, POLLOUT } from "../../../linux/abi/poll.ts";
import type { Block } from "../../../linux/memory.unsafe.ts";
import { Description } from "./description.ts";
import { putStat } from "./stat.ts";
import type { Strict } from "../strict.ts";
import type { Handler, Trapped } from "../trapped.ts";

const EFD_SEMAPHORE = 1;
const SIZE = 8;
/** The value that no counter reaches. */
const END = 0xffff_ffff_ffff_ffffn;

class EventCounter extends Description {
  readonly #strict: Strict;
  readonly #isSemaphore: boolean;
  readonly #inode: number;
  #count: bigint;
  /** By how much the last read or write has changed it. */
  #last = 0n;

  constructor(strict: Strict, flags: number, count: number, isSemaphore: boolean) {
    super(flags);
    this.#strict = strict;
    this.#inode = strict.nextInode();
    this.#count = BigInt(count);
    this.#isSemaphore = isSemaphore;
  }

  ready(): number {
    return (this.#count > 0n ? POLLIN : 0) | (this.#count < END - 1n ? POLLOUT : 0);
  }

  override read(into: Block, size: number): number {
    if (size < SIZE) return -EINVAL;
    if (this.#count === 0n) return -EAGAIN;
    this.#change(this.#isSemaphore ? -1n : -this.#count);
    into.view.setBigUint64(0, -this.#last, true);
    return SIZE;
  }

  override write(from: Block, size: number): number {
    if (size < SIZE) return -EINVAL;
    const added = from.view.getBigUint64(0, true);
    if (added === END) return -EINVAL;
    if (this.#count + added >= END) return -EAGAIN;
    this.#change(added);
    return SIZE;
  }

  override unread(): void {
    this.#count -= this.#last;
  }

  override unwrite(): void {
    this.#count -= this.#last;
  }

  #change(by: bigint): void {
    this.#last = by;
    this.#count += by;
    this.#strict.waiting.wake(this);
  }

  stat(into: Block): number {
    return putStat(into, { mode: 0o600, inode: this.#inode });
  }

  close(): void {}
}

function make(call: Trapped, strict: Strict, flags: number): number {
  if ((flags & ~(EFD_SEMAPHORE | O_CLOEXEC | O_NONBLOCK)) !== 0) return -EINVAL;
  const counter = new EventCounter(strict, O_RDWR | (flags & O_NONBLOCK), call.int(0) >>> 0, (flags & EFD_SEMAPHORE) !== 0);
  return strict.give(call, counter, (flags & O_CLOEXEC) !== 0);
}

export const eventfd: Handler = (call, strict) => make(call, strict, 0);
export const eventfd2: Handler = (call, strict) => make(call, strict, call.int(1));
