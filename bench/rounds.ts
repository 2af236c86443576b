/** The order of measuring: rounds of all tasks, each of all runtimes in turn, so that a machine whose speed drifts drifts for all. */
import type { Collection, Reading } from "./collection.ts";

/** What a task has found with one runtime. Values that were found before it failed count. */
export interface Found {
  readonly readings: readonly Reading[];
  readonly failure?: string;
  /** After this there is no use in trying again: each try would take as long. */
  readonly hopeless?: boolean;
}

export interface Task<R> {
  readonly name: string;
  /** In its absence for all. */
  readonly isFor?: (runtime: R) => boolean;
  measure(runtime: R): Promise<Found>;
}

export interface Rounds {
  readonly suite: string;
  readonly count: number;
  /** A round before the first, of which nothing is kept but that a runtime hangs. */
  readonly warmUp: boolean;
  /** No round begins after this, but the first. Of performance.now(), as the next one. */
  readonly until?: number;
  /** Nothing begins after this. */
  readonly deadline?: number;
  readonly onStep?: (round: number, task: string, runtime: string) => void;
}

/** So many failures, and a runtime is not tried again with that task. */
const PATIENCE = 2;

/** In round n the n-th is first: who runs after whom changes. */
export const rotated = <T>(list: readonly T[], round: number): T[] => list.map((_, i) => list[(i + round) % list.length] as T);

/** @returns how many rounds came to their end; of one that the deadline has cut short what was found is kept. */
export async function runRounds<R extends { readonly name: string }>(tasks: readonly Task<R>[], runtimes: readonly R[], collection: Collection, { suite, count, warmUp, until = Infinity, deadline = Infinity, onStep }: Rounds): Promise<number> {
  const given = new Map<string, string>();
  const failures = new Map<string, number>();
  for (let round = warmUp ? -1 : 0; round < count; round++) {
    if (round > 0 && performance.now() > until) return round;
    for (const task of tasks) {
      for (const runtime of rotated(runtimes.filter((one) => task.isFor?.(one) ?? true), Math.max(round, 0))) {
        if (performance.now() > deadline) return Math.max(round, 0);
        const origin = { suite, task: task.name, runtime: runtime.name, round };
        const key = JSON.stringify([task.name, runtime.name]);
        const before = given.get(key);
        onStep?.(round, task.name, runtime.name);
        const found: Found = before === undefined ? await measured(task, runtime) : { readings: [], failure: `not tried again: ${before}` };
        const failed = (failures.get(key) ?? 0) + (found.failure === undefined ? 0 : 1);
        failures.set(key, failed);
        if (found.failure !== undefined && before === undefined && (found.hopeless === true || failed >= PATIENCE)) given.set(key, found.failure);
        if (round < 0) continue;
        for (const reading of found.readings) collection.add(origin, reading);
        if (found.failure !== undefined) collection.fail(origin, found.failure);
      }
    }
  }
  return count;
}

/** A measurement that breaks off is a row of that runtime, not the end of the bench. */
async function measured<R>(task: Task<R>, runtime: R): Promise<Found> {
  try {
    return await task.measure(runtime);
  } catch (error) {
    return { readings: [], failure: error instanceof Error ? error.message : String(error) };
  }
}
