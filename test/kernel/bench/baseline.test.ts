/**
 * Are calls still what they were, as multiples of what they cost under runc? bench/baseline.json has the ratios. The limits are wide: the machine may be
 * busy, and what is to be found is a call that was native and is trapped now, or a file that was cached and is asked for each time.
 */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { baselineOf, readBaseline } from "../../../bench/baseline.ts";
import { runBench } from "../../../bench/bench.ts";
import { compare, type Finding } from "../../../bench/compare.ts";
import { knownRuntimes } from "../../../bench/runtimes.ts";
import { syscalls } from "../../../bench/suites/syscalls.ts";
import { removeWorkDirectory } from "../../../bench/work.ts";
import { ensurePackages } from "../../packages.ts";

/** Per cent: five times. A trap is twenty and more; on a machine with a load of 15 the ratios of two runs were up to 4.5 times apart. */
const THRESHOLD = 400;
const RUNTIMES = ["runc", "tssandbox-namespace", "tssandbox-sentry"];

const stored = readBaseline(join(import.meta.dirname, "../../../bench/baseline.json"));
const silent = { say: () => undefined, step: () => undefined, end: () => undefined };

beforeAll(() => ensurePackages(["gcc", "libc6-dev", "runc"]), 300_000);
afterAll(removeWorkDirectory);

async function measure() {
  const runtimes = knownRuntimes((name) => RUNTIMES.includes(name));
  const result = await runBench({ suites: [syscalls], probes: false, runtimes, rounds: 2, quick: true, cpu: undefined, progress: silent });
  return compare(stored, baselineOf(result), { threshold: THRESHOLD });
}

const named = ({ what, runtime }: Finding): string => `${what}, ${runtime}`;

test("the baseline has the calls of both modes", () => {
  for (const runtime of ["tssandbox-namespace", "tssandbox-sentry"]) expect(Object.values(stored.ratios).filter((byRuntime) => byRuntime[runtime]?.runc !== undefined).length).toBeGreaterThan(25);
});

test("no call costs five times what it did, as a multiple of runc's", async () => {
  const first = await measure();
  expect(first.vanished).toEqual([]);
  expect(first.ratios).toBeGreaterThan(50);
  if (first.regressions.length === 0) return;
  // What is slow in one run of two was disturbed.
  const second = await measure();
  const again = new Set(second.regressions.map(named));
  expect(first.regressions.filter((finding) => again.has(named(finding)))).toEqual([]);
}, 240_000);
