/** epoll(7): descriptions that are waited for together. */
import { O_RDWR } from "../../../linux/abi/fcntl.ts";
import { POLLERR, POLLHUP, POLLIN } from "../../../linux/abi/poll.ts";
import type { Block } from "../../../linux/memory.unsafe.ts";
import { Description, type Watcher } from "./description.ts";
import { HostStream } from "./files.ts";
import { nextInode, putStat } from "./stat.ts";
import type { WaitingCalls } from "./waiting.ts";

/** struct epoll_event, packed: events, then the caller's own. */
export const EVENT_SIZE = 12;
const EPOLLET = 0x8000_0000;
const EPOLLONESHOT = 0x4000_0000;
const ALWAYS = POLLERR | POLLHUP;

export interface Interest {
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
  readonly #waiting: WaitingCalls;
  readonly #inode = nextInode();
  /** By descriptor, as the caller has named it, and description. */
  readonly #interests = new Set<Interest>();
  /** By a call, or by another epoll that is. */
  #isWaitedFor = false;

  constructor(waiting: WaitingCalls) {
    super(O_RDWR);
    this.#waiting = waiting;
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
    this.#waiting.watch(interest.file);
    this.#waiting.wake(this);
  }

  remove(interest: Interest): void {
    this.#interests.delete(interest);
    for (const other of this.#interests) if (other.file === interest.file) return;
    interest.file.watchers.delete(this);
    this.#waiting.watch(interest.file);
  }

  modified(interest: Interest): void {
    interest.hasChanged = true;
    interest.isOff = false;
    this.#waiting.watch(interest.file);
    this.#waiting.wake(this);
  }

  /** Something has happened to one of them. */
  changed(file: Description): void {
    for (const interest of this.#interests) if (interest.file === file) interest.hasChanged = true;
    this.#waiting.wake(this);
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
    for (const { file } of this.#interests) if (file instanceof HostStream || file instanceof EpollFile) this.#waiting.watch(file);
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

  /** What is ready first, which is told of; undefined where nothing is. @returns its events, too. */
  takeOne(): { readonly interest: Interest; readonly events: number } | undefined {
    for (const interest of this.#interests) {
      const events = this.#eventsNow(interest);
      if (events === 0) continue;
      this.#tell(interest);
      this.#interests.delete(interest);
      this.#interests.add(interest);
      return { interest, events };
    }
    return undefined;
  }

  /** Nobody has been told of it after all. */
  untake(interest: Interest): void {
    if (this.#interests.has(interest)) this.modified(interest);
  }

  #tell(interest: Interest): void {
    interest.hasChanged = false;
    if ((interest.events & EPOLLONESHOT) !== 0) interest.isOff = true;
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
      this.#tell(interest);
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
