/** epoll_create(2), epoll_ctl(2). */
import { EBADF, EEXIST, EINVAL, ELOOP, ENOENT, EPERM } from "../../../linux/abi/errno.ts";
import { O_CLOEXEC } from "../../../linux/abi/fcntl.ts";
import { copyIn, small } from "../memory.ts";
import { EpollFile, EVENT_SIZE } from "../objects/epoll.ts";
import { HostFile, HostStream } from "../objects/files.ts";
import type { Handler } from "../strict.ts";

const CTL = { add: 1, remove: 2, change: 3 } as const;
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
