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

/** Of an area, in words of 8 bytes, floating point all: what is being handled, then the slots. `since` is 0 for nothing, else milliseconds of CLOCK_MONOTONIC. */
const HEADER = { since: 0, operation: 1, task: 2, ended: 3, size: 4 } as const;
const SLOT = { count: 0, milliseconds: 1, size: 2 } as const;
const WORD = 8;

/** Above the numbers that there are: x86-64 has 470 or so, FUSE 52. */
export const CALL_SLOTS = 512;
export const OPERATION_SLOTS = 64;

const areaSize = (slots: number): number => (HEADER.size + slots * SLOT.size) * WORD;

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
  readonly #words: Float64Array;
  readonly #slots: number;
  /** The writer's own copy of the header. */
  #operation = 0;
  #since = 0;

  /** @param offset in bytes, a multiple of 8. */
  constructor(bytes: Uint8Array, offset: number, slots: number) {
    this.#words = new Float64Array(bytes.buffer, bytes.byteOffset + offset, areaSize(slots) / WORD);
    this.#slots = slots;
  }

  begin(operation: number, task: number): void {
    const words = this.#words;
    words[HEADER.operation] = this.#operation = operation;
    words[HEADER.task] = task;
    words[HEADER.since] = this.#since = now();
  }

  /** @returns the milliseconds since `begin`. */
  end(): number {
    const words = this.#words;
    const elapsed = now() - this.#since;
    words[HEADER.since] = 0;
    if (this.#operation < this.#slots) {
      const slot = HEADER.size + this.#operation * SLOT.size;
      words[slot + SLOT.count]! += 1;
      words[slot + SLOT.milliseconds]! += elapsed;
    }
    return elapsed;
  }

  get busy(): Busy | undefined {
    const since = this.#word(HEADER.since);
    return since === 0 ? undefined : { ...this.last, since };
  }

  /** What is being handled, or was last. */
  get last(): Omit<Busy, "since"> {
    return { operation: this.#word(HEADER.operation), task: this.#word(HEADER.task) };
  }

  /** The writer has ended because there was nothing left to do, and not for a failure. */
  get ended(): boolean {
    return this.#word(HEADER.ended) !== 0;
  }

  markEnded(): void {
    this.#words[HEADER.ended] = 1;
  }

  /** What has happened at least once, most often first. */
  counts(): Count[] {
    const all = Array.from({ length: this.#slots }, (_, operation): Count => {
      const slot = HEADER.size + operation * SLOT.size;
      return { operation, count: this.#word(slot + SLOT.count), total: this.#word(slot + SLOT.milliseconds) };
    });
    return all.filter(({ count }) => count > 0).toSorted((a, b) => b.count - a.count);
  }

  #word(index: number): number {
    return this.#words[index] ?? 0;
  }
}

/** All areas of a file. */
export interface SandboxCounters {
  readonly sentry: Counters;
  /** In the order of the connections. */
  readonly connections: readonly Counters[];
}

/** @param block aligned to 8 bytes. @throws RangeError where it is shorter than `counterSize(connections)`. */
export function countersIn({ bytes }: Pick<Block, "bytes">, connections: number): SandboxCounters {
  const first = areaSize(CALL_SLOTS);
  const areas = Array.from({ length: connections }, (_, i) => new Counters(bytes, first + i * areaSize(OPERATION_SLOTS), OPERATION_SLOTS));
  return { sentry: new Counters(bytes, 0, CALL_SLOTS), connections: areas };
}
