/** epoll_create(2), epoll_ctl(2), epoll_wait(2). */
import { EBADF, EEXIST, EINVAL, ELOOP, ENOENT, ENOSYS, EPERM } from "../../../linux/abi/errno.ts";
import { O_CLOEXEC } from "../../../linux/abi/fcntl.ts";
import { POLLIN } from "../../../linux/abi/poll.ts";
import { buffer, copyIn, copyOut, signed, small } from "../memory.ts";
import { EpollFile, EVENT_SIZE } from "../objects/epoll.ts";
import { HostFile, HostStream } from "../objects/files.ts";
import type { Handler, Strict } from "../strict.ts";
import type { Trapped } from "../trapped.ts";

const CTL = { add: 1, remove: 2, change: 3 } as const;
const MOST_EVENTS = 4096;
/** EP_MAX_NESTS. Source: Linux fs/eventpoll.c. */
const MOST_NESTED = 4;

export const epoll_create: Handler = (call, strict) => (call.int(0) <= 0 ? -EINVAL : strict.descriptors.give(call, new EpollFile(strict.waiting), false));
export const epoll_create1: Handler = (call, strict) => {
  const flags = call.int(0);
  return (flags & ~O_CLOEXEC) === 0 ? strict.descriptors.give(call, new EpollFile(strict.waiting), flags !== 0) : -EINVAL;
};

/** Regular files and directories cannot be waited for, and no epoll by itself. */
export const epoll_ctl: Handler = (call, strict) => {
  const [poll, file] = [strict.descriptors.file(call, call.int(0)), strict.descriptors.file(call, call.int(2))];
  if (poll === undefined || file === undefined) return -EBADF;
  if (!(poll instanceof EpollFile) || file === poll) return -EINVAL;
  if (file instanceof HostFile && !(file instanceof HostStream)) return -EPERM;
  const number = call.int(2);
  const known = poll.find(file, number);
  const operation = call.int(1);
  if (operation === CTL.remove) return known === undefined ? -ENOENT : (poll.remove(known), 0);
  const copied = copyIn(call, call.arg(3), small, EVENT_SIZE);
  if (copied < 0) return copied;
  const [events, data] = [small.view.getUint32(0, true), small.bytes.slice(4, EVENT_SIZE)];
  switch (operation) {
    case CTL.add:
      if (file instanceof EpollFile && file.depthTo(poll) > MOST_NESTED) return -ELOOP;
      return known === undefined ? (poll.add({ file, number, events, data, hasChanged: true, isOff: false }), 0) : -EEXIST;
    case CTL.change:
      if (known === undefined) return -ENOENT;
      known.events = events;
      known.data = data;
      poll.modified(known);
      return 0;
    default:
      return -EINVAL;
  }
};

/** @param timeout milliseconds. */
function waitFor(call: Trapped, strict: Strict, timeout: number): number {
  const poll = strict.descriptors.file(call, call.int(0));
  if (poll === undefined) return -EBADF;
  const most = call.int(2);
  if (!(poll instanceof EpollFile) || most <= 0) return -EINVAL;
  const count = poll.take(buffer, Math.min(most, MOST_EVENTS));
  if (count === 0) return timeout > 0 && !strict.waiting.isOver ? strict.waiting.waitFor(call, [poll], POLLIN, timeout) : 0;
  const copied = copyOut(call, call.arg(1), buffer, count * EVENT_SIZE);
  return copied < 0 ? copied : count;
}

const limit = (milliseconds: number): number => (milliseconds < 0 ? Infinity : milliseconds);

export const epoll_wait: Handler = (call, strict) => waitFor(call, strict, limit(call.int(3)));

/** Another signal mask is not ours to set, and an epoll is not the kernel's to wait for. */
function isMasked(call: Trapped, strict: Strict): boolean {
  return call.arg(4) !== 0 && (copyIn(call, call.arg(4), small, 8) < 0 || small.view.getBigUint64(0, true) !== strict.tasks.blockedSignals(call.pid));
}

export const epoll_pwait: Handler = (call, strict) => (isMasked(call, strict) ? -ENOSYS : waitFor(call, strict, limit(call.int(3))));

export const epoll_pwait2: Handler = (call, strict) => {
  if (isMasked(call, strict)) return -ENOSYS;
  if (call.arg(3) === 0) return waitFor(call, strict, Infinity);
  const copied = copyIn(call, call.arg(3), small, 16);
  return copied < 0 ? copied : waitFor(call, strict, signed(small, 0) * 1000 + signed(small, 8) / 1e6);
};
