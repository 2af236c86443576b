/**
 * What a sandbox's processes count, in memory that all of them share: a file of the container's state directory, mapped before they are forked
 * and confined. Counting takes no system call, and whoever may read the file sees the numbers while a process is stuck, and after its end.
 *
 *   area 0       the sentry: a slot for each system call number
 *   area 1 ...   the gofer: an area for each connection, a slot for each FUSE opcode
 *
 * An area has one writer. Numbers are read as they come: nothing is decided by them.
 */
import type { Block } from "../linux/memory.unsafe.ts";
import { now } from "../linux/sleep.ts";

/** Of an area: what is being handled, then the slots. `since` is 0 for nothing, else milliseconds of CLOCK_MONOTONIC. */
const HEADER = { since: 0, operation: 8, task: 12, ended: 16, size: 24 } as const;
const SLOT = { count: 0, milliseconds: 8, size: 16 } as const;

/** Above the numbers that there are: x86-64 has 470 or so, FUSE 52. */
export const CALL_SLOTS = 512;
export const OPERATION_SLOTS = 64;

const areaSize = (slots: number): number => HEADER.size + slots * SLOT.size;

/** Bytes of the file for a sandbox with so many connections. */
export function counterSize(connections: number): number {
  return areaSize(CALL_SLOTS) + connections * areaSize(OPERATION_SLOTS);
}

/** Something that is being handled. */
export interface Busy {
  readonly operation: number;
  /** Who has asked, by a pid that the handling process has been told. */
  readonly task: number;
  /** Milliseconds of CLOCK_MONOTONIC. */
  readonly since: number;
}

export interface Count {
  readonly operation: number;
  readonly count: number;
  /** Milliseconds in all. */
  readonly total: number;
}

/** One area, for its writer and for readers. */
export class Counters {
  readonly #view: DataView;
  readonly #slots: number;

  constructor(view: DataView, offset: number, slots: number) {
    this.#view = new DataView(view.buffer, view.byteOffset + offset, areaSize(slots));
    this.#slots = slots;
  }

  begin(operation: number, task: number): void {
    this.#view.setUint32(HEADER.operation, operation, true);
    this.#view.setUint32(HEADER.task, task, true);
    this.#view.setFloat64(HEADER.since, now(), true);
  }

  /** @returns the milliseconds since `begin`. */
  end(): number {
    const elapsed = now() - this.#view.getFloat64(HEADER.since, true);
    this.#view.setFloat64(HEADER.since, 0, true);
    const operation = this.#view.getUint32(HEADER.operation, true);
    if (operation < this.#slots) this.#add(HEADER.size + operation * SLOT.size, elapsed);
    return elapsed;
  }

  #add(slot: number, elapsed: number): void {
    const count = this.#view.getFloat64(slot + SLOT.count, true);
    const total = this.#view.getFloat64(slot + SLOT.milliseconds, true);
    this.#view.setFloat64(slot + SLOT.count, count + 1, true);
    this.#view.setFloat64(slot + SLOT.milliseconds, total + elapsed, true);
  }

  get busy(): Busy | undefined {
    const since = this.#view.getFloat64(HEADER.since, true);
    return since === 0 ? undefined : { ...this.last, since };
  }

  /** What is being handled, or was last. */
  get last(): Omit<Busy, "since"> {
    return { operation: this.#view.getUint32(HEADER.operation, true), task: this.#view.getUint32(HEADER.task, true) };
  }

  /** The writer has ended because there was nothing left to do, and not for a failure. */
  get ended(): boolean {
    return this.#view.getUint32(HEADER.ended, true) !== 0;
  }

  markEnded(): void {
    this.#view.setUint32(HEADER.ended, 1, true);
  }

  /** What has happened at least once, most often first. */
  counts(): Count[] {
    const all = Array.from({ length: this.#slots }, (_, operation): Count => {
      const slot = HEADER.size + operation * SLOT.size;
      return { operation, count: this.#view.getFloat64(slot + SLOT.count, true), total: this.#view.getFloat64(slot + SLOT.milliseconds, true) };
    });
    return all.filter(({ count }) => count > 0).toSorted((a, b) => b.count - a.count);
  }
}

/** All areas of a file. */
export interface SandboxCounters {
  readonly sentry: Counters;
  /** In the order of the connections. */
  readonly connections: readonly Counters[];
}

/** @throws RangeError where the block is shorter than `counterSize(connections)`. */
export function countersIn({ view }: Pick<Block, "view">, connections: number): SandboxCounters {
  const first = areaSize(CALL_SLOTS);
  const areas = Array.from({ length: connections }, (_, i) => new Counters(view, first + i * areaSize(OPERATION_SLOTS), OPERATION_SLOTS));
  return { sentry: new Counters(view, 0, CALL_SLOTS), connections: areas };
}
