/** Descriptors that a loop waits for again and again: poll.ts without its allocations. Source: poll(2). */
import { SYS } from "./arch.ts";
import { POLLFD_SIZE } from "./abi/poll.ts";
import { check } from "./errors.ts";
import { fdNumber, type FdLike } from "./fd.ts";
import { permanentBlock } from "./memory.unsafe.ts";
import { retrying } from "./syscall.unsafe.ts";

export class PollSet {
  readonly #set;
  #size = 0;

  /** @param capacity how many descriptors it holds at most. */
  constructor(capacity: number) {
    this.#set = permanentBlock(capacity * POLLFD_SIZE);
  }

  get size(): number {
    return this.#size;
  }

  /** @param events `POLL*`; 0 for hang-up and error only. @returns its index. @throws RangeError where the set is full. */
  add(fd: FdLike, events: number): number {
    if ((this.#size + 1) * POLLFD_SIZE > this.#set.size) throw new RangeError("the poll set is full");
    const index = this.#size++;
    this.#set.view.setInt32(index * POLLFD_SIZE, fdNumber(fd), true);
    this.#set.view.setInt16(index * POLLFD_SIZE + 4, events, true);
    return index;
  }

  /** Removes entry `index`; the last entry takes its place. */
  remove(index: number): void {
    const last = --this.#size;
    const { bytes } = this.#set;
    bytes.copyWithin(index * POLLFD_SIZE, last * POLLFD_SIZE, (last + 1) * POLLFD_SIZE);
  }

  /** Waits until one is ready. @param timeoutMs -1 for ever; a signal lets it begin anew. @returns how many are; 0 after a time-out. */
  wait(timeoutMs = -1): number {
    return check(retrying(SYS.poll, this.#set.address, this.#size, timeoutMs), "poll");
  }

  /** What `wait` found for entry `index`: `POLL*`, 0 for nothing. */
  ready(index: number): number {
    return this.#set.view.getUint16(index * POLLFD_SIZE + 6, true);
  }
}
