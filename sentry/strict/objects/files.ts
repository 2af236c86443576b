/** Files and directories of the guest's mounts, and what the guest was born with: an open file of the kernel's, which is the sentry's alone. */
import { EAGAIN, EINTR, EPERM } from "../../../linux/abi/errno.ts";
import { AT_EMPTY_PATH, O_APPEND, S_IFMT, S_IFREG } from "../../../linux/abi/fcntl.ts";
import { POLLIN, POLLOUT } from "../../../linux/abi/poll.ts";
import type { Epoll } from "../../../linux/epoll.ts";
import { isErrno } from "../../../linux/errors.ts";
import type { Fd } from "../../../linux/fd.ts";
import type { Block } from "../../../linux/memory.unsafe.ts";
import { EMPTY_PATH, read, readAt, seek, stat, write, writeAt } from "../../../linux/on-behalf.ts";
import { poll } from "../../../linux/poll.ts";
import { statAt } from "../../../linux/file.ts";
import { Description, HERE } from "./description.ts";
import type { Desk } from "../volumes/errands.ts";
import { small } from "../memory.ts";

const SEEK_CUR = 1;

export class HostFile extends Description {
  readonly fd: Fd;
  readonly mode: number;
  /** The process that has opened it, as the sentry counts. */
  opener: number | undefined;
  /** By whom its file system is asked, where that may not answer. */
  desk: Desk | undefined;
  /** The kernel works with it under the guest's number: the placeholder's end is not the file's. */
  isLent = false;

  constructor(fd: Fd, flags: number, mode = statAt(fd).mode) {
    super(flags);
    this.fd = fd;
    this.mode = mode;
  }

  /** Regular, so that it may be mapped, and is always ready. */
  get isRegular(): boolean {
    return (this.mode & S_IFMT) === S_IFREG;
  }

  get size(): number {
    const SIZE = 48;
    const result = this.stat(small);
    return result < 0 ? 0 : Number(small.view.getBigInt64(SIZE, true));
  }

  get position(): number {
    return Number(seek(this.fd.number, 0, SEEK_CUR));
  }

  ready(): number {
    return POLLIN | POLLOUT;
  }

  override read(into: Block, size: number, position: number): number {
    return position === HERE ? read(this.fd.number, into.address, size) : readAt(this.fd.number, into.address, size, position);
  }

  override write(from: Block, size: number, position: number): number {
    return position === HERE ? write(this.fd.number, from.address, size) : writeAt(this.fd.number, from.address, size, position);
  }

  override unread(count: number, _bytes: Uint8Array | undefined): void {
    seek(this.fd.number, -count, SEEK_CUR);
  }

  override unwrite(count: number): void {
    if ((this.flags & O_APPEND) === 0) seek(this.fd.number, -count, SEEK_CUR);
  }

  stat(into: Block): number {
    return stat(this.fd.number, EMPTY_PATH, into.address, AT_EMPTY_PATH);
  }

  close(): void {
    this.fd.close();
  }
}

/** PIPE_BUF: what a pipe that is ready takes without waiting. */
const ATOMIC = 4096;

/** Terminals, pipes, sockets and devices: what may have to wait. The open file is shared with others outside, so its flags stay as they are. */
export class HostStream extends HostFile {
  readonly #epoll: Epoll;
  #watched = 0;
  /** The kernel tells nothing of it: it is always ready, or closed. */
  #isSilent = false;
  /** What a reader was given and did not get. */
  #returned: Uint8Array = new Uint8Array(0);

  constructor(fd: Fd, flags: number, mode: number, epoll: Epoll) {
    super(fd, flags, mode);
    this.#epoll = epoll;
  }

  override ready(): number {
    const events = poll([{ fd: this.fd, events: POLLIN | POLLOUT }], 0)[0] ?? 0;
    return this.#returned.length > 0 ? events | POLLIN : events;
  }

  override read(into: Block, size: number, position: number): number {
    if (this.#returned.length > 0) return this.#takeReturned(into, size);
    if (position === HERE && (this.ready() & ~POLLOUT) === 0) return -EAGAIN;
    const result = super.read(into, size, position);
    return result === -EINTR ? -EAGAIN : result;
  }

  #takeReturned(into: Block, size: number): number {
    const count = Math.min(size, this.#returned.length);
    into.bytes.set(this.#returned.subarray(0, count));
    this.#returned = this.#returned.subarray(count);
    return count;
  }

  override write(from: Block, size: number, position: number): number {
    if (position === HERE && (this.ready() & ~POLLIN) === 0) return -EAGAIN;
    return super.write(from, Math.min(size, ATOMIC), position);
  }

  override unread(_count: number, bytes: Uint8Array | undefined): void {
    if (bytes !== undefined) this.#returned = Buffer.concat([bytes, this.#returned]);
  }

  override unwrite(): void {}

  override watch(events: number): void {
    if (events === this.#watched || this.#isSilent) return;
    if (this.#watched === 0) this.#begin(events);
    else if (events === 0) this.#epoll.remove(this.fd);
    else this.#epoll.change(this.fd, events);
    this.#watched = events;
  }

  /** Calls of tasks that are not known to be gone yet may wait for it still. */
  override close(): void {
    this.watch(0);
    this.#isSilent = true;
    super.close();
  }

  /** Some devices, as /dev/null, never change: epoll_ctl(2) has EPERM for them. */
  #begin(events: number): void {
    try {
      this.#epoll.add(this.fd, events);
    } catch (error) {
      if (!isErrno(error, EPERM)) throw error;
      this.#isSilent = true;
    }
  }
}

/** Device and number, for whoever looks for the same inode. */
export function inodeOf(fd: Fd): string {
  const { dev, ino } = statAt(fd);
  return `${dev.major}:${dev.minor}:${ino}`;
}
