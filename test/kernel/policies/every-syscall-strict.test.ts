// Every number that the system call instruction takes, made in a sandbox under the policy `strict`, against the table. What is denied must end
// with the table's errno; what traps must be answered by the sentry, which lives; what is native, as it ends without a sandbox.
import { copyFileSync } from "node:fs";
import process from "node:process";
import { afterAll, beforeAll, expect, test } from "vitest";
import { onPlatform } from "../../../policies/syscalls/platform.ts";
import { strict } from "../../../policies/syscalls/policy.ts";
import { denied, errnos } from "../../../policies/syscalls/row.ts";
import type { Outcome } from "../../../policies/syscalls/row.ts";
import { tableSays, zeros } from "../../../policies/syscalls/test-table.ts";
import { make } from "../errors/own.ts";
import { Programs } from "./programs.ts";

/** Past the last number that any kernel has. */
const END = 480;
/** Under a filter already, strict mode is refused: without one it would end the child. Waits for its own end otherwise. */
const harmless: Readonly<Record<string, string>> = { seccomp: "2" };
/** What can be foretold of a result: an errno exactly, that it was none, or how the child ended. */
const comparable = (outcome = ""): string => outcome.replace(/^returned \d+$/, "returned something");

const byNumber = new Map(onPlatform(strict, process.env["TSSANDBOX_PLATFORM"] === "ptrace" ? "ptrace" : "notify").rows.map((row) => [row.nr, row]));
const numbers = Array.from({ length: END }, (_, nr) => nr);
const programs = new Programs();
let results = new Map<number, string>();
let natively = new Map<number, string>();

const input = numbers.map((nr) => `syscall ${nr} ${harmless[byNumber.get(nr)?.name ?? ""] ?? ""}\n`).join("");

function parse(output: string): Map<number, string> {
  return new Map(output.trim().split("\n").map((line) => [Number.parseInt(line, 10), line.slice(line.indexOf(" ") + 1)]));
}

function outcomeOf(nr: number): Outcome {
  const row = byNumber.get(nr);
  return row === undefined ? denied("ENOSYS") : tableSays(row, row.name === "seccomp" ? [2n, ...zeros.slice(1)] : zeros);
}

const nameOf = (nr: number) => byNumber.get(nr)?.name ?? String(nr);
/** Under a tracer SIGCHLD, which the program ignores, interrupts its sleep between two calls (decision 0040); what that goes on with its child has inherited. */
const DIFFERING: readonly string[] = process.env["TSSANDBOX_PLATFORM"] === "ptrace" ? ["restart_syscall"] : [];
const native = numbers.filter((nr) => outcomeOf(nr).kind === "native" && !DIFFERING.includes(nameOf(nr)));

beforeAll(async () => {
  const program = programs.build("every-syscall", "-static");
  await using c = make({ args: ["/every-syscall"], edit: (spec, bundle) => {
    copyFileSync(program, `${bundle.rootfs}/every-syscall`);
    spec.root.readonly = false;
  } });
  const result = await c.run({ global: ["--mode", "sentry", "--policy", "strict"], input });
  expect(result).toMatchObject({ code: 0, stderr: "" });
  results = parse(result.stdout);
  natively = parse(programs.runInside([program], native.map((nr) => `syscall ${nr}\n`).join("")).stdout);
}, 120_000);

afterAll(() => programs[Symbol.dispose]());

test("every number was tried", () => expect([...results.keys()]).toEqual(numbers));

test("denied ones end as the table says", () => {
  for (const nr of numbers) {
    const outcome = outcomeOf(nr);
    if (outcome.kind === "denied") expect([nameOf(nr), results.get(nr)]).toEqual([nameOf(nr), `returned -${errnos[outcome.errno]}`]);
  }
});

test("those that trap are known to the sentry", () => {
  for (const nr of numbers) if (outcomeOf(nr).kind === "emulated") expect([nameOf(nr), results.get(nr)]).not.toEqual([nameOf(nr), `returned -${errnos.ENOSYS}`]);
});

test("native ones end as without a sandbox", () => {
  expect(native.length).toBeGreaterThan(40);
  for (const nr of native) expect([nameOf(nr), comparable(results.get(nr))]).toEqual([nameOf(nr), comparable(natively.get(nr))]);
});
