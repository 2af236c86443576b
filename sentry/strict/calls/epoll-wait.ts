/**
 * epoll_wait(2) and its kin. Another signal mask (epoll_pwait) is not ours to set, so that the kernel waits then, with an epoll of its own in the placeholder's place: it is empty until
 * something is ready. Then it gets one event, the caller's own, of a file that is always so. By the caller's next call it is seen whether it was told of.
 */
import { EBADF, EINVAL } from "../../../linux/abi/errno.ts";
import { O_CLOEXEC } from "../../../linux/abi/fcntl.ts";
import { POLLIN } from "../../../linux/abi/poll.ts";
import { Fd } from "../../../linux/fd.ts";
import { madeBy } from "../../../linux/made-by.ts";
import { permanentBlock } from "../../../linux/memory.unsafe.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import { Listener } from "../../../linux/seccomp-notify.ts";
import { CONTINUE } from "../../platform/platform.ts";
import { buffer, copyIn, copyOut, signed, small } from "../memory.ts";
import { alwaysReady, makeAlwaysReady } from "../objects/always-ready.ts";
import type { Watcher } from "../objects/description.ts";
import { EpollFile, EVENT_SIZE, type Interest } from "../objects/epoll.ts";
import type { Handler, Strict } from "../strict.ts";
import type { Trapped } from "../trapped.ts";
import { isOwnMask } from "./signal-mask.ts";

const MOST_EVENTS = 4096;
const CTL_ADD = 1;
const EPOLLONESHOT = 0x4000_0000;
const event = permanentBlock(EVENT_SIZE);

/** A call that waits in the kernel. */
class KernelWait implements Watcher {
  readonly fd: Fd;
  readonly #strict: Strict;
  readonly #poll: EpollFile;
  readonly #task: number;
  #given: Interest | undefined;

  constructor(strict: Strict, poll: EpollFile, task: number, fd: Fd) {
    this.#strict = strict;
    this.#poll = poll;
    this.#task = task;
    this.fd = fd;
    poll.watchers.add(this);
    strict.waiting.watch(poll);
    this.changed();
  }

  changed(): void {
    this.#strict.waiting.settling.add(this);
  }

  closed(): void {}

  eventsOf(): number {
    return this.#given === undefined ? POLLIN : 0;
  }

  /** Something may be ready: the kernel is to tell of it. */
  settle(): void {
    if (this.#given !== undefined) return;
    madeBy(undefined);
    this.#strict.callers.begin({ pid: this.#task });
    const found = this.#poll.takeOne();
    if (found === undefined) return;
    this.#given = found.interest;
    event.view.setUint32(0, (found.events | EPOLLONESHOT) >>> 0, true);
    event.bytes.set(found.interest.data, 4);
    const ready = alwaysReady(found.events);
    if (ready !== undefined) kernel.controlEpoll(this.fd.number, CTL_ADD, ready.number, event.address);
    this.#strict.waiting.watch(this.#poll);
  }

  /** The call is over: a signal may have ended it before it was told. */
  end(): void {
    this.#poll.watchers.delete(this);
    this.#strict.waiting.settling.delete(this);
    madeBy(undefined);
    if (this.#given !== undefined && kernel.lookAtEpoll(this.fd.number, event.address, 1) === 1) this.#poll.untake(this.#given);
    this.fd.close();
    this.#strict.waiting.watch(this.#poll);
  }
}

function waitInKernel(call: Trapped, strict: Strict, poll: EpollFile): number {
  makeAlwaysReady();
  const made = kernel.makeEpoll(O_CLOEXEC);
  if (made < 0) return made;
  const wait = new KernelWait(strict, poll, call.pid, new Fd(made));
  const lent = strict.descriptors.lendFor(call, poll, call.int(0), wait);
  if (lent !== CONTINUE) wait.end();
  return lent;
}

/** @param timeout milliseconds. @param mask the signals' address, or 0. */
function waitFor(call: Trapped, strict: Strict, timeout: number, mask: number): number {
  const poll = strict.descriptors.file(call, call.int(0));
  if (poll === undefined) return -EBADF;
  const most = call.int(2);
  if (!(poll instanceof EpollFile) || most <= 0) return -EINVAL;
  const count = poll.take(buffer, Math.min(most, MOST_EVENTS));
  if (count > 0) {
    const copied = copyOut(call, call.arg(1), buffer, count * EVENT_SIZE);
    return copied < 0 ? copied : count;
  }
  if (timeout <= 0 || strict.waiting.isOver) return 0;
  const isOwn = mask === 0 ? 1 : isOwnMask(call, strict, mask);
  if (isOwn < 0) return isOwn;
  if (isOwn === 0 && call instanceof Listener) return waitInKernel(call, strict, poll);
  if (isOwn === 0 && !(call instanceof Listener)) call.waitUnder(mask);
  return strict.waiting.waitFor(call, [poll], POLLIN, timeout);
}

const limit = (milliseconds: number): number => (milliseconds < 0 ? Infinity : milliseconds);

export const epoll_wait: Handler = (call, strict) => waitFor(call, strict, limit(call.int(3)), 0);

export const epoll_pwait: Handler = (call, strict) => waitFor(call, strict, limit(call.int(3)), call.arg(4));

export const epoll_pwait2: Handler = (call, strict) => {
  if (call.arg(3) === 0) return waitFor(call, strict, Infinity, call.arg(4));
  const copied = copyIn(call, call.arg(3), small, 16);
  return copied < 0 ? copied : waitFor(call, strict, signed(small, 0) * 1000 + signed(small, 8) / 1e6, call.arg(4));
};
