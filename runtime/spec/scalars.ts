import { custom, pipe, record, string, transform } from "valibot";

// The spec's scalar types. Each is one `custom` schema and not a pipe of several: a config is checked once, in a cold
// process, so fewer schema objects are less start-up time. Messages say "must ..., is ..."; validate.ts adds the field.

const SHOWN_CHARS = 60;

/** The offending value in one line, cut to a readable length. */
export function show(value: unknown): string {
  if (typeof value === "bigint") return value.toString();
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object" && value !== null) return "an object";
  const text = String(JSON.stringify(value));
  return text.length <= SHOWN_CHARS ? text : `${text.slice(0, SHOWN_CHARS)}...`;
}

const textProblem = (value: unknown): string | undefined => {
  if (typeof value !== "string") return `must be a string, is ${show(value)}`;
  return value.includes("\0") ? "must not contain a NUL byte" : undefined;
};

const isText = (value: unknown): boolean => typeof value === "string" && !value.includes("\0");

/** A string without NUL: every string of the spec ends in a system call, a kernel file or a message, where NUL cuts it. */
export const text = custom<string>(isText, ({ input }) => textProblem(input) ?? "");

/** A list of such strings, checked as one value: lists of strings are most of a config. */
export const texts = custom<string[]>(
  (value) => Array.isArray(value) && value.every(isText),
  ({ input }) => (Array.isArray(input) ? "" : `must be an array, is ${show(input)}`),
);

/** Which item makes a list fail `texts`, and why; undefined if it is not a list. */
export function textsProblem(value: unknown): { index: number; problem: string } | undefined {
  if (!Array.isArray(value)) return undefined;
  const index = value.findIndex((item) => !isText(item));
  const problem = textProblem(value[index]);
  return index < 0 || problem === undefined ? undefined : { index, problem };
}

export const bool = custom<boolean>(
  (value) => typeof value === "boolean",
  ({ input }) => `must be true or false, is ${show(input)}`,
);

function rangeMessage(min: number | bigint, max: number | bigint): (issue: { readonly input: unknown }) => string {
  return ({ input }) => (isWhole(input) ? `must be from ${min} to ${max}, is ${show(input)}` : `must be an integer, is ${show(input)}`);
}

const isWhole = (value: unknown): value is number | bigint => typeof value === "bigint" || Number.isInteger(value);

/** An integer in [min, max], both safe integers. */
const integer = (min: number, max: number) =>
  custom<number>((value) => typeof value === "number" && Number.isInteger(value) && value >= min && value <= max, rangeMessage(min, max));

export const int32 = integer(-0x8000_0000, 0x7fff_ffff);
export const uint16 = integer(0, 0xffff);
export const uint32 = integer(0, 0xffff_ffff);

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
const UINT64_MAX = 2n ** 64n - 1n;

const isWide = (min: bigint, max: bigint) => (value: unknown) => {
  if (!isWhole(value)) return false;
  // JSON.parse reads 2^63 - 1 as 2^63: one too many only by rounding.
  const whole = BigInt(value);
  return whole >= min && (whole <= max || (typeof value === "number" && whole === max + 1n));
};

/** The doubles next below 2^63 and 2^64: their decimal form is still a valid int64 or uint64 to the kernel. */
const NUMBER_BELOW_2_63 = 2 ** 63 - 1024;
const NUMBER_BELOW_2_64 = 2 ** 64 - 2048;

const clamp = (max: number) => (value: number | bigint) => Math.min(Number(value), max);

/**
 * An int64 as a number: exact up to 2^53, rounded to a multiple of up to 1024 beyond, never above the type's range. For limits,
 * where what is that large means "unlimited" (9223372036854771712 is cgroup v1's).
 */
export const int64 = pipe(custom<number | bigint>(isWide(INT64_MIN, INT64_MAX), rangeMessage(INT64_MIN, INT64_MAX)), transform(clamp(NUMBER_BELOW_2_63)));

/** A uint64 as a number, rounded as `int64` is (to a multiple of up to 2048). */
export const uint64 = pipe(custom<number | bigint>(isWide(0n, UINT64_MAX), rangeMessage(0n, UINT64_MAX)), transform(clamp(NUMBER_BELOW_2_64)));

/** A uint64 with every bit kept: a bigint above 2^53. For rlimits (2^64 - 1 is RLIM_INFINITY) and seccomp arguments. */
export const exactUint64 = custom<number | bigint>(
  (value) => (typeof value === "bigint" ? value >= 0n && value <= UINT64_MAX : Number.isSafeInteger(value) && Number(value) >= 0),
  rangeMessage(0n, UINT64_MAX),
);

export const textMap = record(string(), text);
