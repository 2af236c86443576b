/** A result as text for a terminal. */
import { assertNever } from "../linux/errors.ts";
import { heldGoals, type Held } from "./goals.ts";
import { ratiosTo, spreadFor, spreadOf } from "./ratios.ts";
import { VERDICTS, type Measurement, type Outcome, type Result } from "./result.ts";

/** @param base the runtime that the others are compared with. */
export function formatResult(result: Result, base = baseOf(result)): string {
  const measured = result.runtimes.filter(({ leftOut }) => leftOut === undefined).map(({ name }) => name);
  const suites = [...new Set(result.measurements.map(({ suite }) => suite))];
  const blocks = [
    ...suites.map((suite) => suiteTable(suite, result, measured, base)),
    goalsTable(heldGoals(result)),
    probesTable(result, measured),
    listed("Left out:", result.runtimes.flatMap(({ name, leftOut }) => (leftOut === undefined ? [] : [`${name}: ${leftOut}`]))),
    listed("Failed:", failures(result)),
    listed("Notes:", result.notes),
    circumstances(result),
  ];
  return blocks.filter((block) => block !== "").join("\n\n");
}

/** runc where it was measured: what a container costs today. */
export const baseOf = ({ runtimes }: Result): string => (runtimes.some(({ name, leftOut }) => name === "runc" && leftOut === undefined) ? "runc" : "native");

function suiteTable(suite: string, { measurements }: Result, runtimes: readonly string[], base: string): string {
  const rows = measurements.filter((measurement) => measurement.suite === suite);
  const body = rows.map((row) => [row.name, row.unit, ...runtimes.map((runtime) => cell(row, runtime, base))]);
  return [`${suite.toUpperCase()}: median, half the quartiles' distance, multiple of ${base}'s cost`, ...aligned([["", "", ...runtimes], ...body], 2)].join("\n");
}

function cell(measurement: Measurement, runtime: string, base: string): string {
  const samples = measurement.samples[runtime];
  if (samples === undefined) return "-";
  const spread = spreadFor(measurement, runtime);
  if (spread === undefined) return "failed";
  const half = Math.round(((spread.high - spread.low) / 2 / spread.median) * 100);
  // Of one round there is no spread.
  const around = samples.rounds.length < 2 || Number.isNaN(half) ? "" : ` ±${half}%`;
  const ratio = runtime === base ? undefined : spreadOf(ratiosTo(base, measurement, runtime))?.median;
  return `${amount(spread.median)}${around}${ratio === undefined ? "" : ` x${ratio.toFixed(2)}`}${samples.failures.length === 0 ? "" : " !"}`;
}

/** Three digits or more of what is measured, all of what is counted, and never an exponent. */
export const amount = (value: number): string => (Number.isInteger(value) ? String(value) : value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2));

function goalsTable(goals: readonly Held[]): string {
  const body = goals.map(({ runtime, name, base, ratio, atMost }) => [runtime, name, `${ratio.toFixed(2)} x ${base}`, `at most ${atMost.toFixed(2)}`, ratio <= atMost ? "reached" : "! missed"]);
  return body.length === 0 ? "" : ["GOALS", ...aligned(body, 5)].join("\n");
}

function probesTable({ probes }: Result, runtimes: readonly string[]): string {
  if (probes.length === 0) return "";
  const body = probes.map((probe) => [probe.area, probe.name, ...runtimes.map((runtime) => outcomeCell(probe.outcomes[runtime], probe.unit))]);
  const totals = VERDICTS.map((verdict) => ["", `in all: ${verdict}`, ...runtimes.map((runtime) => String(probes.filter(({ outcomes }) => outcomes[runtime]?.verdict === verdict).length))]);
  return ["PROBES", ...aligned([["", "", ...runtimes], ...body, ...totals], 2)].join("\n");
}

function outcomeCell(outcome: Outcome | undefined, unit: string | undefined): string {
  if (outcome === undefined) return "-";
  const value = outcome.value === undefined ? "" : ` ${amount(outcome.value)}${unit === undefined ? "" : ` ${unit}`}`;
  return `${mark(outcome.verdict)}${outcome.verdict}${value}`;
}

/** What somebody should look at. */
function mark(verdict: Outcome["verdict"]): string {
  switch (verdict) {
    case "blocked":
    case "emulated":
    case "hidden":
    case "allowed":
      return "";
    case "leaks":
    case "reached":
      return "! ";
    case "unknown":
      return "? ";
    default:
      return assertNever(verdict);
  }
}

/** Of the same reason one line. */
function failures({ measurements }: Result): string[] {
  const lines = measurements.flatMap(({ suite, samples }) =>
    Object.entries(samples).flatMap(([runtime, { failures }]) => failures.filter(({ why }) => !why.startsWith("not tried again")).map(({ why }) => `${suite}: ${runtime}: ${why}`)));
  return [...new Set(lines)];
}

const listed = (title: string, lines: readonly string[]): string => (lines.length === 0 ? "" : [title, ...lines.map((line) => `  ${line}`)].join("\n"));

function circumstances({ machine, runtimes, rounds, seconds }: Result): string {
  const versions = runtimes.flatMap(({ name, version }) => (version === undefined || name.startsWith("tssandbox-") ? [] : [`${name}: ${version}`]));
  return [
    `${machine.processor}, ${machine.processors} processors, ${(machine.memory / 2 ** 30).toFixed(0)} GiB, ${machine.system}, Linux ${machine.kernel}`,
    `${rounds} round${rounds === 1 ? "" : "s"} in ${Math.round(seconds)} s; load ${load(machine.loadBefore)} before, ${load(machine.loadAfter)} after`,
    versions.join("; "),
  ].join("\n");
}

const load = (averages: readonly number[]): string => averages[0]?.toFixed(1) ?? "?";

/** The first `left` columns to the left, the others to the right. */
function aligned(rows: readonly (readonly string[])[], left: number): string[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  return rows.map((row) => row.map((text, i) => (i < left ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0))).join("  ").trimEnd());
}
