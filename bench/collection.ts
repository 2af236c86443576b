/** Gathers what the rounds find: values, and for each round without one the reason. */
import { UNITS, type Measurement, type Samples, type Unit } from "./result.ts";

/** One value, as a guest's program prints it: "group TAB name TAB unit TAB value". */
export interface Reading {
  readonly name: string;
  readonly unit: Unit;
  readonly value: number;
}

/** @param output lines of guests' programs; others are passed over. The group `calls` is every directory's and needs no name. */
export function readings(output: string): Reading[] {
  return output.split("\n").flatMap((line) => {
    const [group = "", name = "", unit, text] = line.split("\t");
    const value = Number(text);
    if (text === undefined || !isUnit(unit) || !Number.isFinite(value)) return [];
    return [{ name: group === "" ? name : `${group}: ${name}`, unit, value }];
  });
}

const isUnit = (text: string | undefined): text is Unit => text !== undefined && Object.hasOwn(UNITS, text);

interface Failure {
  readonly suite: string;
  readonly task: string;
  readonly runtime: string;
  readonly round: number;
  readonly why: string;
}

interface Entry {
  readonly suite: string;
  readonly task: string;
  readonly name: string;
  readonly unit: Unit;
  readonly values: Map<string, { round: number; value: number }[]>;
}

/** From which task of a suite, and of which runtime and round. */
export interface Origin {
  readonly suite: string;
  readonly task: string;
  readonly runtime: string;
  readonly round: number;
}

export class Collection {
  readonly #entries = new Map<string, Entry>();
  readonly #failures: Failure[] = [];

  add({ suite, task, runtime, round }: Origin, { name, unit, value }: Reading): void {
    const key = JSON.stringify([suite, task, name]);
    const entry = this.#entries.get(key) ?? { suite, task, name, unit, values: new Map() };
    this.#entries.set(key, entry);
    const values = entry.values.get(runtime) ?? [];
    entry.values.set(runtime, [...values, { round, value }]);
  }

  fail(origin: Origin, why: string): void {
    this.#failures.push({ ...origin, why });
  }

  /** A task's failure is one of each of its measurements that has no value of that round; where nobody had a value, the task stands for them. */
  measurements(): Measurement[] {
    const entries = [...this.#entries.values()];
    const barren = this.#failures.filter(({ suite, task }) => !entries.some((entry) => entry.suite === suite && entry.task === task));
    const tasks = new Map(barren.map(({ suite, task }) => [JSON.stringify([suite, task]), { suite, task, name: task, unit: "ms" as const, values: new Map() }]));
    return [...entries, ...tasks.values()].map((entry) => this.#measurement(entry));
  }

  #measurement({ suite, task, name, unit, values }: Entry): Measurement {
    const failures = this.#failures.filter((failure) => failure.suite === suite && failure.task === task);
    const runtimes = new Set([...values.keys(), ...failures.map(({ runtime }) => runtime)]);
    const samplesOf = (runtime: string): Samples => {
      const rounds = values.get(runtime) ?? [];
      const without = failures.filter((failure) => failure.runtime === runtime && !rounds.some(({ round }) => round === failure.round));
      return { rounds, failures: without.map(({ round, why }) => ({ round, why })) };
    };
    return { suite, name, unit, samples: Object.fromEntries([...runtimes].map((runtime) => [runtime, samplesOf(runtime)])) };
  }
}
