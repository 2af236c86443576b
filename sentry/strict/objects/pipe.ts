/** pipe(2), in the sentry's memory. */
import { EAGAIN, EBUSY, EPERM, EPIPE } from "../../../linux/abi/errno.ts";
import { O_ACCMODE, O_RDONLY, O_WRONLY } from "../../../linux/abi/fcntl.ts";
import { POLLERR, POLLHUP, POLLIN, POLLOUT } from "../../../linux/abi/poll.ts";
import type { Block } from "../../../linux/memory.unsafe.ts";
import { Description } from "./description.ts";
import { copyOut, small } from "../memory.ts";
import { Progress } from "./progress.ts";
import type { Trapped } from "../trapped.ts";
import type { WaitingCalls } from "./waiting.ts";

/** Bytes, as Linux has it. */
const CAPACITY = 65_536;
/** PIPE_BUF: what is written in one piece or not at all. */
export const ATOMIC = 4096;
const PAGE = 4096;
/** /proc/sys/fs/pipe-max-size, and what all pipes of a sandbox may have beyond the usual, as pipe-user-pages-soft. Bytes. */
const MOST_CAPACITY = 1 << 20;
const MOST_GROWTH = 64 << 20;
let growth = 0;
const FIONREAD = 0x541b;

type Bytes = Pick<Block, "bytes">;

export class Pipe {
  #bytes: Uint8Array | undefined;
  #capacity = CAPACITY;
  #start = 0;
  #size = 0;
  /** Of a named one, several each, and some both. */
  readonly readers = new Set<PipeEnd>();
  readonly writers = new Set<PipeEnd>();
  /** How many there have been. */
  opened = { readers: 0, writers: 0 };

  get size(): number {
    return this.#size;
  }

  get room(): number {
    return this.#capacity - this.#size;
  }

  get capacity(): number {
    return this.#capacity;
  }

  /** Preconditions: at least `size`. */
  set capacity(capacity: number) {
    const content = { bytes: new Uint8Array(capacity) };
    const count = this.#size;
    if (count > 0) this.take(content, count);
    this.#bytes = count > 0 ? content.bytes : undefined;
    this.#capacity = capacity;
    this.#start = 0;
    this.#size = count;
  }

  put({ bytes }: Bytes, count: number): void {
    const ring = (this.#bytes ??= new Uint8Array(this.#capacity));
    const at = (this.#start + this.#size) % this.#capacity;
    const first = Math.min(count, this.#capacity - at);
    ring.set(bytes.subarray(0, first), at);
    ring.set(bytes.subarray(first, count), 0);
    this.#size += count;
  }

  take({ bytes }: Bytes, count: number): void {
    const ring = (this.#bytes ??= new Uint8Array(this.#capacity));
    const first = Math.min(count, this.#capacity - this.#start);
    bytes.set(ring.subarray(this.#start, this.#start + first), 0);
    bytes.set(ring.subarray(0, count - first), first);
    this.#start = (this.#start + count) % this.#capacity;
    this.#size -= count;
  }

  /** What was taken last is still there: nobody has written since. */
  untake(count: number): void {
    this.#start = (this.#start - count + this.#capacity) % this.#capacity;
    this.#size += count;
  }

  unput(count: number): void {
    this.#size -= count;
  }
}

/** Has struct stat of a pipe be filled in. */
export type Stat = (into: Block) => number;

export class PipeEnd extends Description {
  readonly #pipe: Pipe;
  readonly #waiting: WaitingCalls;
  readonly #stat: Stat;
  readonly #onClose: () => void;
  readonly progress = new Progress();
  /** Writers that had been there before a named pipe was opened: their end is not this reader's. */
  readonly #writersBefore: number;

  constructor(pipe: Pipe, waiting: WaitingCalls, flags: number, stat: Stat, onClose: () => void = () => {}) {
    super(flags);
    this.#pipe = pipe;
    this.#waiting = waiting;
    this.#stat = stat;
    this.#onClose = onClose;
    this.#writersBefore = pipe.writers.size > 0 ? -1 : pipe.opened.writers;
    if (this.#isReader) {
      pipe.readers.add(this);
      pipe.opened.readers++;
    }
    if (this.#isWriter) {
      pipe.writers.add(this);
      pipe.opened.writers++;
    }
    this.#wakeAll(pipe.readers);
    this.#wakeAll(pipe.writers);
  }

  #wakeAll(ends: ReadonlySet<PipeEnd>): void {
    for (const end of ends) if (end !== this) this.#waiting.wake(end);
  }

  get room(): number {
    return this.#pipe.room;
  }

  override get capacity(): number {
    return this.#pipe.capacity;
  }

  isOf(other: PipeEnd): boolean {
    return this.#pipe === other.#pipe;
  }

  /** Source: Linux fs/pipe.c, pipe_set_size. */
  override resize(wanted: number): number {
    const pipe = this.#pipe;
    const capacity = Math.max(PAGE, 2 ** Math.ceil(Math.log2(wanted)));
    const more = capacity - pipe.capacity;
    if (more > 0 && (capacity > MOST_CAPACITY || growth + more > MOST_GROWTH)) return -EPERM;
    if (capacity < pipe.size) return -EBUSY;
    growth += more;
    pipe.capacity = capacity;
    this.#wakeAll(pipe.writers);
    return capacity;
  }

  get #isReader(): boolean {
    return (this.flags & O_ACCMODE) !== O_WRONLY;
  }

  get #isWriter(): boolean {
    return (this.flags & O_ACCMODE) !== O_RDONLY;
  }

  /** Source: Linux fs/pipe.c, pipe_poll. */
  ready(): number {
    const { size, room, readers, writers, opened } = this.#pipe;
    const isHungUp = writers.size === 0 && opened.writers !== this.#writersBefore;
    const reading = this.#isReader ? (size > 0 ? POLLIN : 0) | (isHungUp ? POLLHUP : 0) : 0;
    return this.#isWriter ? reading | (room >= ATOMIC ? POLLOUT : 0) | (readers.size === 0 ? POLLERR : 0) : reading;
  }

  override read(into: Block, size: number): number {
    const pipe = this.#pipe;
    const count = Math.min(size, pipe.size);
    if (count === 0 && size > 0) return pipe.writers.size === 0 ? 0 : -EAGAIN;
    pipe.take(into, count);
    for (const writer of pipe.writers) this.#waiting.wake(writer);
    return count;
  }

  override unread(count: number): void {
    this.#pipe.untake(count);
  }

  override write(from: Block, size: number): number {
    const pipe = this.#pipe;
    if (pipe.readers.size === 0) return -EPIPE;
    if (size === 0) return 0;
    if (pipe.room === 0 || (size <= ATOMIC && size > pipe.room)) return -EAGAIN;
    const count = Math.min(size, pipe.room);
    pipe.put(from, count);
    for (const reader of pipe.readers) this.#waiting.wake(reader);
    return count;
  }

  override unwrite(count: number): void {
    this.#pipe.unput(count);
  }

  stat(into: Block): number {
    return this.#stat(into);
  }

  override control(call: Trapped, command: number): number {
    if (command !== FIONREAD) return super.control(call, command);
    small.view.setInt32(0, this.#pipe.size, true);
    return copyOut(call, call.arg(2), small, 4);
  }

  close(): void {
    this.#pipe.readers.delete(this);
    this.#pipe.writers.delete(this);
    this.#wakeAll(this.#pipe.readers);
    this.#wakeAll(this.#pipe.writers);
    if (this.#pipe.readers.size + this.#pipe.writers.size === 0) growth -= this.#pipe.capacity - CAPACITY;
    this.#onClose();
  }
}
