/** read(2), write(2) and their kin, lseek(2): data between guest memory and a description, by way of the sentry's. */
import { EAGAIN, EBADF, EINVAL, EOPNOTSUPP, EPIPE } from "../../../linux/abi/errno.ts";
import { O_ACCMODE, O_PATH, O_RDONLY, O_WRONLY } from "../../../linux/abi/fcntl.ts";
import { POLLIN, POLLOUT } from "../../../linux/abi/poll.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import { HERE, type Description } from "../objects/description.ts";
import { HostFile, HostStream } from "../objects/files.ts";
import { roomIn, tooLarge } from "./rlimit.ts";
import { lendToWrite } from "./lend.ts";
import { MemoryFile } from "../objects/memfd.ts";
import { buffer, BUFFER_SIZE, copyIn, copyOut, copyVectors, gather } from "../memory.ts";
import { ATOMIC, PipeEnd } from "../objects/pipe.ts";
import { SignalFile } from "../objects/signalfd.ts";
import { sizeOf } from "./message.ts";
import { receiveInto } from "./receive.ts";
import { sendFrom } from "./send.ts";
import { readSignals } from "./signalfd.ts";
import { Socket } from "../sockets/socket.ts";
import type { Handler, Strict } from "../strict.ts";
import * as terminals from "./terminals.ts";
import { ANSWERED, type Trapped } from "../trapped.ts";

const ESPIPE = 29;

type Vectors = readonly (readonly [address: number, size: number])[];

/** MAX_RW_COUNT: what one call moves at most. Source: Linux include/linux/fs.h. */
const LONGEST = 0x7fff_f000;

export function mayRead({ flags }: Description): boolean {
  return (flags & O_PATH) === 0 && (flags & O_ACCMODE) !== O_WRONLY;
}

export function mayWrite({ flags }: Description): boolean {
  return (flags & O_PATH) === 0 && (flags & O_ACCMODE) !== O_RDONLY;
}

/** What is asked of a volume is kept until the call is answered (volumes/errands.ts): it is done in parts. */
const isEnoughAtOnce = (file: Description, done: number): boolean => file instanceof HostFile && file.desk !== undefined && done >= BUFFER_SIZE;

export function readInto(call: Trapped, strict: Strict, vectors: Vectors, position: number): number {
  const file = strict.descriptors.file(call, call.int(0));
  if (file === undefined || !mayRead(file)) return -EBADF;
  if (position !== HERE && !(file instanceof HostFile)) return -ESPIPE;
  if (file instanceof Socket) return receiveInto(call, strict, file, vectors, 0);
  if (file instanceof SignalFile) return readSignals(call, strict, file);
  const background = file instanceof HostStream ? terminals.mayRead(call, strict, file) : 0;
  if (background !== 0) return background;
  let done = 0;
  let last = 0;
  const undo = () => {
    if (position === HERE && done > 0) file.unread(done, last === done ? buffer.bytes.slice(0, done) : undefined);
  };
  for (const [address, size] of vectors) {
    for (let at = 0; at < Math.min(size, LONGEST); at += last) {
      const wanted = Math.min(size - at, BUFFER_SIZE);
      last = file.read(buffer, wanted, position === HERE ? HERE : position + done);
      if (last <= 0) return done > 0 || last === 0 ? strict.undoable(done, undo) : last === -EAGAIN ? strict.waiting.wait(call, file, POLLIN) : last;
      const copied = copyOut(call, address + at, buffer, last);
      if (copied < 0) {
        if (position === HERE) file.unread(last, buffer.bytes.slice(0, last));
        return done > 0 ? done : copied;
      }
      done += last;
      if (last < wanted || isEnoughAtOnce(file, done)) return strict.undoable(done, undo);
    }
  }
  return strict.undoable(done, undo);
}

export function writeFrom(call: Trapped, strict: Strict, vectors: Vectors, position: number): number {
  const file = strict.descriptors.file(call, call.int(0));
  if (file === undefined || !mayWrite(file)) return -EBADF;
  if (position !== HERE && !(file instanceof HostFile)) return -ESPIPE;
  if (file instanceof Socket) return sendFrom(call, strict, file, vectors, 0);
  if (file instanceof PipeEnd) return writeToPipe(call, strict, file, vectors);
  if (file instanceof MemoryFile) return lendToWrite(call, strict);
  const background = file instanceof HostStream ? terminals.mayWrite(call, strict, file) : 0;
  if (background !== 0) return background;
  const room = roomIn(call, strict, file, position);
  if (room === 0 && sizeOf(vectors) > 0) return tooLarge(call, strict);
  let done = 0;
  const undo = () => {
    if (position === HERE) file.unwrite(done);
  };
  for (const [address, size] of vectors) {
    for (let at = 0; at < Math.min(size, LONGEST); ) {
      const wanted = Math.min(size - at, BUFFER_SIZE, room - done);
      if (wanted === 0) return strict.undoable(done, undo);
      const copied = copyIn(call, address + at, buffer, wanted);
      if (copied < 0) return done > 0 ? strict.undoable(done, undo) : copied;
      const result = file.write(buffer, wanted, position === HERE ? HERE : position + done);
      if (result < 0) return done > 0 ? strict.undoable(done, undo) : refused(call, strict, file, result);
      done += result;
      at += result;
      if (result === 0 || isEnoughAtOnce(file, done)) return strict.undoable(done, undo);
    }
  }
  return strict.undoable(done, undo);
}

/** All of it, unless it does not want to wait; up to PIPE_BUF in one piece. Source: pipe(7). */
function writeToPipe(call: Trapped, strict: Strict, pipe: PipeEnd, vectors: Vectors): number {
  const total = Math.min(sizeOf(vectors), LONGEST);
  const before = pipe.progress.take(call);
  let done = before;
  const undo = () => {
    pipe.unwrite(done - before);
    pipe.progress.keep(call, before);
  };
  do {
    const size = gather(call, vectors, done, Math.min(Math.max(pipe.room, ATOMIC), BUFFER_SIZE));
    const written = size < 0 ? size : pipe.write(buffer, size);
    if (written === -EAGAIN && !pipe.nonBlocking) {
      pipe.progress.keep(call, done);
      return strict.waiting.wait(call, pipe, POLLOUT);
    }
    if (written < 0) return done > 0 ? strict.undoable(done, undo) : refused(call, strict, pipe, written);
    done += written;
  } while (done < total);
  return strict.undoable(done, undo);
}

export function refused(call: Trapped, strict: Strict, file: Description, errno: number): number {
  if (errno === -EAGAIN) return strict.waiting.wait(call, file, POLLOUT);
  return errno === -EPIPE ? strict.callers.brokenPipe(call) : errno;
}

const one = (call: Trapped): Vectors => [[call.arg(1), call.arg(2)]];

/** Preconditions: positions are 64 bits, signed. @returns -EINVAL for one below 0. */
const at = (position: number): number => (position < 0 || position > Number.MAX_SAFE_INTEGER ? -EINVAL : position);

function positioned(call: Trapped, strict: Strict, vectors: Vectors | number, move: typeof readInto): number {
  if (typeof vectors === "number") return vectors;
  const position = at(call.arg(3));
  return position < 0 ? position : move(call, strict, vectors, position);
}

export const read: Handler = (call, strict) => readInto(call, strict, one(call), HERE);
export const write: Handler = (call, strict) => writeFrom(call, strict, one(call), HERE);
export const pread64: Handler = (call, strict) => positioned(call, strict, one(call), readInto);
export const pwrite64: Handler = (call, strict) => positioned(call, strict, one(call), writeFrom);

const many = (call: Trapped): Vectors | number => copyVectors(call, call.arg(1), call.int(2));

function vectored(call: Trapped, strict: Strict, move: typeof readInto): number {
  const vectors = many(call);
  return typeof vectors === "number" ? vectors : move(call, strict, vectors, HERE);
}

export const readv: Handler = (call, strict) => vectored(call, strict, readInto);
export const writev: Handler = (call, strict) => vectored(call, strict, writeFrom);
export const preadv: Handler = (call, strict) => positioned(call, strict, many(call), readInto);
export const pwritev: Handler = (call, strict) => positioned(call, strict, many(call), writeFrom);

/** Which is a hint. */
const RWF_HIPRI = 1;

/** Flags of preadv2(2) are promises about how, of which none is kept here. A position of -1 is the description's own. */
function withFlags(call: Trapped, strict: Strict, move: typeof readInto): number {
  if ((call.int(5) & ~RWF_HIPRI) !== 0) return -EOPNOTSUPP;
  return call.int(3) === -1 && call.int(4) === -1 ? vectored(call, strict, move) : positioned(call, strict, many(call), move);
}

export const preadv2: Handler = (call, strict) => withFlags(call, strict, readInto);
export const pwritev2: Handler = (call, strict) => withFlags(call, strict, writeFrom);

const LAST_ERRNO = 4095;

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
