import { expect, test } from "vitest";
import type { Result } from "./result.ts";
import { amount, baseOf, formatResult } from "./table.ts";

const rounds = (...values: number[]) => ({ rounds: values.map((value, round) => ({ round, value })), failures: [] });

const result: Result = {
  version: 1, started: "2026-01-01T00:00:00.000Z", seconds: 61.2, rounds: 3, quick: true,
  machine: { kernel: "6", architecture: "x64", processor: "P", processors: 2, memory: 2 ** 34, system: "S", loadBefore: [0.1, 0, 0], loadAfter: [1, 0, 0] },
  runtimes: [{ name: "native" }, { name: "runc", version: "runc 1" }, { name: "crun", leftOut: "not installed" }, { name: "slow" }],
  measurements: [
    { suite: "start", name: "exit", unit: "ms", samples: { native: rounds(1, 1, 1), runc: rounds(10, 10, 20), slow: { rounds: [], failures: [{ round: 0, why: "timed out after 1 s" }, { round: 1, why: "not tried again: timed out after 1 s" }] } } },
    { suite: "network", name: "HTTP", unit: "req/s", samples: { native: rounds(400, 400, 400), runc: rounds(100, 100, 100) } },
  ],
  probes: [{ area: "escapes", name: "mount", about: "mounts.", outcomes: { native: { verdict: "reached" }, runc: { verdict: "blocked", detail: "EPERM" } } }],
  notes: ["a note"],
};

const lines = formatResult(result).split("\n");
const line = (start: string) => lines.find((text) => text.trimStart().startsWith(start)) ?? "";

test("a row has median, spread, and the multiple of runc's cost, by round", () => {
  expect(line("exit")).toMatch(/^exit\s+ms\s+1 ±0% x0\.10\s+10 ±25%\s+failed$/);
});

test("of work in a time, less is dearer", () => {
  expect(line("HTTP")).toMatch(/400 ±0% x0\.25\s+100 ±0%\s+-$/);
});

test("what was left out or has failed is told with its reason, once", () => {
  expect(line("crun")).toBe("  crun: not installed");
  expect(lines.filter((text) => text.includes("timed out"))).toEqual(["  start: slow: timed out after 1 s"]);
  expect(lines).toContain("  a note");
});

test("goals are told of where both runtimes were measured", () => {
  const samples = { "tssandbox-strict": rounds(3000, 3300, 2000), "runsc-systrap": rounds(2000, 2000, 2000), "tssandbox-ptrace": rounds(1, 1, 1) };
  const held = formatResult({ ...result, measurements: [
    { suite: "syscalls", name: "root: pread 4k", unit: "ns", samples },
    { suite: "syscalls", name: "root: stat", unit: "ns", samples },
    { suite: "syscalls", name: "calls: uname", unit: "ns", samples },
  ] }).split("\n");
  const goals = held.slice(held.indexOf("GOALS") + 1, held.indexOf("", held.indexOf("GOALS")));
  expect(goals.map((text) => text.replaceAll(/ +/g, " "))).toEqual([
    "tssandbox-strict root: pread 4k 1.50 x runsc-systrap at most 1.50 reached",
    "tssandbox-strict root: stat 1.50 x runsc-systrap at most 0.80 ! missed",
  ]);
});

test("probes are marked and counted", () => {
  expect(line("escapes")).toMatch(/^escapes\s+mount\s+! reached\s+blocked\s+-$/);
  expect(line("in all: reached")).toMatch(/1\s+0\s+0$/);
});

test("without runc the others are compared with native", () => {
  expect(baseOf({ ...result, runtimes: [{ name: "native" }, { name: "runc", leftOut: "broken" }] })).toBe("native");
});

test("amounts have three digits or more", () => {
  expect([0.123, 12.34, 1234.5, 385].map(amount)).toEqual(["0.12", "12.3", "1235", "385"]);
});
