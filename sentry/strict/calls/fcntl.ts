/** fcntl(2), flock(2). */
import { EAGAIN, EBADF, EINVAL } from "../../../linux/abi/errno.ts";
import { O_APPEND, O_NONBLOCK } from "../../../linux/abi/fcntl.ts";
import { madeBy } from "../../../linux/made-by.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import { LOCK_COMMANDS } from "../guest/locks.ts";
import type { Description } from "../objects/description.ts";
import { HostFile, HostStream } from "../objects/files.ts";
import { Socket } from "../sockets/socket.ts";
import type { Handler } from "../strict.ts";

/** What the kernel rounds to no size. Source: Linux fs/pipe.c, round_pipe_size. */
const LARGEST_PIPE = 0x8000_0000;

const LOCK_NB = 4;

/** How often a lock that another has is tried again, in milliseconds: the kernel tells nobody when it is free. */
const RETRY = 20;

/** The sentry's open file is the description's alone, so its lock is the description's. */
export const flock: Handler = (call, strict) => {
  const file = strict.descriptors.file(call, call.int(0));
  if (file === undefined) return -EBADF;
  if (!(file instanceof HostFile)) return -EINVAL;
  const result = kernel.lock(file.fd.number, call.int(1) | LOCK_NB);
  return result === -EAGAIN && (call.int(1) & LOCK_NB) === 0 ? strict.waiting.retryIn(call, RETRY) : result;
};

const F = { getFlags: 3, setFlags: 4, setOwner: 8, getOwner: 9, setLease: 1024, getLease: 1025, setPipeSize: 1031, getPipeSize: 1032, addSeals: 1033, getSeals: 1034 } as const;
/** F_UNLCK. No lease is given: the file is open here as well. */
const NO_LEASE = 2;
/** What F_SETFL changes; O_DIRECT and O_NOATIME it does not here. */
const CHANGEABLE = O_APPEND | O_NONBLOCK;

export const fcntl: Handler = (call, strict) => {
  const file = strict.descriptors.file(call, call.int(0));
  if (file === undefined) return -EBADF;
  if (LOCK_COMMANDS.has(call.int(1))) {
    // They have more effects than system calls.
    madeBy(undefined);
    return file instanceof HostFile ? strict.locks.control(call, file, call.int(1)) : -EBADF;
  }
  switch (call.int(1)) {
    case F.getFlags:
      return file.flags;
    case F.setFlags:
      return setFlags(file, call.int(2));
    case F.setLease:
      return -EAGAIN;
    case F.getLease:
      return NO_LEASE;
    case F.addSeals:
    case F.getSeals:
      return file instanceof HostFile ? kernel.seal(file.fd.number, call.int(1), call.int(2)) : -EINVAL;
    case F.getPipeSize:
      return file.capacity ?? -EBADF;
    case F.setPipeSize:
      return call.arg(2) > LARGEST_PIPE ? -EINVAL : file.resize(call.arg(2));
    case F.setOwner:
    case F.getOwner:
      return file instanceof Socket ? file.owned(call.int(1) === F.setOwner ? call.int(2) : undefined) : -EINVAL;
    default:
      return -EINVAL;
  }
};

/** O_APPEND is the kernel's to keep for a file of its own. */
function setFlags(file: Description, flags: number): number {
  file.flags = (file.flags & ~CHANGEABLE) | (flags & CHANGEABLE);
  return file instanceof HostFile && !(file instanceof HostStream) ? kernel.setFlags(file.fd.number, flags & O_APPEND) : 0;
}
