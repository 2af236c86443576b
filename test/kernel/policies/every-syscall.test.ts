// Every number that the system call instruction takes, made for real under the balanced policy's filter, against the table. What is native must end
// as it ends without the filter; what is denied, with the table's errno; what traps, with the errno of the stand-in for the sentry.
import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compilePolicy } from "../../../policies/syscalls/filter.ts";
import { balanced } from "../../../policies/syscalls/policy.ts";
import { denied, errnos } from "../../../policies/syscalls/row.ts";
import type { Outcome, SyscallRow } from "../../../policies/syscalls/row.ts";
import { ones, satisfying, tableSays, zeros } from "../../../policies/syscalls/test-table.ts";
import { Programs } from "./programs.ts";

/** An errno that no kernel answers with. */
const SENTRY = 4000;
const SIGSYS = 31;
/** Past the last number that any kernel has. */
const END = 480;

interface Call {
  readonly entry: "syscall" | "int80";
  readonly nr: number;
  readonly args: readonly bigint[];
}

// Under a filter already, strict mode is refused: without one it would end the child.
const harmlessArgs: Readonly<Record<string, readonly bigint[]>> = { seccomp: [2n] };

const byNumber = new Map(balanced.rows.map((row) => [row.nr, row]));
const programs = new Programs();
let everySyscall = "";
let host = "";

beforeAll(() => {
  everySyscall = programs.build("every-syscall");
  host = programs.build("policy-host");
  writeFileSync(programs.path("filter"), compilePolicy(balanced));
});

afterAll(() => programs[Symbol.dispose]());

const line = ({ entry, nr, args }: Call): string => `${[entry, nr, ...args].join(" ")}\n`;

function outcomes(result: ReturnType<Programs["runInside"]>, calls: readonly Call[]): string[] {
  expect({ status: result.status, stderr: result.stderr }).toEqual({ status: 0, stderr: "" });
  const lines = result.stdout.trim().split("\n");
  expect(lines.length).toBe(calls.length);
  return lines.map((text, index) => {
    const [nr, ...rest] = text.split(" ");
    expect(Number(nr)).toBe(calls[index]?.nr);
    return rest.join(" ");
  });
}

const underFilter = (calls: readonly Call[]): string[] =>
  outcomes(programs.runInside([host, programs.path("filter"), String(SENTRY), programs.path("census"), everySyscall], calls.map(line).join("")), calls);

const withoutFilter = (calls: readonly Call[]): string[] => outcomes(programs.runInside([everySyscall], calls.map(line).join("")), calls);

/** What can be foretold of a result: an errno exactly, that it was none, or how the child ended. */
const comparable = (outcome: string): string => outcome.replace(/^returned \d+$/, "returned something");

const everyNumber = Array.from({ length: END }, (_, nr): Call => ({ entry: "syscall", nr, args: harmlessArgs[byNumber.get(nr)?.name ?? ""] ?? [] }));

function tableOutcome({ nr, args }: Call): Outcome {
  const row = byNumber.get(nr);
  return row === undefined ? denied("ENOSYS") : tableSays(row, args);
}

const isNative = (call: Call): boolean => tableOutcome(call).kind === "native";

/** Calls whose arguments lead to a case that the kernel is never asked about: safe to make whatever it says. */
function refusedCases(row: SyscallRow): { call: Call; outcome: Outcome; what: string }[] {
  return row.cases.flatMap(({ what, anyOf, outcome }) => {
    if (outcome.kind === "native") return [];
    // What a case leaves open is all ones, so that "another protocol" is one, or zeros where ones lead to a case before.
    const candidates = anyOf.flatMap((checks) => [ones, zeros].map((rest) => satisfying(checks, rest)));
    const reached = candidates.filter((args) => tableSays(row, args) === outcome);
    return reached.map((args) => ({ call: { entry: "syscall", nr: row.nr, args }, outcome, what: `${row.name}: ${what}` }));
  });
}

const refusal = (outcome: Outcome): string => `returned -${outcome.kind === "denied" ? errnos[outcome.errno] : SENTRY}`;

describe("every number under the filter", () => {
  const results = new Map<number, string>();
  const natively = new Map<number, string>();

  beforeAll(() => {
    underFilter(everyNumber).forEach((outcome, index) => results.set(index, outcome));
    const native = everyNumber.filter(isNative);
    withoutFilter(native).forEach((outcome, index) => natively.set(native[index]?.nr ?? -1, outcome));
  }, 60_000);

  test("native ones end as without it", () => {
    expect(natively.size).toBeGreaterThan(150);
    for (const [nr, outcome] of natively) expect([byNumber.get(nr)?.name, comparable(results.get(nr) ?? "")]).toEqual([byNumber.get(nr)?.name, comparable(outcome)]);
  });

  test("others end as the table says", () => {
    for (const call of everyNumber.filter((call) => !isNative(call))) {
      const name = byNumber.get(call.nr)?.name ?? call.nr;
      expect([name, results.get(call.nr)]).toEqual([name, refusal(tableOutcome(call))]);
    }
  });

  test("the stand-in for the sentry saw what traps, and nothing else", () => {
    const seen = readFileSync(programs.path("census"), "utf8").trim().split("\n").map((text) => byNumber.get(Number(text.split(" ")[0]))?.name);
    expect([...new Set(seen)].sort()).toEqual(["ptrace", "sync", "sysinfo", "uname"]);
  });
});

test("arguments that the table refuses are refused", () => {
  const all = balanced.rows.flatMap(refusedCases);
  expect(all.length).toBeGreaterThan(20);
  const results = underFilter(all.map(({ call }) => call));
  for (const [index, { what, outcome }] of all.entries()) expect([what, results[index]]).toEqual([what, refusal(outcome)]);
});

test("x32 numbers look absent, and int 0x80 ends the process", () => {
  const x32 = [0, 1, 39, 512, 520, 547].map((nr): Call => ({ entry: "syscall", nr: 0x4000_0000 + nr, args: [] }));
  const i386 = [1, 4, 20, 41, 102].map((nr): Call => ({ entry: "int80", nr, args: [] }));
  const results = underFilter([...x32, ...i386]);
  expect(results).toEqual([...x32.map(() => `returned -${errnos.ENOSYS}`), ...i386.map(() => `signal ${SIGSYS}`)]);
});
