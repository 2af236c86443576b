/** sendfile(2), copy_file_range(2), splice(2), tee(2), vmsplice(2): data from one description to another, copied by way of the sentry's memory. */
import { EAGAIN, EBADF, EINVAL, EISDIR } from "../../../linux/abi/errno.ts";
import { O_APPEND, S_IFDIR, S_IFMT } from "../../../linux/abi/fcntl.ts";
import { POLLIN, POLLOUT } from "../../../linux/abi/poll.ts";
import { HERE, type Description } from "../objects/description.ts";
import { HostFile, HostStream, inodeOf } from "../objects/files.ts";
import { roomIn, tooLarge } from "./rlimit.ts";
import { lendToCopy } from "./lend.ts";
import { MemoryFile } from "../objects/memfd.ts";
import { buffer, BUFFER_SIZE, copyIn, copyOut, copyVectors, signed, small } from "../memory.ts";
import { PipeEnd } from "../objects/pipe.ts";
import type { Handler, Strict } from "../strict.ts";
import { mayRead, mayWrite, readInto, refused, writeFrom } from "./read-write.ts";
import type { Trapped } from "../trapped.ts";

const ESPIPE = 29;
const SPLICE_F_NONBLOCK = 2;
/** MOVE, NONBLOCK, MORE, GIFT. */
const SPLICE_FLAGS = 0xf;

interface End {
  readonly file: Description;
  /** In bytes, or HERE. */
  readonly position: number;
  /** Where the position has come from and goes to in the guest's memory; 0 where it is the description's own. */
  readonly address: number;
}

/** @param descriptor the argument that has it. @param offset the argument that points to the position, of calls that have one. */
function end(call: Trapped, strict: Strict, descriptor: number, offset: number | undefined, isFit: (file: Description) => boolean): End | number {
  const file = strict.descriptors.file(call, call.int(descriptor));
  if (file === undefined || !isFit(file)) return -EBADF;
  const address = offset === undefined ? 0 : call.arg(offset);
  if (address === 0) return { file, position: HERE, address };
  const copied = copyIn(call, address, small, 8);
  if (copied < 0) return copied;
  const position = signed(small, 0);
  if (!(file instanceof HostFile)) return -ESPIPE;
  return position < 0 ? -EINVAL : { file, position, address };
}

/** On a file system that may not answer: the handler is run again from the start when it has (volumes/errands.ts). */
const isAsked = (file: Description): boolean => file instanceof HostFile && file.desk !== undefined;

/** At most one buffer a call: the caller asks again for the rest, as it must where a socket is full. @returns as handlers do. */
function move(call: Trapped, strict: Strict, from: End, to: End, size: number, isNonBlocking = false): number {
  // Its pages are to be the guest's (objects/memfd.ts): programs then read and write.
  if (to.file instanceof MemoryFile) return -EINVAL;
  // Read once, whatever the pipe has room for when it has been.
  const room = to.file instanceof PipeEnd && !isAsked(from.file) ? to.file.room : roomIn(call, strict, to.file, to.position);
  if (size > 0 && room === 0) return to.file instanceof HostFile ? tooLarge(call, strict) : full(call, strict, to, isNonBlocking);
  const read = from.file.read(buffer, Math.min(size, room, BUFFER_SIZE), from.position);
  if (read === -EAGAIN && !isNonBlocking) return strict.waiting.wait(call, from.file, POLLIN);
  if (read <= 0) return read;
  const bytes = buffer.bytes.slice(0, read);
  const written = to.file.write(buffer, read, to.position);
  if (from.position === HERE && written < read) from.file.unread(read - Math.max(written, 0), bytes.subarray(Math.max(written, 0)));
  if (written < 0) return written === -EAGAIN ? full(call, strict, to, isNonBlocking) : refused(call, strict, to.file, written);
  for (const side of [from, to]) {
    const told = tell(call, side, written);
    if (told < 0) return told;
  }
  return written;
}

/** One whose readers are gone says so when it is written to. */
function full(call: Trapped, strict: Strict, { file }: End, isNonBlocking: boolean): number {
  const written = file instanceof PipeEnd ? file.write(buffer, 1) : -EAGAIN;
  if (written !== -EAGAIN) return refused(call, strict, file, written);
  return isNonBlocking ? -EAGAIN : strict.waiting.wait(call, file, POLLOUT);
}

function tell(call: Trapped, { position, address }: End, moved: number): number {
  if (address === 0) return 0;
  small.view.setBigInt64(0, BigInt(position + moved), true);
  return copyOut(call, address, small, 8);
}

export const sendfile: Handler = (call, strict) => {
  const to = end(call, strict, 0, undefined, mayWrite);
  if (typeof to === "number") return to;
  const from = end(call, strict, 1, 2, mayRead);
  if (typeof from === "number") return from;
  // What is taken from a pipe would be taken again.
  if (isAsked(to.file) && !isRegular(from.file)) return -EINVAL;
  if (to.file instanceof MemoryFile && isRegular(from.file)) return lendToCopy(call, strict, call.int(1), call.int(0));
  return move(call, strict, from, to, call.arg(3));
};

const type = ({ file }: End): number => (file instanceof HostFile ? file.mode & S_IFMT : 0);

/** Source: Linux fs/read_write.c, generic_copy_file_checks. */
export const copy_file_range: Handler = (call, strict) => {
  if (call.int(5) !== 0) return -EINVAL;
  const from = end(call, strict, 0, 1, mayRead);
  if (typeof from === "number") return from;
  const to = end(call, strict, 2, 3, mayWrite);
  if (typeof to === "number") return to;
  if (type(from) === S_IFDIR || type(to) === S_IFDIR) return -EISDIR;
  if (!isRegular(from.file) || !isRegular(to.file)) return -EINVAL;
  if ((to.file.flags & O_APPEND) !== 0) return -EBADF;
  const size = Math.min(call.arg(4), BUFFER_SIZE);
  if (overlap(from, from.file, to, to.file, size)) return -EINVAL;
  return to.file instanceof MemoryFile ? lendToCopy(call, strict, call.int(0), call.int(2)) : move(call, strict, from, to, size);
};

const isRegular = (file: Description): file is HostFile => file instanceof HostFile && !(file instanceof HostStream) && file.isRegular;

function overlap(from: End, source: HostFile, to: End, target: HostFile, size: number): boolean {
  if (inodeOf(source.fd) !== inodeOf(target.fd)) return false;
  return Math.abs((from.position === HERE ? source.position : from.position) - (to.position === HERE ? target.position : to.position)) < size;
}

export const splice: Handler = (call, strict) => {
  const [size, flags] = [call.arg(4), call.int(5)];
  if ((flags & ~SPLICE_FLAGS) !== 0) return -EINVAL;
  if (size === 0) return 0;
  const from = end(call, strict, 0, 1, mayRead);
  if (typeof from === "number") return from;
  const to = end(call, strict, 2, 3, mayWrite);
  if (typeof to === "number") return to;
  if (!(from.file instanceof PipeEnd || to.file instanceof PipeEnd)) return -EINVAL;
  // As with sendfile; so say file systems that cannot splice, and programs read and write then.
  if (isAsked(from.file) || isAsked(to.file)) return -EINVAL;
  if ((to.file.flags & O_APPEND) !== 0 || isSamePipe(from.file, to.file)) return -EINVAL;
  return move(call, strict, from, to, size, (flags & SPLICE_F_NONBLOCK) !== 0);
};

const isSamePipe = (one: Description, other: Description): boolean => one instanceof PipeEnd && other instanceof PipeEnd && one.isOf(other);

/** What is copied stays where it is. */
export const tee: Handler = (call, strict) => {
  const [from, to, flags] = [strict.descriptors.file(call, call.int(0)), strict.descriptors.file(call, call.int(1)), call.int(3)];
  if ((flags & ~SPLICE_FLAGS) !== 0) return -EINVAL;
  if (from === undefined || to === undefined || !mayRead(from) || !mayWrite(to)) return -EBADF;
  if (!(from instanceof PipeEnd) || !(to instanceof PipeEnd) || isSamePipe(from, to)) return -EINVAL;
  const result = move(call, strict, { file: from, position: HERE, address: 0 }, { file: to, position: HERE, address: 0 }, call.arg(2), (flags & SPLICE_F_NONBLOCK) !== 0);
  if (result > 0) from.unread(result);
  return result;
};

/** As writev(2) and readv(2) of a pipe. */
export const vmsplice: Handler = (call, strict) => {
  const file = strict.descriptors.file(call, call.int(0));
  if ((call.int(3) & ~SPLICE_FLAGS) !== 0) return -EINVAL;
  if (!(file instanceof PipeEnd)) return -EBADF;
  const vectors = copyVectors(call, call.arg(1), call.int(2));
  if (typeof vectors === "number") return vectors;
  const isNonBlocking = (call.int(3) & SPLICE_F_NONBLOCK) !== 0 && (file.ready() & (mayWrite(file) ? POLLOUT : POLLIN)) === 0;
  if (isNonBlocking) return -EAGAIN;
  return mayWrite(file) ? writeFrom(call, strict, vectors, HERE) : readInto(call, strict, vectors, HERE);
};
