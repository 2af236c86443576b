/** What was measured: values by measurement and runtime, their medians, and the table that they make. */
import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism, loadavg, release } from "node:os";
import { join } from "node:path";
import type { RuntimeName } from "./runtimes-old.ts";

const cache = join(import.meta.dirname, "../.cache/bench");

/** Of time, less is better; of work in a time, more. */
const UNITS = ["ns", "ms", "MiB", "req/s", "iops"] as const;
type Unit = (typeof UNITS)[number];

/** `sentry` is to cost at most so many times what `than` does. */
export interface Goal {
  readonly than: RuntimeName;
  readonly atMost: number;
}

interface Measurement {
  readonly group: string;
  readonly name: string;
  readonly unit: Unit;
  readonly values: Map<RuntimeName, number[]>;
}

interface Row {
  readonly group: string;
  readonly name: string;
  readonly unit: Unit;
  readonly medians: Partial<Record<RuntimeName, number>>;
  /** What sentry mode costs, as a multiple of what the other does: above 1 is dearer, whatever the unit. */
  readonly toRunc?: number;
  readonly toRunsc?: number;
  readonly goal?: Goal & { readonly reached: boolean };
}

export class Samples {
  readonly #measurements = new Map<string, Measurement>();
  readonly #loadBefore = load();

  /** @param output lines "group TAB name TAB unit TAB value", as the guests' programs print them; others are passed over. */
  take(runtime: RuntimeName, output: string): void {
    for (const line of output.split("\n")) {
      const [group = "", name = "", unit, value] = line.split("\t");
      if (value === undefined || !isUnit(unit)) continue;
      this.add(runtime, { group, name, unit }, Number(value));
    }
  }

  add(runtime: RuntimeName, { group, name, unit }: Pick<Measurement, "group" | "name" | "unit">, value: number): void {
    const key = `${group}: ${name}`;
    const measurement = this.#measurements.get(key) ?? { group, name, unit, values: new Map() };
    this.#measurements.set(key, measurement);
    measurement.values.set(runtime, [...(measurement.values.get(runtime) ?? []), value]);
  }

  /** Writes .cache/bench/NAME.json, and prints the same as Markdown. @param about.goalOf by "group: name". */
  publish(name: string, columns: readonly RuntimeName[], about: { readonly rounds: number; readonly cpu?: string | undefined; readonly goalOf: (name: string) => Goal | undefined }): void {
    const rows = [...this.#measurements.values()].map((measurement) => rowOf(measurement, about.goalOf));
    const circumstances = {
      kernel: release(),
      processors: availableParallelism(),
      placement: about.cpu === undefined ? "any processor" : `processor ${about.cpu} alone, for all processes`,
      rounds: about.rounds,
      loadBefore: this.#loadBefore,
      loadAfter: load(),
    };
    mkdirSync(cache, { recursive: true });
    writeFileSync(join(cache, `${name}.json`), JSON.stringify({ ...circumstances, rows }, null, 2));
    console.log(`${name}: medians of ${about.rounds} interleaved rounds, Linux ${circumstances.kernel}, ${circumstances.processors} processors; placement: ${circumstances.placement}; load ${circumstances.loadBefore} before, ${circumstances.loadAfter} after\n`);
    for (const line of markdown(rows, columns)) console.log(line);
  }
}

const load = (): string => loadavg().map((average) => average.toFixed(1)).join(" ");
const isUnit = (text: string | undefined): text is Unit => UNITS.some((unit) => unit === text);

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

function rowOf({ group, name, unit, values }: Measurement, goalOf: (name: string) => Goal | undefined): Row {
  const medians: Partial<Record<RuntimeName, number>> = Object.fromEntries([...values].map(([runtime, list]) => [runtime, median(list)]));
  const ratioTo = (peer: RuntimeName): number | undefined => {
    const [ours, theirs] = [medians.sentry, medians[peer]];
    if (ours === undefined || theirs === undefined) return undefined;
    return moreIsBetter(unit) ? theirs / ours : ours / theirs;
  };
  const [toRunc, toRunsc] = [ratioTo("runc"), ratioTo("runsc")];
  const goal = goalOf(`${group}: ${name}`);
  const toPeer = goal === undefined ? undefined : ratioTo(goal.than);
  const reached = goal === undefined || toPeer === undefined ? undefined : toPeer <= goal.atMost;
  return { group, name, unit, medians, ...(toRunc !== undefined && { toRunc }), ...(toRunsc !== undefined && { toRunsc }), ...(goal !== undefined && reached !== undefined && { goal: { ...goal, reached } }) };
}

const moreIsBetter = (unit: Unit): boolean => unit === "req/s" || unit === "iops";

function markdown(rows: readonly Row[], columns: readonly RuntimeName[]): string[] {
  const head = ["", "unit", ...columns, "sentry / runc", "sentry / runsc", "goal"];
  const body = rows.map(({ group, name, unit, medians, toRunc, toRunsc, goal }) => [
    `${group}: ${name}`, unit, ...columns.map((column) => amount(medians[column])), ratio(toRunc), ratio(toRunsc),
    goal === undefined ? "" : `${goal.than} x ${goal.atMost}: ${goal.reached ? "reached" : "**missed**"}`,
  ]);
  const widths = head.map((title, i) => Math.max(title.length, ...body.map((cells) => cells[i]?.length ?? 0)));
  const line = (cells: readonly string[]) => `| ${cells.map((cell, i) => (i < 2 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(" | ")} |`;
  const rule = `|${widths.map((width, i) => (i < 2 ? "-".repeat(width + 2) : `${"-".repeat(width + 1)}:`)).join("|")}|`;
  return [line(head), rule, ...body.map(line)];
}

const amount = (value: number | undefined): string => (value === undefined ? "-" : value.toFixed(value < 100 ? 1 : 0));
const ratio = (value: number | undefined): string => (value === undefined ? "-" : value.toFixed(2));
