// `tssandbox syscalls`, as installed.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../../..");

/** Read through a pipe whose reader is late: the output is longer than a pipe holds. */
const syscalls = (flags: string) => spawnSync("sh", ["-c", `bin/tssandbox syscalls ${flags} | (sleep 0.2; cat)`], { cwd: root, encoding: "utf8", maxBuffer: 2 ** 22 });

test("the page is the one in docs", () => {
  expect(syscalls("--policy balanced")).toMatchObject({ stdout: readFileSync(join(root, "docs/syscalls.md"), "utf8"), stderr: "" });
});

test("the JSON has every call once, and the totals", () => {
  const { stdout, stderr } = syscalls("--format json");
  expect(stderr).toBe("");
  const { policy, counts, syscalls: calls } = JSON.parse(stdout);
  expect(policy).toBe("balanced");
  expect(new Set(calls.map(({ nr }: { nr: number }) => nr)).size).toBe(calls.length);
  expect(counts.native + counts.continued + counts.emulated + counts.denied).toBe(calls.length);
});

test("an unknown policy is refused", () => {
  const result = spawnSync("bin/tssandbox", ["syscalls", "--policy", "lax"], { cwd: root, encoding: "utf8" });
  expect([result.status, result.stderr]).toEqual([1, expect.stringContaining("Allowed choices are balanced")]);
});
