/**
 * Files of signalfd(2). Which signals wait for a task is the kernel's to know, and taking them is the reader's own act: a read is made by the kernel, with a file of its own in the
 * placeholder's place. That file belongs to no task, so that it tells whoever reads it, after fork(2) or from a message too, of the reader's signals. What waits for the
 * caller /proc says; of a change nobody tells, so that who waits for one looks again and again (waiting.ts).
 */
import { EINVAL } from "../../../linux/abi/errno.ts";
import { POLLIN } from "../../../linux/abi/poll.ts";
import type { Epoll } from "../../../linux/epoll.ts";
import type { Fd } from "../../../linux/fd.ts";
import { madeBy } from "../../../linux/made-by.ts";
import { HostStream } from "./files.ts";

export class SignalFile extends HostStream {
  /** Those that wait for the caller of the call that is handled: bit n for signal n + 1. */
  readonly #pending: () => bigint;
  mask: bigint;

  constructor(fd: Fd, flags: number, mask: bigint, epoll: Epoll, pending: () => bigint) {
    super(fd, flags, 0o600, epoll);
    this.#pending = pending;
    this.mask = mask;
  }

  override get changesUntold(): boolean {
    return true;
  }

  /** To the caller of the call that is handled. */
  override ready(): number {
    const before = madeBy(undefined);
    const isPending = (this.#pending() & this.mask) !== 0n;
    madeBy(before);
    return isPending ? POLLIN : 0;
  }

  /** What the sentry reads are its own signals. */
  override read(): number {
    return -EINVAL;
  }

  override write(): number {
    return -EINVAL;
  }

  override watch(): void {}
}
