/**
 * An open file description of the guest's: what all descriptors that dup(2), fork(2) and the like have made of one stand for. The name is that
 * of open(2). Results are values or negative errnos.
 */
import { EBADF, EINVAL, ENOTTY } from "../../../linux/abi/errno.ts";
import { O_NONBLOCK } from "../../../linux/abi/fcntl.ts";
import type { Block } from "../../../linux/memory.unsafe.ts";
import type { Held, Trapped } from "../trapped.ts";

/** Where the description's own position counts. */
export const HERE = -1;

/** A call that waits for some of them (waiting.ts). */
export interface Waiting {
  readonly call: Trapped;
  /** The call, to be resumed. */
  readonly saved: Uint8Array;
  readonly pid: number;
  readonly files: readonly Description[];
  /** POLL*. */
  readonly events: number;
  /** As `now` counts; Infinity for none. */
  readonly deadline: number;
  /** When it is looked at again, as `now` counts: at the deadline, or sooner. */
  readonly next: number;
  readonly held: Held | undefined;
}

/** Who waits for several descriptions at once. */
export interface Watcher {
  changed(file: Description): void;
  closed(file: Description): void;
  /** POLL* that it waits for. */
  eventsOf(file: Description): number;
}

export abstract class Description {
  /** O_* as F_GETFL tells them. */
  flags: number;
  /** Calls that wait for it to become ready. */
  readonly waiting = new Set<Waiting>();
  readonly watchers = new Set<Watcher>();

  constructor(flags: number) {
    this.flags = flags;
  }

  get nonBlocking(): boolean {
    return (this.flags & O_NONBLOCK) !== 0;
  }

  /** Nobody tells when its readiness changes: it is looked at again and again while somebody waits for it. */
  get changesUntold(): boolean {
    return false;
  }

  /** F_GETPIPE_SZ; undefined where it is no pipe. */
  get capacity(): number | undefined {
    return undefined;
  }

  /** F_SETPIPE_SZ. @param _wanted bytes. @returns what it has got, or the negative errno. */
  resize(_wanted: number): number {
    return -EBADF;
  }

  /** What would not block now: POLL*. */
  abstract ready(): number;

  /** Fills the start of a block. @param position in bytes, or HERE. @returns bytes, 0 at the end, -EAGAIN where there are none now. */
  read(_into: Block, _size: number, _position: number): number {
    return -EINVAL;
  }

  /** @returns bytes, fewer than `size` where there is no room for more, -EAGAIN where there is none. */
  write(_from: Block, _size: number, _position: number): number {
    return -EINVAL;
  }

  /** The guest has not got the last `count` bytes that were read: it was interrupted, and will read again. @param bytes them, if they were few. */
  unread(_count: number, _bytes: Uint8Array | undefined): void {}

  /** The guest does not know that its last `count` bytes were written. */
  unwrite(_count: number): void {}

  /** Fills in struct stat. */
  abstract stat(into: Block): number;

  /** @param command of ioctl(2). */
  control(_call: Trapped, _command: number): number {
    return -ENOTTY;
  }

  /** Somebody waits for these events (POLL*), or nobody any more (0): for those that learn from the kernel of what is ready. */
  watch(_events: number): void {}

  /** The last of the guest's descriptors is closed. */
  abstract close(): void;
}
