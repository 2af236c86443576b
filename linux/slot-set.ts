/** A set of descriptors that is waited for again and again, without allocating. Source: ppoll(2). */
import { SYS } from "./arch.ts";
import { POLLFD_SIZE } from "./abi/poll.ts";
import { check } from "./errors.ts";
import { permanentBlock } from "./memory.unsafe.ts";
import { retrying } from "./syscall.unsafe.ts";

const TIMESPEC_OFFSET = 0;
const SET_OFFSET = 16;

/**
 * Up to `capacity` descriptors in slots. The kernel passes over negative numbers: an empty slot holds -1, a paused descriptor its complement.
 * Unlike PollSet of poll-set.ts, an entry keeps its place, and can be paused.
 */
export class SlotSet {
  readonly #block;
  readonly #capacity: number;
  readonly #fds: (number | undefined)[] = [];

  constructor(capacity = 1024) {
    this.#capacity = capacity;
    this.#block = permanentBlock(SET_OFFSET + capacity * POLLFD_SIZE);
  }

  /** @returns its slot. @throws RangeError when the set is full. */
  add(fd: number, events: number): number {
    const free = this.#fds.indexOf(undefined);
    const slot = free === -1 ? this.#fds.length : free;
    if (slot >= this.#capacity) throw new RangeError(`more than ${this.#capacity} descriptors to wait for`);
    this.#fds[slot] = fd;
    this.setEvents(slot, events);
    return slot;
  }

  /** @param events POLL*; 0 pauses it: hang-up and error are not told then. */
  setEvents(slot: number, events: number): void {
    const fd = this.#fds[slot] ?? 0;
    this.#block.view.setInt32(this.#at(slot), events === 0 ? -1 - fd : fd, true);
    this.#block.view.setInt32(this.#at(slot) + 4, events, true);
  }

  remove(slot: number): void {
    this.#fds[slot] = undefined;
    this.setEvents(slot, 0);
  }

  /** Waits until a descriptor is ready or the time is over. @param timeoutMs Infinity waits for ever. @returns how many are ready. */
  wait(timeoutMs: number): number {
    const { view, address } = this.#block;
    const finite = timeoutMs !== Infinity;
    if (finite) {
      view.setBigInt64(TIMESPEC_OFFSET, BigInt(Math.floor(timeoutMs / 1000)), true);
      view.setBigInt64(TIMESPEC_OFFSET + 8, BigInt(Math.floor((timeoutMs % 1000) * 1e6)), true);
    }
    return check(retrying(SYS.ppoll, address + SET_OFFSET, this.#fds.length, finite ? address : 0, 0, 8), "ppoll");
  }

  /** What happened in a slot at the last wait: POLL* bits. */
  happened(slot: number): number {
    return this.#block.view.getUint16(this.#at(slot) + 6, true);
  }

  get slots(): number {
    return this.#fds.length;
  }

  #at(slot: number): number {
    return SET_OFFSET + slot * POLLFD_SIZE;
  }
}
