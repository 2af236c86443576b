/** A set of descriptors that is waited for again and again, without allocating. Source: ppoll(2). */
import { SYS } from "./arch.ts";
import { POLLFD_SIZE } from "./abi/poll.ts";
import { check } from "./errors.ts";
import { mapAnonymousForever } from "./kvm-memory.unsafe.ts";
import { retrying } from "./syscall.unsafe.ts";

const TIMESPEC_OFFSET = 0;
const SET_OFFSET = 16;

/** Up to `capacity` descriptors in slots; an empty slot holds -1, which the kernel passes over. */
export class PollSet {
  readonly #block;
  readonly #capacity: number;
  #used = 0;

  constructor(capacity = 1024) {
    this.#capacity = capacity;
    this.#block = mapAnonymousForever(SET_OFFSET + capacity * POLLFD_SIZE);
  }

  /** @returns its slot. @throws RangeError when the set is full. */
  add(fd: number, events: number): number {
    let slot = 0;
    while (slot < this.#used && this.#block.view.getInt32(this.#at(slot), true) >= 0) slot++;
    if (slot >= this.#capacity) throw new RangeError(`more than ${this.#capacity} descriptors to wait for`);
    this.#used = Math.max(this.#used, slot + 1);
    this.#block.view.setInt32(this.#at(slot), fd, true);
    this.setEvents(slot, events);
    return slot;
  }

  /** @param events POLL*; 0 still tells hang-up and error. */
  setEvents(slot: number, events: number): void {
    this.#block.view.setInt32(this.#at(slot) + 4, events, true);
  }

  remove(slot: number): void {
    this.#block.view.setInt32(this.#at(slot), -1, true);
    this.#block.view.setInt32(this.#at(slot) + 4, 0, true);
  }

  /** Waits until a descriptor is ready or the time is over. @param timeoutMs Infinity waits for ever. @returns how many are ready. */
  wait(timeoutMs: number): number {
    const { view, address } = this.#block;
    const finite = timeoutMs !== Infinity;
    if (finite) {
      view.setBigInt64(TIMESPEC_OFFSET, BigInt(Math.floor(timeoutMs / 1000)), true);
      view.setBigInt64(TIMESPEC_OFFSET + 8, BigInt(Math.floor((timeoutMs % 1000) * 1e6)), true);
    }
    return check(retrying(SYS.ppoll, address + SET_OFFSET, this.#used, finite ? address : 0, 0, 8), "ppoll");
  }

  /** What happened in a slot at the last wait: POLL* bits. */
  happened(slot: number): number {
    return this.#block.view.getUint16(this.#at(slot) + 6, true);
  }

  get slots(): number {
    return this.#used;
  }

  #at(slot: number): number {
    return SET_OFFSET + slot * POLLFD_SIZE;
  }
}
