/**
 * signalfd(2). Which signals wait for a task is the kernel's to know, and taking them is the reader's own act: a read is made by the kernel, with a file of its own in the
 * placeholder's place. That file belongs to no task, so that it tells whoever reads it, after fork(2) or from a message too, of the reader's signals. What waits for the
 * caller /proc says; of a change nobody tells, so that who waits for one looks again and again (waiting.ts).
 */
import { EBADF, EINVAL } from "../../../linux/abi/errno.ts";
import { O_CLOEXEC, O_NONBLOCK, O_RDWR } from "../../../linux/abi/fcntl.ts";
import { POLLIN } from "../../../linux/abi/poll.ts";
import { Fd } from "../../../linux/fd.ts";
import { openAt, read } from "../../../linux/file.ts";
import { madeBy } from "../../../linux/made-by.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import { HostStream } from "./files.ts";
import { copyIn, small } from "../guest/memory.ts";
import type { Strict } from "../strict.ts";
import type { Handler, Trapped } from "../trapped.ts";

/** sizeof(sigset_t) of the kernel's. */
const MASK_SIZE = 8;

export class SignalFile extends HostStream {
  readonly #strict: Strict;
  /** Bit n for signal n + 1. */
  mask: bigint;

  constructor(strict: Strict, fd: Fd, flags: number, mask: bigint) {
    super(fd, flags, 0o600, strict.epoll);
    this.#strict = strict;
    this.mask = mask;
  }

  override get changesUntold(): boolean {
    return true;
  }

  /** To the caller of the call that is handled. */
  override ready(): number {
    const before = madeBy(undefined);
    const isPending = (this.#strict.pendingSignals() & this.mask) !== 0n;
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

  /** The kernel reads. */
  readBy(call: Trapped): number {
    kernel.setFlags(this.fd.number, this.flags & O_NONBLOCK);
    return this.#strict.lendFor(call, this, call.int(0));
  }
}

/** What a task has of the kernel's, born while another thread was reading; undefined where it is something else. */
export function adoptSignals(strict: Strict, fd: Fd, flags: number): SignalFile | undefined {
  using info = openAt(strict.proc, `self/fdinfo/${fd.number}`, 0);
  const mask = /^sigmask:\t([0-9a-f]+)$/m.exec(Buffer.from(read(info, 512)).toString("latin1"))?.[1];
  return mask === undefined ? undefined : new SignalFile(strict, fd, flags, BigInt(`0x${mask}`));
}

function make(call: Trapped, strict: Strict, flags: number): number {
  if (call.arg(2) !== MASK_SIZE) return -EINVAL;
  const copied = copyIn(call, call.arg(1), small, MASK_SIZE);
  if (copied < 0) return copied;
  if ((flags & ~(O_CLOEXEC | O_NONBLOCK)) !== 0) return -EINVAL;
  const mask = small.view.getBigUint64(0, true);
  if (call.int(0) !== -1) return change(call, strict, mask);
  const made = kernel.makeSignals(-1, small.address, O_CLOEXEC);
  return made < 0 ? made : strict.give(call, new SignalFile(strict, new Fd(made), O_RDWR | (flags & O_NONBLOCK), mask), (flags & O_CLOEXEC) !== 0);
}

function change(call: Trapped, strict: Strict, mask: bigint): number {
  const file = strict.file(call, call.int(0));
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
