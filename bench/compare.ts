/**
 * Is B slower or more exposed than A? Ratios are compared, never times, and verdicts; both sides may be a result or a stored baseline.
 * `tssandbox bench compare`: `const { text, code } = compareFiles(a, b, options)`.
 */
import { type Baseline, BASES, readBaseline } from "./baseline.ts";
import type { Spread } from "./ratios.ts";
import { type Verdict, VERDICTS } from "./result.ts";

/** Per cent. Generous: on a shared machine a ratio of short runs moves by a third from run to run. */
export const DEFAULT_THRESHOLD = 50;

export interface CompareOptions {
  /** By how many per cent a ratio may rise, at least 0. */
  readonly threshold?: number;
}

export interface Finding {
  /** "syscalls: uname", "escapes: io_uring". */
  readonly what: string;
  readonly runtime: string;
  /** "1.20 -> 3.10 x runc (+158 %)", "blocked -> reached: ..." */
  readonly change: string;
}

export interface Comparison {
  /** Slower by more than the threshold, failing now, a worse verdict, a surface that grew. */
  readonly regressions: readonly Finding[];
  readonly improvements: readonly Finding[];
  /** In A and not in B, though nothing failed: a runtime that is not installed, a suite that was not run, a probe that cannot tell. Not a regression. */
  readonly vanished: readonly Finding[];
  /** How many ratios and verdicts are in both. */
  readonly ratios: number;
  readonly verdicts: number;
}

type Kind = "regressions" | "improvements" | "vanished" | "same";
interface Judged {
  readonly kind: Kind;
  readonly change: string;
}

export function compare(a: Baseline, b: Baseline, { threshold = DEFAULT_THRESHOLD }: CompareOptions = {}): Comparison {
  const ratios = judge(a.ratios, (what, runtime, before) => compareRatios(before, b.ratios[what]?.[runtime], () => whyMissing(b, what, runtime), threshold));
  const verdicts = judge(a.probes, (what, runtime, before) => compareOutcomes(before, b.probes[what]?.[runtime], b.leftOut[runtime]));
  const all = [...ratios, ...verdicts];
  const of = (kind: Kind): Finding[] => all.filter((each) => each.kind === kind).map(({ what, runtime, change }) => ({ what, runtime, change }));
  return { regressions: of("regressions"), improvements: of("improvements"), vanished: of("vanished"), ratios: inBoth(ratios), verdicts: inBoth(verdicts) };
}

const inBoth = (judged: readonly Judged[]): number => judged.filter(({ kind }) => kind !== "vanished").length;

function judge<T>(all: Readonly<Record<string, Readonly<Record<string, T>>>>, one: (what: string, runtime: string, before: T) => Judged | undefined): (Finding & Judged)[] {
  return Object.entries(all).flatMap(([what, byRuntime]) =>
    Object.entries(byRuntime).flatMap(([runtime, before]) => {
      const judged = one(what, runtime, before);
      return judged === undefined ? [] : [{ what, runtime, ...judged }];
    }),
  );
}

type Ratios = Baseline["ratios"][string][string];
type Missing = { readonly failed: boolean; readonly why: string };

function whyMissing({ failures, leftOut }: Baseline, what: string, runtime: string): Missing {
  const failure = failures[what]?.[runtime];
  if (failure !== undefined) return { failed: true, why: failure };
  return { failed: false, why: leftOut[runtime] ?? "not in B" };
}

/** @returns undefined where A has nothing that it could be compared with: it is what the others are compared with. */
function compareRatios(before: Ratios, after: Ratios | undefined, missing: () => Missing, threshold: number): Judged | undefined {
  if (BASES.every((base) => before[base] === undefined)) return undefined;
  if (after === undefined) {
    const { failed, why } = missing();
    return failed ? { kind: "regressions", change: `fails now: ${why}` } : { kind: "vanished", change: why };
  }
  const base = BASES.find((name) => before[name] !== undefined && after[name] !== undefined);
  const [was, is] = base === undefined ? [] : [before[base], after[base]];
  if (was === undefined || is === undefined) return { kind: "vanished", change: "neither runc nor native is in both" };
  const percent = (is.median / was.median - 1) * 100;
  return { kind: kindOf(was, is, 1 + threshold / 100), change: `${show(was.median)} -> ${show(is.median)} x ${base} (${percent > 0 ? "+" : ""}${percent.toFixed(0)} %)` };
}

/** Beyond the threshold, and beyond the spread: the middle halves of the rounds must not touch. */
function kindOf(was: Spread, is: Spread, factor: number): Kind {
  if (is.median > was.median * factor && is.low > was.high) return "regressions";
  if (is.median * factor < was.median && is.high < was.low) return "improvements";
  return "same";
}

type Outcome = Baseline["probes"][string][string];

function compareOutcomes(before: Outcome, after: Outcome | undefined, leftOut: string | undefined): Judged | undefined {
  if (before.verdict === "unknown") return undefined;
  if (after === undefined) return { kind: "vanished", change: leftOut ?? "not in B" };
  if (after.verdict === "unknown") return { kind: "vanished", change: `${before.verdict} -> unknown${because(after)}` };
  const worse = rank(after.verdict) - rank(before.verdict);
  if (worse !== 0) return { kind: worse > 0 ? "regressions" : "improvements", change: `${before.verdict} -> ${after.verdict}${because(after)}` };
  const grown = (after.value ?? NaN) - (before.value ?? NaN);
  if (Number.isNaN(grown) || grown === 0) return { kind: "same", change: "" };
  return { kind: grown > 0 ? "regressions" : "improvements", change: `${before.value} -> ${after.value}` };
}

const rank = (verdict: Verdict): number => VERDICTS.indexOf(verdict);
const because = ({ detail }: Outcome): string => (detail === undefined ? "" : `: ${detail}`);
const show = (ratio: number): string => ratio.toPrecision(3);

/** @throws Error for people: a file that cannot be read or is none of ours, a threshold that is none, two files with nothing in common. */
export function compareFiles(pathA: string, pathB: string, { threshold = DEFAULT_THRESHOLD }: CompareOptions = {}): { readonly text: string; readonly code: 0 | 1 } {
  if (!(threshold >= 0)) throw new Error("the threshold is to be a number of per cent, at least 0");
  const [a, b] = [readBaseline(pathA), readBaseline(pathB)];
  const comparison = compare(a, b, { threshold });
  if (comparison.ratios + comparison.verdicts === 0) throw new Error(`${pathA} and ${pathB} have no measurement and no probe in common`);
  return { text: describe(comparison, { A: a.from, B: b.from, threshold }), code: comparison.regressions.length > 0 ? 1 : 0 };
}

function describe(comparison: Comparison, about: { readonly A: string; readonly B: string; readonly threshold: number }): string {
  const { regressions, improvements, vanished, ratios, verdicts } = comparison;
  return [
    `A: ${about.A}`,
    `B: ${about.B}`,
    `${ratios} ratios and ${verdicts} verdicts are in both; a ratio may rise by ${about.threshold} %`,
    ...section("regressions", regressions),
    ...section("improvements", improvements),
    ...section("vanished", vanished),
    "",
  ].join("\n");
}

function section(title: string, findings: readonly Finding[]): string[] {
  if (findings.length === 0) return ["", `${title}: none`];
  const width = (of: (finding: Finding) => string) => Math.max(...findings.map((finding) => of(finding).length));
  const [whats, runtimes] = [width(({ what }) => what), width(({ runtime }) => runtime)];
  return ["", `${title}: ${findings.length}`, ...findings.map(({ what, runtime, change }) => `  ${what.padEnd(whats)}  ${runtime.padEnd(runtimes)}  ${change}`)];
}
