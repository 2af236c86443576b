/** epoll(7): descriptions that are waited for together. */
import { EBADF, EEXIST, EINVAL, ELOOP, ENOENT, ENOSYS, EPERM } from "../../../linux/abi/errno.ts";
import { O_CLOEXEC, O_RDWR } from "../../../linux/abi/fcntl.ts";
import { POLLERR, POLLHUP, POLLIN } from "../../../linux/abi/poll.ts";
import type { Block } from "../../../linux/memory.unsafe.ts";
import { Description, type Watcher } from "./description.ts";
import { HostFile, HostStream } from "./files.ts";
import { buffer, copyIn, copyOut, signed, small } from "../guest/memory.ts";
import { putStat } from "./stat.ts";
import type { Strict } from "../strict.ts";
import type { Handler, Trapped } from "../trapped.ts";

/** struct epoll_event, packed: events, then the caller's own. */
const EVENT_SIZE = 12;
const EPOLLET = 0x8000_0000;
const EPOLLONESHOT = 0x4000_0000;
const ALWAYS = POLLERR | POLLHUP;
const CTL = { add: 1, remove: 2, change: 3 } as const;
const MOST_EVENTS = 4096;
/** EP_MAX_NESTS. Source: Linux fs/eventpoll.c. */
const MOST_NESTED = 4;

interface Interest {
  readonly file: Description;
  readonly number: number;
  events: number;
  data: Uint8Array;
  /** Edge-triggered: whether something has happened since it was last told of. */
  hasChanged: boolean;
  /** One shot, which has been fired. */
  isOff: boolean;
}

export class EpollFile extends Description implements Watcher {
  readonly #strict: Strict;
  readonly #inode: number;
  /** By descriptor, as the caller has named it, and description. */
  readonly #interests = new Set<Interest>();
  /** By a call, or by another epoll that is. */
  #isWaitedFor = false;

  constructor(strict: Strict) {
    super(O_RDWR);
    this.#strict = strict;
    this.#inode = strict.nextInode();
  }

  find(file: Description, number: number): Interest | undefined {
    for (const interest of this.#interests) if (interest.file === file && interest.number === number) return interest;
    return undefined;
  }

  /** Of epolls in epolls, how many follow each other from here on; Infinity where `other` is among them. */
  depthTo(other: EpollFile): number {
    if (this === other) return Infinity;
    let depth = 0;
    for (const { file } of this.#interests) if (file instanceof EpollFile) depth = Math.max(depth, file.depthTo(other));
    return depth + 1;
  }

  add(interest: Interest): void {
    this.#interests.add(interest);
    interest.file.watchers.add(this);
    this.#strict.waiting.watch(interest.file);
    this.#strict.waiting.wake(this);
  }

  remove(interest: Interest): void {
    this.#interests.delete(interest);
    for (const other of this.#interests) if (other.file === interest.file) return;
    interest.file.watchers.delete(this);
    this.#strict.waiting.watch(interest.file);
  }

  modified(interest: Interest): void {
    interest.hasChanged = true;
    interest.isOff = false;
    this.#strict.waiting.watch(interest.file);
    this.#strict.waiting.wake(this);
  }

  /** Something has happened to one of them. */
  changed(file: Description): void {
    for (const interest of this.#interests) if (interest.file === file) interest.hasChanged = true;
    this.#strict.waiting.wake(this);
  }

  closed(file: Description): void {
    for (const interest of this.#interests) if (interest.file === file) this.#interests.delete(interest);
  }

  /** What the kernel is to be asked for on behalf of those who wait here: while nobody does, nothing. */
  eventsOf(file: Description): number {
    if (!this.#isWaitedFor) return 0;
    let events = 0;
    for (const interest of this.#interests) if (interest.file === file && !interest.isOff) events |= interest.events & 0xffff;
    return events;
  }

  override get changesUntold(): boolean {
    for (const { file } of this.#interests) if (file.changesUntold) return true;
    return false;
  }

  override watch(events: number): void {
    this.#isWaitedFor = events !== 0;
    for (const { file } of this.#interests) if (file instanceof HostStream || file instanceof EpollFile) this.#strict.waiting.watch(file);
  }

  #eventsNow(interest: Interest): number {
    // What the kernel tells of is told of by level: its edges are not seen while nobody waits.
    const isQuiet = (interest.events & EPOLLET) !== 0 && !interest.hasChanged && !(interest.file instanceof HostStream);
    return interest.isOff || isQuiet ? 0 : interest.file.ready() & (interest.events | ALWAYS);
  }

  ready(): number {
    for (const interest of this.#interests) if (this.#eventsNow(interest) !== 0) return POLLIN;
    return 0;
  }

  /** Fills the block with what is ready. @returns how many. */
  take(into: Block, most: number): number {
    let count = 0;
    const told: Interest[] = [];
    for (const interest of this.#interests) {
      if (count === most) break;
      const events = this.#eventsNow(interest);
      if (events === 0) continue;
      into.view.setUint32(count * EVENT_SIZE, events, true);
      into.bytes.set(interest.data, count * EVENT_SIZE + 4);
      count++;
      interest.hasChanged = false;
      if ((interest.events & EPOLLONESHOT) !== 0) interest.isOff = true;
      told.push(interest);
    }
    // Fair: they come last the next time. Not before, or they would be met again now.
    for (const interest of told) {
      this.#interests.delete(interest);
      this.#interests.add(interest);
    }
    return count;
  }

  stat(into: Block): number {
    return putStat(into, { mode: 0o600, inode: this.#inode });
  }

  close(): void {
    for (const interest of this.#interests) this.remove(interest);
  }
}

export const epoll_create: Handler = (call, strict) => (call.int(0) <= 0 ? -EINVAL : strict.give(call, new EpollFile(strict), false));
export const epoll_create1: Handler = (call, strict) => {
  const flags = call.int(0);
  return (flags & ~O_CLOEXEC) === 0 ? strict.give(call, new EpollFile(strict), flags !== 0) : -EINVAL;
};

/** Regular files and directories cannot be waited for, and no epoll by itself. */
export const epoll_ctl: Handler = (call, strict) => {
  const [poll, file] = [strict.file(call, call.int(0)), strict.file(call, call.int(2))];
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

/** @param timeout milliseconds. */
function waitFor(call: Trapped, strict: Strict, timeout: number): number {
  const poll = strict.file(call, call.int(0));
  if (poll === undefined) return -EBADF;
  const most = call.int(2);
  if (!(poll instanceof EpollFile) || most <= 0) return -EINVAL;
  const count = poll.take(buffer, Math.min(most, MOST_EVENTS));
  if (count === 0) return timeout > 0 && !strict.isOver ? strict.waitFor(call, [poll], POLLIN, timeout) : 0;
  const copied = copyOut(call, call.arg(1), buffer, count * EVENT_SIZE);
  return copied < 0 ? copied : count;
}

const limit = (milliseconds: number): number => (milliseconds < 0 ? Infinity : milliseconds);

export const epoll_wait: Handler = (call, strict) => waitFor(call, strict, limit(call.int(3)));

/** Another signal mask is not ours to set, and an epoll is not the kernel's to wait for. */
function isMasked(call: Trapped, strict: Strict): boolean {
  return call.arg(4) !== 0 && (copyIn(call, call.arg(4), small, 8) < 0 || small.view.getBigUint64(0, true) !== strict.blockedSignals(call));
}

export const epoll_pwait: Handler = (call, strict) => (isMasked(call, strict) ? -ENOSYS : waitFor(call, strict, limit(call.int(3))));

export const epoll_pwait2: Handler = (call, strict) => {
  if (isMasked(call, strict)) return -ENOSYS;
  if (call.arg(3) === 0) return waitFor(call, strict, Infinity);
  const copied = copyIn(call, call.arg(3), small, 16);
  return copied < 0 ? copied : waitFor(call, strict, signed(small, 0) * 1000 + signed(small, 8) / 1e6);
};
