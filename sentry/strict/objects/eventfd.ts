/** eventfd(2): a counter. */
import { EAGAIN, EINVAL } from "../../../linux/abi/errno.ts";
import { POLLIN, POLLOUT } from "../../../linux/abi/poll.ts";
import type { Block } from "../../../linux/memory.unsafe.ts";
import { Description } from "./description.ts";
import { nextInode, putStat } from "./stat.ts";
import type { WaitingCalls } from "./waiting.ts";

const SIZE = 8;
/** The value that no counter reaches. */
const END = 0xffff_ffff_ffff_ffffn;

export class EventCounter extends Description {
  readonly #waiting: WaitingCalls;
  readonly #isSemaphore: boolean;
  readonly #inode = nextInode();
  #count: bigint;
  /** By how much the last read or write has changed it. */
  #last = 0n;

  constructor(waiting: WaitingCalls, flags: number, count: number, isSemaphore: boolean) {
    super(flags);
    this.#waiting = waiting;
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
    this.#waiting.wake(this);
  }

  stat(into: Block): number {
    return putStat(into, { mode: 0o600, inode: this.#inode });
  }

  close(): void {}
}
