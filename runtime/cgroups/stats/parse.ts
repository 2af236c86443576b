import { readOptional, type CgroupDir } from "../files.ts";

/** A kernel counter (uint64): bigint above 2^53. */
export type Counter = number | bigint;

/** 2^64 - 1: how runc reports `max`. */
export const unlimited = 2n ** 64n - 1n;

/** A counter from its decimal text. `max` is `unlimited`, a negative one (older kernels' races) 0, no text undefined. */
export function counter(text: string | undefined): Counter | undefined {
  if (text === undefined || text === "") return undefined;
  if (text === "max") return unlimited;
  const value = Number(text);
  if (Number.isSafeInteger(value)) return Math.max(value, 0);
  return /^\d+$/.test(text) ? BigInt(text) : undefined;
}

export const readCounter = (dir: CgroupDir, file: string): Counter | undefined => counter(readOptional(dir, file));

/** Lines of `key value`. */
export function readKeyed(dir: CgroupDir, file: string): Record<string, Counter> {
  const keyed: Record<string, Counter> = {};
  for (const line of (readOptional(dir, file) ?? "").split("\n")) {
    const [key = "", text] = line.split(" ");
    const value = counter(text);
    if (value !== undefined) keyed[key] = value;
  }
  return keyed;
}

/** `value * factor`, still exact. */
export const scaled = (value: Counter | undefined, factor: number): Counter | undefined => (value === undefined ? undefined : counter((BigInt(value) * BigInt(factor)).toString()));

export const sum = (a: Counter, b: Counter): Counter => counter((BigInt(a) + BigInt(b)).toString()) ?? 0;

/** Without the keys that are undefined or 0, which runc omits from most objects. */
export function omitZero<T extends object>(object: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined && value !== 0)) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

/** Pressure stall information. `total` in microseconds, averages in percent. Source: Documentation/accounting/psi.rst. */
export interface Psi {
  readonly some: PsiLine;
  readonly full: PsiLine;
}

export interface PsiLine {
  readonly avg10: number;
  readonly avg60: number;
  readonly avg300: number;
  readonly total: Counter;
}

/** undefined where the kernel has no PSI, or it is switched off for this cgroup. */
export function readPsi(dir: CgroupDir, file: string): Psi | undefined {
  const text = readOptional(dir, file);
  return text === undefined || text === "" ? undefined : { some: psiLine(text, "some"), full: psiLine(text, "full") };
}

function psiLine(text: string, kind: string): PsiLine {
  const line = text.split("\n").find((one) => one.startsWith(`${kind} `)) ?? "";
  const field = (name: string): string => new RegExp(`\\b${name}=(\\S+)`).exec(line)?.[1] ?? "0";
  return { avg10: Number(field("avg10")), avg60: Number(field("avg60")), avg300: Number(field("avg300")), total: counter(field("total")) ?? 0 };
}
