/** pipe(2), in the sentry's memory. */
import { EAGAIN, EINVAL, EPIPE } from "../../linux/abi/errno.ts";
import { O_CLOEXEC, O_NONBLOCK, O_RDONLY, O_WRONLY } from "../../linux/abi/fcntl.ts";
import { POLLERR, POLLHUP, POLLIN, POLLOUT } from "../../linux/abi/poll.ts";
import type { Block } from "../../linux/memory.unsafe.ts";
import { Description } from "./description.ts";
import { copyOut, small } from "./memory.ts";
import { putStat } from "./stat.ts";
import type { Strict } from "./strict.ts";
import type { Handler, Trapped } from "./trapped.ts";

/** Bytes, as Linux has it. */
const CAPACITY = 65_536;
/** PIPE_BUF: what is written in one piece or not at all. */
const ATOMIC = 4096;
const S_IFIFO = 0o010000;
const FIONREAD = 0x541b;

class Buffer {
  #bytes: Uint8Array | undefined;
  #start = 0;
  #size = 0;
  reader: PipeEnd | undefined;
  writer: PipeEnd | undefined;

  get size(): number {
    return this.#size;
  }

  get room(): number {
    return CAPACITY - this.#size;
  }

  put({ bytes }: Block, count: number): void {
    const ring = (this.#bytes ??= new Uint8Array(CAPACITY));
    const at = (this.#start + this.#size) % CAPACITY;
    const first = Math.min(count, CAPACITY - at);
    ring.set(bytes.subarray(0, first), at);
    ring.set(bytes.subarray(first, count), 0);
    this.#size += count;
  }

  take({ bytes }: Block, count: number): void {
    const ring = (this.#bytes ??= new Uint8Array(CAPACITY));
    const first = Math.min(count, CAPACITY - this.#start);
    bytes.set(ring.subarray(this.#start, this.#start + first), 0);
    bytes.set(ring.subarray(0, count - first), first);
    this.#start = (this.#start + count) % CAPACITY;
    this.#size -= count;
  }

  /** What was taken last is still there: nobody has written since. */
  untake(count: number): void {
    this.#start = (this.#start - count + CAPACITY) % CAPACITY;
    this.#size += count;
  }

  unput(count: number): void {
    this.#size -= count;
  }
}

class PipeEnd extends Description {
  readonly #pipe: Buffer;
  readonly #strict: Strict;
  readonly #inode: number;

  constructor(pipe: Buffer, strict: Strict, flags: number, inode: number) {
    super(flags);
    this.#pipe = pipe;
    this.#strict = strict;
    this.#inode = inode;
  }

  override get capacity(): number {
    return CAPACITY;
  }

  get #isReader(): boolean {
    return this.#pipe.reader === this;
  }

  /** Source: Linux fs/pipe.c, pipe_poll. */
  ready(): number {
    const { size, room, reader, writer } = this.#pipe;
    if (this.#isReader) return (size > 0 ? POLLIN : 0) | (writer === undefined ? POLLHUP : 0);
    return (room >= ATOMIC ? POLLOUT : 0) | (reader === undefined ? POLLERR : 0);
  }

  override read(into: Block, size: number): number {
    const pipe = this.#pipe;
    const count = Math.min(size, pipe.size);
    if (count === 0 && size > 0) return pipe.writer === undefined ? 0 : -EAGAIN;
    pipe.take(into, count);
    if (pipe.writer !== undefined) this.#strict.waiting.wake(pipe.writer);
    return count;
  }

  override unread(count: number): void {
    this.#pipe.untake(count);
  }

  override write(from: Block, size: number): number {
    const pipe = this.#pipe;
    if (pipe.reader === undefined) return -EPIPE;
    if (size === 0) return 0;
    if (pipe.room === 0 || (size <= ATOMIC && size > pipe.room)) return -EAGAIN;
    const count = Math.min(size, pipe.room);
    pipe.put(from, count);
    this.#strict.waiting.wake(pipe.reader);
    return count;
  }

  override unwrite(count: number): void {
    this.#pipe.unput(count);
  }

  stat(into: Block): number {
    return putStat(into, { mode: S_IFIFO | 0o600, inode: this.#inode });
  }

  override control(call: Trapped, _strict: Strict, command: number): number {
    if (command !== FIONREAD) return super.control(call, _strict, command);
    small.view.setInt32(0, this.#pipe.size, true);
    return copyOut(call, call.arg(2), small, 4);
  }

  close(): void {
    const pipe = this.#pipe;
    const other = this.#isReader ? pipe.writer : pipe.reader;
    if (this.#isReader) pipe.reader = undefined;
    else pipe.writer = undefined;
    if (other !== undefined) this.#strict.waiting.wake(other);
  }
}

function makePipe(call: Trapped, strict: Strict, flags: number): number {
  if ((flags & ~(O_CLOEXEC | O_NONBLOCK)) !== 0) return -EINVAL;
  const buffer = new Buffer();
  const inode = strict.nextInode();
  buffer.reader = new PipeEnd(buffer, strict, O_RDONLY | (flags & O_NONBLOCK), inode);
  buffer.writer = new PipeEnd(buffer, strict, O_WRONLY | (flags & O_NONBLOCK), inode);
  return strict.giveTwo(call, buffer.reader, buffer.writer, (flags & O_CLOEXEC) !== 0, call.arg(0));
}

export const pipe: Handler = (call, strict) => makePipe(call, strict, 0);
export const pipe2: Handler = (call, strict) => makePipe(call, strict, call.int(1));
