/**
 * What a sandbox's processes count, in memory that all of them share: two files of the container's state directory, mapped before they are forked
 * and confined. Counting takes no system call, and whoever may read the files sees the numbers while a process is stuck, and after its end.
 *
 *   calls      the sentry: an area for each container of its sandbox, a slot for each system call number. The file is the same for all of them
 *   counters   the container's gofers: an area for each connection, a slot for each FUSE opcode
 *
 * An area has one writer. Numbers are read as they come.
 */
import { now } from "../linux/sleep.ts";

/** Of an area, in words of 8 bytes, floating point all: what is being handled, then the slots. `since` is 0 for nothing, else milliseconds of CLOCK_MONOTONIC. */
const HEADER = { since: 0, operation: 1, task: 2, ended: 3, size: 4 } as const;
const SLOT = { count: 0, milliseconds: 1, size: 2 } as const;
const WORD = 8;

/** Above the numbers that there are: x86-64 has 470 or so, FUSE 52. */
export const CALL_SLOTS = 512;
export const OPERATION_SLOTS = 64;

const areaSize = (slots: number): number => (HEADER.size + slots * SLOT.size) * WORD;

/** Containers that a sandbox has at a time: one takes 12 of the sentry's 2048 descriptors, and one for each gofer and `exec`. */
export const CALL_AREAS = 64;
const CALL_AREA = areaSize(CALL_SLOTS);
/** Bytes of `calls`, of which only what is counted in takes memory. */
export const CALLS_SIZE = CALL_AREAS * CALL_AREA;

/** Bytes of `counters` for so many connections. */
export function counterSize(connections: number): number {
  return connections * areaSize(OPERATION_SLOTS);
}

/** Where in `calls` a container's area is, in bytes. @param area 0 for the sandbox's first container, to CALL_AREAS - 1. */
export function placeOfCalls(area: number): { readonly offset: number; readonly size: number } {
  return { offset: area * CALL_AREA, size: CALL_AREA };
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

  /** For a writer that takes an area over. */
  clear(): void {
    this.#words.fill(0);
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

/** All that is counted of one container. */
export interface SandboxCounters {
  readonly sentry: Counters;
  /** In the order of the connections. */
  readonly connections: readonly Counters[];
}

/** @param offset of the area in bytes, a multiple of 8. @throws RangeError where `bytes` are too few. */
export function callsIn(bytes: Uint8Array, offset = 0): Counters {
  return new Counters(bytes, offset, CALL_SLOTS);
}

/** @param bytes aligned to 8. @throws RangeError where they are fewer than `counterSize(connections)`. */
export function connectionsIn(bytes: Uint8Array, connections: number): Counters[] {
  return Array.from({ length: connections }, (_, i) => new Counters(bytes, i * areaSize(OPERATION_SLOTS), OPERATION_SLOTS));
}
