/** Calls about an open file, other than moving its data. */
import { EAGAIN, EBADF, EINVAL, ENOTDIR, ENOTTY, EOPNOTSUPP } from "../../../linux/abi/errno.ts";
import { O_APPEND, O_NONBLOCK, S_IFDIR, S_IFMT } from "../../../linux/abi/fcntl.ts";
import { madeBy } from "../../../linux/made-by.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import type { Description } from "../objects/description.ts";
import { HostFile, HostStream } from "../objects/files.ts";
import { controlTerminal } from "./terminals.ts";
import { isBeyondLimit, tooLarge } from "./rlimit.ts";
import { LOCK_COMMANDS } from "../guest/locks.ts";
import { lendToWrite } from "./lend.ts";
import { MemoryFile } from "../objects/memfd.ts";
import { buffer, BUFFER_SIZE, copyIn, copyOut, small } from "../memory.ts";
import { Socket } from "../sockets/socket.ts";
import type { Handler, Strict } from "../strict.ts";
import { ANSWERED, type Trapped } from "../trapped.ts";

const ESPIPE = 29;
/** What the kernel rounds to no size. Source: Linux fs/pipe.c, round_pipe_size. */
const LARGEST_PIPE = 0x8000_0000;
const LAST_ERRNO = 4095;

/** A file with a position. */
function seekable(call: Trapped, strict: Strict, otherwise: number): HostFile | number {
  const file = strict.descriptors.file(call, call.int(0));
  if (file === undefined) return -EBADF;
  return file instanceof HostFile && !(file instanceof HostStream) ? file : otherwise;
}

export const lseek: Handler = (call, strict) => {
  const file = strict.descriptors.file(call, call.int(0));
  if (file === undefined) return -EBADF;
  // Devices as /dev/null have positions; of terminals and pipes the kernel says that they have none.
  if (!(file instanceof HostFile)) return -ESPIPE;
  const result = kernel.seek(file.fd.number, call.wide(1), call.int(2));
  if (typeof result === "number" && result >= -LAST_ERRNO) return result;
  call.answerWide(BigInt(result));
  return ANSWERED;
};

export const getdents64: Handler = (call, strict) => {
  const file = seekable(call, strict, -ENOTDIR);
  if (typeof file === "number") return file;
  if ((file.mode & S_IFMT) !== S_IFDIR) return -ENOTDIR;
  const count = kernel.listEntries(file.fd.number, buffer.address, Math.min(call.arg(2) % 0x1_0000_0000, BUFFER_SIZE));
  if (count <= 0) return count;
  const copied = copyOut(call, call.arg(1), buffer, count);
  return copied < 0 ? copied : count;
};

/** @param act on the file's descriptor. */
const onFile =
  (act: (fd: number, call: Trapped, strict: Strict) => number): Handler =>
  (call, strict) => {
    const file = seekable(call, strict, -EINVAL);
    return typeof file === "number" ? file : act(file.fd.number, call, strict);
  };

export const ftruncate = onFile((fd, call, strict) => (isBeyondLimit(call, strict, call.signed(1)) ? tooLarge(call, strict) : kernel.resize(fd, call.signed(1))));
export const fsync = onFile((fd) => kernel.sync(fd, false));
export const fdatasync = onFile((fd) => kernel.sync(fd, true));
export const syncfs = onFile((fd) => kernel.sync(fd, false));
export const fallocate: Handler = (call, strict) => {
  const file = seekable(call, strict, -EINVAL);
  if (typeof file === "number") return file;
  if (isBeyondLimit(call, strict, call.signed(2) + call.signed(3))) return tooLarge(call, strict);
  return file instanceof MemoryFile ? lendToWrite(call, strict) : kernel.allocate(file.fd.number, call.int(1), call.signed(2), call.signed(3));
};
/** Advice, which nobody has to take. */
export const fadvise64 = onFile(() => 0);

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

const FIONBIO = 0x5421;
const NUMBER_FLAGS: readonly number[] = [0x5450, 0x5451];

export const ioctl: Handler = (call, strict) => {
  const file = strict.descriptors.file(call, call.int(0));
  if (file === undefined) return -EBADF;
  const command = call.int(1);
  if (NUMBER_FLAGS.includes(command)) return -ENOTTY;
  if (command !== FIONBIO) return file instanceof HostStream ? controlTerminal(call, strict, file) : file.control(call, command);
  const copied = copyIn(call, call.arg(2), small, 4);
  if (copied < 0) return copied;
  file.flags = small.view.getInt32(0, true) === 0 ? file.flags & ~O_NONBLOCK : file.flags | O_NONBLOCK;
  return 0;
};

/** Of which there is none for these kinds. */
export const refused: Handler = () => -EOPNOTSUPP;
