/**
 * What of a result is still true on another machine: ratios, verdicts, counts. Two of these are what a comparison compares, and one of them is stored as
 * bench/baseline.json, for test/kernel/bench/baseline.test.ts. To make it anew, on a machine with nothing else to do:
 * `tssandbox bench --quick --suite syscalls --runtimes runc,tssandbox-namespace,tssandbox-sentry`, then
 * `node bench/baseline.ts tssandbox-bench/result.json >bench/baseline.json`.
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import * as v from "valibot";
import { ratiosTo, type Spread, spreadOf } from "./ratios.ts";
import { type Measurement, type Outcome, type Probe, type Result, ResultSchema, VERDICTS } from "./result.ts";

const SpreadSchema = v.strictObject({ low: v.number(), median: v.number(), high: v.number() });
const byRuntime = <T extends v.GenericSchema>(schema: T) => v.record(v.string(), schema);

export const BaselineSchema = v.strictObject({
  /** Of this format. */
  baseline: v.literal(1),
  /** Where it comes from, in words. */
  from: v.string(),
  /** By "suite: name" and runtime, to each runtime that others are measured against and that was there. */
  ratios: v.record(v.string(), byRuntime(v.strictObject({ runc: v.optional(SpreadSchema), native: v.optional(SpreadSchema) }))),
  /** Why there is no ratio, by "suite: name" and runtime: what the last failure said. */
  failures: v.record(v.string(), byRuntime(v.string())),
  /** Why nothing was measured, by runtime. */
  leftOut: byRuntime(v.string()),
  /** By "area: name" and runtime. */
  probes: v.record(v.string(), byRuntime(v.strictObject({ verdict: v.picklist(VERDICTS), value: v.optional(v.number()), detail: v.optional(v.string()) }))),
});
export type Baseline = v.InferOutput<typeof BaselineSchema>;

/** What others are measured against, the first that is there. */
export const BASES = ["runc", "native"] as const;

export function baselineOf(result: Result): Baseline {
  const { machine, started, rounds } = result;
  const keyed = <T>(of: (measurement: Measurement) => Record<string, T>): Record<string, Record<string, T>> =>
    Object.fromEntries(result.measurements.map((measurement) => [`${measurement.suite}: ${measurement.name}`, of(measurement)]));
  return {
    baseline: 1,
    from: `${started}, Linux ${machine.kernel}, ${machine.processor}, ${machine.processors} processors, ${rounds} ${rounds === 1 ? "round" : "rounds"}, load ${machine.loadBefore[0]?.toFixed(1) ?? "unknown"}`,
    ratios: keyed(ratiosOf),
    failures: keyed(failuresOf),
    leftOut: Object.fromEntries(result.runtimes.flatMap(({ name, leftOut }) => (leftOut === undefined ? [] : [[name, leftOut]]))),
    probes: Object.fromEntries(result.probes.map(({ area, name, outcomes }) => [`${area}: ${name}`, mapValues(outcomes, (outcome) => comparable(area, outcome))])),
  };
}

/** Only how much of the host is within reach is a number that must not grow; of the others the verdict tells. */
function comparable(area: Probe["area"], { verdict, value, detail }: Outcome): Outcome {
  const counts = area === "surface" && verdict === "reached" && value !== undefined;
  return { verdict, ...(counts && { value }), ...(detail !== undefined && { detail }) };
}

function ratiosOf(measurement: Measurement): Baseline["ratios"][string] {
  // native is what isolation costs nothing in: there is nothing to judge of it.
  const measured = Object.entries(measurement.samples).filter(([runtime, { rounds }]) => runtime !== "native" && rounds.length > 0);
  return Object.fromEntries(measured.map(([runtime]) => [runtime, toBases(measurement, runtime)]));
}

function toBases(measurement: Measurement, runtime: string): { runc?: Spread; native?: Spread } {
  const spreads = BASES.filter((base) => base !== runtime).map((base) => [base, spreadOf(ratiosTo(base, measurement, runtime))] as const);
  return Object.fromEntries(spreads.filter(([, spread]) => spread !== undefined));
}

function failuresOf({ samples }: Measurement): Record<string, string> {
  const failed = Object.entries(samples).filter(([, { rounds, failures }]) => rounds.length === 0 && failures.length > 0);
  return Object.fromEntries(failed.map(([runtime, { failures }]) => [runtime, failures.at(-1)?.why ?? ""]));
}

const mapValues = <A, B>(record: Readonly<Record<string, A>>, map: (value: A) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));

/** @throws Error with one line for people: not to be read, not JSON, or which field is wrong. */
export const readResult = (path: string): Result => check(ResultSchema, readJson(path), path);

/** A result or a baseline. @throws Error as `readResult` */
export function readBaseline(path: string): Baseline {
  const json = readJson(path);
  const isBaseline = typeof json === "object" && json !== null && "baseline" in json;
  return isBaseline ? check(BaselineSchema, json, path) : baselineOf(check(ResultSchema, json, path));
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    if (error instanceof SyntaxError) throw new Error(`${path}: is not JSON: ${error.message}`, { cause: error });
    throw new Error(`${path}: cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, { cause: error });
  }
}

function check<T extends v.GenericSchema>(schema: T, json: unknown, path: string): v.InferOutput<T> {
  const checked = v.safeParse(schema, json);
  if (checked.success) return checked.output;
  const [issue] = checked.issues;
  throw new Error(`${path}: is no result of the bench: ${v.getDotPath(issue) ?? "the whole"}: ${issue.message}`);
}

if (process.argv[1] === import.meta.filename) {
  const [path] = process.argv.slice(2);
  if (path === undefined) throw new Error("usage: node bench/baseline.ts RESULT.json >bench/baseline.json");
  // Four digits are more than two runs have in common.
  console.log(JSON.stringify(readBaseline(path), (_, value: unknown) => (typeof value === "number" ? Number(value.toPrecision(4)) : value), 1));
}
