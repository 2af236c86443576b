/** Named pipes: the name is a file's, which says who may open them; the data are the sentry's, as those of other pipes. Source: fifo(7). */
import { ENXIO } from "../../../linux/abi/errno.ts";
import { AT_EACCESS, AT_EMPTY_PATH, O_ACCMODE, O_CLOEXEC, O_NONBLOCK, O_RDONLY, O_WRONLY, S_IFIFO, S_IFMT } from "../../../linux/abi/fcntl.ts";
import { POLLIN, POLLOUT } from "../../../linux/abi/poll.ts";
import type { Fd } from "../../../linux/fd.ts";
import { statAt } from "../../../linux/file.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import { inodeOf } from "../objects/files.ts";
import { Pipe, PipeEnd } from "../objects/pipe.ts";
import type { Strict } from "../strict.ts";
import type { Held, Trapped } from "../trapped.ts";

const W_OK = 2;

/** Those that are open, by inode. */
const pipes = new Map<string, Pipe>();

/** An end that waits for the other one. */
export class OpeningFifo implements Held {
  readonly #end: PipeEnd;
  /** How many of the other kind there had been. */
  readonly #before: number;
  readonly #pipe: Pipe;

  constructor(pipe: Pipe, end: PipeEnd) {
    this.#pipe = pipe;
    this.#end = end;
    this.#before = this.#others;
  }

  get #others(): number {
    return (this.#end.flags & O_ACCMODE) === O_RDONLY ? this.#pipe.opened.writers : this.#pipe.opened.readers;
  }

  /** Gives the caller its descriptor, or has it go on waiting. */
  resume(call: Trapped, strict: Strict, flags: number): number {
    if (this.#others === this.#before) return strict.waiting.waitFor(call, [this.#end], POLLIN | POLLOUT, Infinity, this);
    return strict.descriptors.give(call, this.#end, (flags & O_CLOEXEC) !== 0);
  }

  abandon(): void {
    this.#end.close();
  }
}

/** Whether the caller may write to what an O_PATH descriptor stands for, and that is a named pipe. Preconditions: the caller's identity. */
export function isWritableFifo(fd: number): boolean {
  return (statAt({ number: fd } as Fd).mode & S_IFMT) === S_IFIFO && kernel.access(fd, kernel.EMPTY_PATH, W_OK, AT_EMPTY_PATH | AT_EACCESS) === 0;
}

/** @param node the pipe's file, of O_PATH; it is the description's from here on. @param flags as `kept` of it. */
export function openFifo(call: Trapped, strict: Strict, node: Fd, flags: number, kept: number): number {
  const key = inodeOf(node);
  const pipe = pipes.get(key) ?? new Pipe();
  const mode = flags & O_ACCMODE;
  const isWaiting = (flags & O_NONBLOCK) === 0;
  if (mode === O_WRONLY && !isWaiting && pipe.readers.size === 0) {
    node.close();
    return -ENXIO;
  }
  pipes.set(key, pipe);
  const forget = () => {
    node.close();
    if (pipe.readers.size + pipe.writers.size === 0 && pipes.get(key) === pipe) pipes.delete(key);
  };
  const end = new PipeEnd(pipe, strict.waiting, kept, (into) => kernel.stat(node.number, kernel.EMPTY_PATH, into.address, AT_EMPTY_PATH), forget);
  const others = mode === O_RDONLY ? pipe.writers : pipe.readers;
  if (isWaiting && others.size === 0) return new OpeningFifo(pipe, end).resume(call, strict, flags);
  return strict.descriptors.give(call, end, (flags & O_CLOEXEC) !== 0);
}
