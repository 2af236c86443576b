// The simulator and the checker against the running kernel, on random policies and random programs. Each run draws new
// ones; the seed is in the message of a failure.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  check,
  compile,
  encodeFlags,
  encodeProgram,
  encodeVerdict,
  opcode,
  simulateStack,
  syscallNumber,
} from "../../policies/seccomp-bpf-ts/src/index.ts";
import type { Call, Instruction, LoadFlags, Policy, Run } from "../../policies/seccomp-bpf-ts/src/index.ts";
import { anyOutcome, callArgs, commonNames, policyOf, visibleOutcome, wideValue } from "../../policies/seccomp-bpf-ts/test/arbitrary.ts";

interface Job {
  readonly flags: LoadFlags;
  readonly programs: readonly Uint8Array[];
  readonly calls: readonly Call[];
}

interface Outcome {
  readonly kind: "returned" | "trapped" | "killed";
  readonly value: number;
  readonly trapped: readonly [number, number];
}

interface Report {
  /** Result of seccomp(2). */
  readonly loaded: number;
  readonly outcomes: readonly Outcome[];
}

const directory = mkdtempSync(join(tmpdir(), "seccomp-live-"));
const helper = join(directory, "seccomp-live");
const seed = Date.now() & 0x7fff_ffff;

beforeAll(() => {
  const source = join(import.meta.dirname, "seccomp-live.c");
  const built = spawnSync("gcc", ["-O1", "-Wall", "-Werror", "-mno-red-zone", "-o", helper, source], { encoding: "utf8" });
  expect(built.stderr).toBe("");
});

afterAll(() => rmSync(directory, { recursive: true }));

function u32(...values: number[]): Buffer {
  const buffer = Buffer.alloc(4 * values.length);
  for (const [index, value] of values.entries()) buffer.writeUInt32LE(value >>> 0, 4 * index);
  return buffer;
}

function encodeCall({ arch, nr, args }: Call): Buffer {
  const buffer = Buffer.alloc(56);
  u32(arch === "x86" ? 1 : 0, nr).copy(buffer);
  for (const [index, value] of (args ?? []).entries()) buffer.writeBigUInt64LE(BigInt(value), 8 + 8 * index);
  return buffer;
}

function encodeJob({ flags, programs, calls }: Job): Buffer {
  const filters = programs.flatMap((program) => [u32(program.length / 8), program]);
  return Buffer.concat([u32(encodeFlags(flags), programs.length), ...filters, u32(calls.length), ...calls.map(encodeCall)]);
}

const kinds = ["returned", "trapped", "killed"] as const;

function runJobs(jobs: readonly Job[]): Report[] {
  const { status, stdout, stderr } = spawnSync(helper, { input: Buffer.concat(jobs.map(encodeJob)), maxBuffer: 2 ** 28 });
  expect({ status, stderr: stderr.toString() }).toEqual({ status: 0, stderr: "" });
  let at = 0;
  const next = (): number => stdout.readInt32LE((at += 4) - 4);
  return jobs.map(({ calls }) => {
    const loaded = next();
    const outcome = (): Outcome => ({ kind: kinds[next()] ?? "killed", value: next(), trapped: [next() >>> 0, next() >>> 0] });
    return { loaded, outcomes: loaded < 0 ? [] : calls.map(outcome) };
  });
}

const ENOSYS = 38;

/** Whether what the kernel did is what the simulator foretold. Only harmless calls are made, so allow may run them. */
function agrees(run: Run, outcome: Outcome): boolean {
  switch (run.action) {
    case "allow":
    case "log":
      return outcome.kind === "returned" && (outcome.value >= 0 || outcome.value === -ENOSYS);
    case "errno":
      return outcome.kind === "returned" && outcome.value === -run.data;
    case "trap":
      return outcome.kind === "trapped" && outcome.value === run.data;
    case "notify":
    case "trace":
      // Without a listener or a tracer (seccomp(2)).
      return outcome.kind === "returned" && outcome.value === -ENOSYS;
    case "kill-thread":
    case "kill-process":
      return outcome.kind === "killed";
    default:
      return run.action satisfies never;
  }
}

function expectAgreement(jobs: readonly Job[], endedIn: Set<string>): number {
  let compared = 0;
  for (const [index, report] of runJobs(jobs).entries()) {
    const { programs, calls } = jobs[index] ?? { programs: [], calls: [] };
    expect({ seed, index, loaded: report.loaded }).toEqual({ seed, index, loaded: 0 });
    for (const [which, call] of calls.entries()) {
      const run = simulateStack(programs, call);
      const outcome = report.outcomes[which];
      if (outcome === undefined || !agrees(run, outcome)) expect({ seed, index, call, run }).toEqual(outcome);
      endedIn.add(run.action);
      compared++;
    }
  }
  return compared;
}

// Calls that do no harm whatever their arguments: they take none. Besides, numbers that no kernel has.
const harmless = ["getppid", "getpid", "gettid", "getuid", "geteuid", "getgid", "getegid", "getpgrp", "sched_yield"];
const unused = [5000, 0x3fff_ffff, 0x8000_0000, 0xffff_ffff];
const holes = { x86_64: [400, 423], x86: [223, 251] };

const harmlessNumber = (arch: "x86_64" | "x86"): fc.Arbitrary<number> => {
  const numbers = harmless.map((name) => syscallNumber(arch, name)).filter((number) => number !== undefined);
  const x32 = arch === "x86_64" ? numbers.map((number) => number + 0x4000_0000) : [];
  return fc.oneof({ arbitrary: fc.constantFrom(...numbers), weight: 4 }, fc.constantFrom(...unused, ...holes[arch], ...x32));
};

const harmlessCall = (arch: "x86_64" | "x86"): fc.Arbitrary<Call> =>
  fc.record({ arch: fc.constant(arch), nr: harmlessNumber(arch), args: callArgs });

const anyCall = fc.oneof({ arbitrary: harmlessCall("x86_64"), weight: 4 }, harmlessCall("x86"));

const shape = {
  names: [...harmless, ...commonNames],
  archSets: [["x86_64"], ["x86_64", "x86"], ["x86_64", "x86", "x32"]] as const,
  outcome: visibleOutcome,
};

const policyJob = (calls: number): fc.Arbitrary<Job> =>
  fc.record({
    flags: fc.constant({}),
    programs: fc.tuple(policyOf(shape).map(compile)),
    calls: fc.array(anyCall, { minLength: calls, maxLength: calls }),
  });

const sample = <T>(arbitrary: fc.Arbitrary<T>, numRuns: number): T[] => fc.sample(arbitrary, { seed, numRuns });

test("random policies: the simulator foretells thousands of real calls", () => {
  const seen = new Set<string>();
  const compared = expectAgreement(sample(policyJob(40), 250), seen);
  expect(compared).toBe(10_000);
  expect([...seen].sort()).toEqual(["allow", "errno", "trap"]);
});

test("random policies with every action", () => {
  const seen = new Set<string>();
  const job = fc.record({
    flags: fc.constant({}),
    programs: fc.tuple(policyOf({ ...shape, outcome: anyOutcome }).map(compile)),
    calls: fc.array(anyCall, { minLength: 8, maxLength: 8 }),
  });
  expectAgreement(sample(job, 150), seen);
  for (const action of ["allow", "errno", "trap", "trace", "notify", "kill-thread", "kill-process"]) expect(seen).toContain(action);
});

// So that the second filter can be loaded under the first.
const allowsLoading = (policy: Policy): Policy => ({
  ...policy,
  architectures: ["x86_64", "x86"],
  rules: [{ names: ["seccomp"], action: "allow" }, ...policy.rules],
});

test("filters on top of each other: the most restrictive action wins, of equals the last", () => {
  const job = fc.record({
    flags: fc.constant({}),
    programs: fc.array(policyOf(shape).map(allowsLoading).map(compile), { minLength: 2, maxLength: 5 }),
    calls: fc.array(anyCall, { minLength: 12, maxLength: 12 }),
  });
  expectAgreement(sample(job, 80), new Set());
});

const alu = [0x04, 0x14, 0x24, 0x34, 0x44, 0x54, 0x64, 0x74, 0xa4];
const tests = [0x15, 0x25, 0x35, 0x45];
const word = wideValue.map((value) => Number(value & 0xffff_ffffn));

// Loads of everything but the instruction pointer, which the test does not know.
const loadable = fc.nat({ max: 13 }).map((index) => (index < 2 ? 4 * index : 8 + 4 * index));

const plainInstruction = (k: fc.Arbitrary<number>, ...codes: number[]): fc.Arbitrary<Instruction> =>
  fc.record({ code: fc.constantFrom(...codes), jt: fc.constant(0), jf: fc.constant(0), k });

const slot = fc.nat({ max: 15 });
const shift = fc.nat({ max: 31 });
const nonZero = word.map((value) => value || 1);

const validInstruction: fc.Arbitrary<Instruction> = fc.oneof(
  { arbitrary: plainInstruction(loadable, opcode.ldAbs), weight: 5 },
  plainInstruction(word, opcode.ldImm, opcode.ldxImm),
  plainInstruction(slot, opcode.ldMem, opcode.ldxMem, opcode.st, opcode.stx),
  plainInstruction(word, opcode.tax, opcode.txa, opcode.neg, opcode.ldLen, opcode.ldxLen),
  { arbitrary: plainInstruction(word, ...alu.map((code) => code | 0x08)), weight: 2 },
  { arbitrary: plainInstruction(nonZero, ...alu.filter((code) => code !== 0x64 && code !== 0x74)), weight: 2 },
  plainInstruction(shift, 0x64, 0x74),
  {
    arbitrary: fc.record({
      code: fc.constantFrom(...tests, ...tests.map((code) => code | 0x08)),
      jt: fc.nat({ max: 4 }),
      jf: fc.nat({ max: 4 }),
      k: word,
    }),
    weight: 3,
  },
  plainInstruction(fc.nat({ max: 3 }), opcode.ja),
);

const ret = (k: number): Instruction => ({ code: opcode.retK, jt: 0, jf: 0, k });

// Stores to all of M[] first, so that any load is valid, and an end that turns the accumulator into a visible errno.
const validProgram: fc.Arbitrary<Uint8Array> = fc.array(validInstruction, { minLength: 1, maxLength: 40 }).map((body) => {
  const stores = Array.from({ length: 16 }, (_, k): Instruction => ({ code: opcode.st, jt: 0, jf: 0, k }));
  const end: Instruction[] = [
    { code: 0x54, jt: 0, jf: 0, k: 0xfff },
    { code: 0x44, jt: 0, jf: 0, k: encodeVerdict({ action: "errno", data: 0 }) },
    { code: opcode.retA, jt: 0, jf: 0, k: 0 },
  ];
  const padding = Array.from({ length: 5 }, () => ({ code: opcode.txa, jt: 0, jf: 0, k: 0 }));
  return encodeProgram([...stores, ...body, ...padding, ...end]);
});

test("random programs with every instruction compute what the kernel computes", () => {
  const job = fc.record({
    flags: fc.constant({}),
    programs: fc.tuple(validProgram),
    calls: fc.array(harmlessCall("x86_64"), { minLength: 8, maxLength: 8 }),
  });
  expectAgreement(sample(job, 400), new Set());
});

const anyInstruction: fc.Arbitrary<Instruction> = fc.record({
  code: fc.oneof(fc.nat({ max: 0xff }), fc.nat({ max: 0xffff })),
  jt: fc.nat({ max: 6 }),
  jf: fc.nat({ max: 6 }),
  k: fc.oneof(fc.nat({ max: 70 }), word),
});

test("the checker accepts exactly what the kernel accepts", () => {
  const sloppy = fc.oneof({ arbitrary: validInstruction, weight: 12 }, anyInstruction);
  const end = fc.oneof({ arbitrary: fc.constant(ret(0x7fff_0000)), weight: 5 }, anyInstruction);
  const program = fc.tuple(fc.array(sloppy, { maxLength: 7 }), end).map(([body, last]) => encodeProgram([...body, last]));
  const programs = [...sample(program, 1500), new Uint8Array(0), encodeProgram(Array<Instruction>(4096).fill(ret(0x7fff_0000)))];
  programs.push(encodeProgram(Array<Instruction>(4097).fill(ret(0x7fff_0000))));
  const reports = runJobs(programs.map((each) => ({ flags: {}, programs: [each], calls: [] })));
  const accepted = reports.filter(({ loaded }) => loaded === 0).length;
  expect(accepted).toBeGreaterThan(100);
  expect(accepted).toBeLessThan(programs.length - 100);
  for (const [index, { loaded }] of reports.entries()) {
    const refusal = check(programs[index] ?? new Uint8Array(0));
    expect({ seed, index, refusal, accepted: loaded === 0 }).toEqual({ seed, index, refusal, accepted: refusal === undefined });
  }
});

test("each filter flag is one that the kernel takes", () => {
  const program = encodeProgram([ret(0x7fff_0000)]);
  const sets: LoadFlags[] = [
    { tsync: true },
    { log: true },
    { specAllow: true },
    { newListener: true },
    { newListener: true, waitKillableRecv: true },
    { newListener: true, tsync: true, tsyncEsrch: true },
    { tsync: true, tsyncEsrch: true, log: true, specAllow: true },
  ];
  const reports = runJobs(sets.map((flags) => ({ flags, programs: [program], calls: [] })));
  for (const [index, flags] of sets.entries()) {
    const loaded = reports[index]?.loaded ?? -1;
    expect({ flags, isListener: loaded > 2, isZero: loaded === 0 }).toEqual({
      flags,
      isListener: flags.newListener === true,
      isZero: flags.newListener !== true,
    });
  }
});

// The kernel hands a filter whole registers also for int 0x80 made by a 64-bit process, but uses their lower halves.
test("a 32-bit call's argument cannot be hidden behind bits that the kernel ignores", () => {
  const policy: Policy = {
    defaultAction: "allow",
    architectures: ["x86_64", "x86"],
    rules: [{ names: ["getppid"], action: "errno", errno: 1000, args: [{ index: 0, op: "eq", value: 1 }] }],
  };
  const calls = [1n, 0xdead_beef_0000_0001n].map((first): Call => ({ arch: "x86", nr: 64, args: [first] }));
  const [report] = runJobs([{ flags: {}, programs: [compile(policy)], calls }]);
  expect(report?.outcomes.map(({ value }) => value)).toEqual([-1000, -1000]);
});
