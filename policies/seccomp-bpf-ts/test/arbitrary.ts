// Random policies and calls that meet often: few names and few values, and neighbours of each.
import * as fc from "fast-check";
import { X32_BIT, archNames, archs } from "../src/arch.ts";
import type { ArchName, Endian } from "../src/arch.ts";
import type { ArgCheck, Outcome, Policy, Rule } from "../src/policy.ts";
import type { Call } from "../src/simulate.ts";
import { syscallNumber } from "../src/syscalls.ts";

const words = [0n, 1n, 2n, 8n, 0x7fff_ffffn, 0x8000_0000n, 0xffff_fffen, 0xffff_ffffn];

/** 64-bit values whose halves are boundary values, or their neighbours. */
export const wideValue: fc.Arbitrary<bigint> = fc
  .tuple(fc.constantFrom(0n, 0n, ...words), fc.constantFrom(...words), fc.constantFrom(-1n, 0n, 0n, 1n))
  .map(([high, low, step]) => BigInt.asUintN(64, (high << 32n) + low + step));

const mask = fc.oneof(wideValue, fc.constantFrom(0n, 1n, 6n, 0x7e02_0000n, 0xff00n, 1n << 40n, 0xffff_ffffn << 32n));

export const argCheck: fc.Arbitrary<ArgCheck> = fc.oneof(
  fc.record({
    index: fc.nat({ max: 2 }),
    op: fc.constantFrom("ne", "lt", "le", "eq", "ge", "gt"),
    value: wideValue,
  }),
  fc.record({ index: fc.nat({ max: 5 }), op: fc.constant("masked-eq" as const), value: mask, valueTwo: mask }),
);

/** What the live test can tell apart: each is seen by the caller, and allow only of calls that do no harm. */
export const visibleOutcome: fc.Arbitrary<Outcome> = fc.oneof(
  { arbitrary: fc.constant<Outcome>({ action: "allow" }), weight: 3 },
  { arbitrary: fc.integer({ min: 100, max: 4095 }).map((errno): Outcome => ({ action: "errno", errno })), weight: 6 },
  { arbitrary: fc.nat({ max: 0xffff }).map((data): Outcome => ({ action: "trap", data })), weight: 1 },
);

export const anyOutcome: fc.Arbitrary<Outcome> = fc.oneof(
  visibleOutcome,
  fc.constantFrom<Outcome>(
    { action: "log" },
    { action: "notify" },
    { action: "kill-thread" },
    { action: "kill-process" },
    { action: "errno", errno: 0 },
    { action: "trace", data: 0xffff },
  ),
);

export interface Shape {
  readonly names: readonly string[];
  readonly archSets: readonly (readonly ArchName[])[];
  readonly outcome: fc.Arbitrary<Outcome>;
}

export const commonNames = ["read", "getppid", "getpid", "gettid", "getuid", "getgid", "clone", "socket", "umount2", "mseal"];

const ofEndian = (endian: Endian): ArchName[] => archNames.filter((name) => archs[name].endian === endian);

export const everyShape: Shape = {
  names: [...commonNames, "personality", "close_range", "futex_waitv", "chown32", "io_setup", "file_setattr"],
  archSets: [["x86_64"], ["x86_64", "x86"], ["x86_64", "x86", "x32"], ["x32"], ofEndian("little"), ofEndian("big")],
  outcome: anyOutcome,
};

const rule = ({ names, outcome }: Shape): fc.Arbitrary<Rule> =>
  fc
    .record({
      names: fc.uniqueArray(fc.constantFrom(...names), { minLength: 1, maxLength: 5 }),
      args: fc.oneof(fc.constant([]), fc.array(argCheck, { maxLength: 4 })),
      outcome,
    })
    .map(({ names, args, outcome }) => ({ names, args, ...outcome }));

export const policyOf = (shape: Shape): fc.Arbitrary<Policy> =>
  fc
    .record({
      fallback: shape.outcome,
      architectures: fc.constantFrom(...shape.archSets),
      rules: fc.array(rule(shape), { maxLength: 14 }),
      foreignArch: shape.outcome,
      x32: shape.outcome,
      newerCalls: fc.constantFrom("default" as const, "enosys" as const),
    })
    .map(({ fallback, ...rest }) => ({
      defaultAction: fallback.action,
      ...(fallback.action !== "notify" && { defaultErrno: fallback.errno ?? fallback.data ?? 0 }),
      ...rest,
    }));

/** Numbers that a policy may name, their neighbours, and the edges of every number space. */
export function numberFor(names: readonly string[], arch: ArchName): fc.Arbitrary<number> {
  const named = names.map((name) => syscallNumber(arch, name)).filter((number) => number !== undefined);
  const edges = [0, 470, 600, X32_BIT - 1, X32_BIT, 2 * X32_BIT - 1, 2 * X32_BIT, 0xffff_ffff];
  const exact = fc.constantFrom(0, ...named);
  return fc.oneof(exact, exact, exact.map((number) => number + 1), exact.map((number) => Math.max(0, number - 1)), fc.constantFrom(...edges));
}

export const callArgs: fc.Arbitrary<bigint[]> = fc.array(wideValue, { minLength: 6, maxLength: 6 });

const callOn = (arch: ArchName): fc.Arbitrary<Call> =>
  fc.record({ arch: fc.constant(arch), nr: numberFor(everyShape.names, arch), args: callArgs, ip: wideValue });

/** Calls on any architecture of one byte order, most often on the given ones. */
export function callFor(architectures: readonly ArchName[]): fc.Arbitrary<Call> {
  const [first = "x86_64"] = architectures;
  const same = ofEndian(archs[first].endian);
  return fc.oneof(fc.constantFrom(...architectures), fc.constantFrom(...architectures, ...same)).chain(callOn);
}
