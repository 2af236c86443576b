import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { baselineOf } from "./baseline.ts";
import { compare, compareFiles, type CompareOptions } from "./compare.ts";
import { madeUpResult } from "./fixture.ts";
import type { Measurement, Result } from "./result.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "bench-compare-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** Of the made-up result and the same after `change`. */
function changed(change: (result: Result) => void, options?: CompareOptions) {
  const after = madeUpResult();
  change(after);
  return compare(baselineOf(madeUpResult()), baselineOf(after), options);
}

function find(result: Result, name: string): Measurement {
  const found = result.measurements.find((measurement) => measurement.name === name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
}

function scale(result: Result, name: string, runtimes: readonly string[], factor: number): void {
  for (const runtime of runtimes) for (const round of find(result, name).samples[runtime]?.rounds ?? []) round.value *= factor;
}

const setVerdict = (result: Result, name: string, runtime: string, more: object): void => {
  const outcomes = result.probes.find((probe) => probe.name === name)?.outcomes;
  const outcome = outcomes?.[runtime];
  if (outcome === undefined) throw new Error(`no ${name} of ${runtime}`);
  Object.assign(outcome, more);
};

function write(name: string, content: unknown): string {
  const path = join(directory, name);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

describe("ratios", () => {
  it("finds nothing between a result and itself", () => {
    const same = changed(() => {});
    expect(same).toMatchObject({ regressions: [], improvements: [], vanished: [] });
    expect(same.ratios).toBeGreaterThan(100);
    expect(same.verdicts).toBeGreaterThan(80);
  });

  it("finds one runtime that has become slower", () => {
    const { regressions, improvements } = changed((result) => scale(result, "stat", ["tssandbox-sentry"], 3));
    expect(regressions).toEqual([{ what: "syscalls: stat", runtime: "tssandbox-sentry", change: expect.stringMatching(/^1\.\d+ -> 3\.\d+ x runc \(\+200 %\)$/) }]);
    expect(improvements).toEqual([]);
  });

  it("finds one that has become faster", () => {
    const { regressions, improvements } = changed((result) => scale(result, "stat", ["crun"], 1 / 3));
    expect(improvements).toMatchObject([{ what: "syscalls: stat", runtime: "crun" }]);
    expect(regressions).toEqual([]);
  });

  it("takes less work in the same time for slower", () => {
    const { regressions } = changed((result) => scale(result, "sequential read", ["bwrap"], 1 / 3));
    expect(regressions).toMatchObject([{ what: "files: sequential read", runtime: "bwrap" }]);
  });

  it("does not care for a machine that is ten times slower", () => {
    const { regressions, improvements } = changed((result) => {
      for (const { name, samples, unit } of result.measurements) scale(result, name, Object.keys(samples), unit.endsWith("/s") ? 0.1 : 10);
    });
    expect({ regressions, improvements }).toEqual({ regressions: [], improvements: [] });
  });

  it("compares with native where runc is absent on one side", () => {
    const { regressions, vanished } = changed((result) => {
      delete find(result, "stat").samples["runc"];
      scale(result, "stat", ["tssandbox-sentry"], 3);
    });
    expect(regressions).toMatchObject([{ runtime: "tssandbox-sentry", change: expect.stringContaining("x native") }]);
    expect(vanished).toEqual([{ what: "syscalls: stat", runtime: "runc", change: "not in B" }]);
  });

  it("says so where neither is in both", () => {
    const { vanished, regressions } = changed((result) => {
      for (const base of ["runc", "native"]) delete find(result, "stat").samples[base];
    });
    expect(regressions).toEqual([]);
    expect(vanished).toContainEqual({ what: "syscalls: stat", runtime: "crun", change: "neither runc nor native is in both" });
  });

  it("allows what the threshold allows", () => {
    const slower = [100, 200].map((threshold) => changed((result) => scale(result, "getppid", ["crun"], 2.5), { threshold }).regressions.length);
    expect(slower).toEqual([1, 0]);
  });

  it("takes rounds that overlap for noise", () => {
    const { regressions } = changed((result) => {
      // The median triples, but half of the rounds are as they were.
      for (const round of find(result, "stat").samples["crun"]?.rounds.slice(0, 3) ?? []) round.value *= 3;
    });
    expect(regressions).toEqual([]);
  });

  it("takes what fails now for a regression, and what is not there for vanished", () => {
    const { regressions, vanished } = changed((result) => {
      find(result, "stat").samples["crun"] = { rounds: [], failures: [{ round: 0, why: "timed out after 60 s" }] };
      delete find(result, "getppid").samples["crun"];
    });
    expect(regressions).toEqual([{ what: "syscalls: stat", runtime: "crun", change: "fails now: timed out after 60 s" }]);
    expect(vanished).toEqual([{ what: "syscalls: getppid", runtime: "crun", change: "not in B" }]);
  });

  it("tells why a runtime vanished", () => {
    const { vanished, regressions } = changed((result) => {
      for (const { samples } of result.measurements) delete samples["crun"];
      for (const { outcomes } of result.probes) delete outcomes["crun"];
      Object.assign(result.runtimes.find(({ name }) => name === "crun") ?? {}, { leftOut: "not on PATH" });
    });
    expect(regressions).toEqual([]);
    expect(vanished.length).toBeGreaterThan(30);
    expect(new Set(vanished.map(({ runtime, change }) => `${runtime}: ${change}`))).toEqual(new Set(["crun: not on PATH"]));
  });
});

describe("probes", () => {
  it("finds a verdict that got worse", () => {
    const { regressions } = changed((result) => setVerdict(result, "io_uring", "tssandbox-sentry", { verdict: "reached", detail: "a ring" }));
    expect(regressions).toEqual([{ what: "escapes: io_uring", runtime: "tssandbox-sentry", change: "blocked -> reached: a ring" }]);
  });

  it("finds one that got better", () => {
    const { improvements } = changed((result) => setVerdict(result, "io_uring", "runc", { verdict: "blocked", detail: "seccomp" }));
    expect(improvements).toEqual([{ what: "escapes: io_uring", runtime: "runc", change: "reached -> blocked: seccomp" }]);
  });

  it("finds a surface that grew by one", () => {
    const { regressions } = changed((result) => setVerdict(result, "calls that answer", "runc", { value: 302 }));
    expect(regressions).toEqual([{ what: "surface: calls that answer", runtime: "runc", change: "301 -> 302" }]);
  });

  it("does not take what the runtime answers itself for the host's surface", () => {
    expect(changed((result) => setVerdict(result, "calls that answer", "runsc-systrap", { value: 290 })).regressions).toEqual([]);
  });

  it("does not take a neighbour's milliseconds for a surface", () => {
    expect(changed((result) => setVerdict(result, "fork bomb", "runc", { value: 90 })).regressions).toEqual([]);
  });

  it("takes what cannot be told any more for vanished", () => {
    const { vanished, regressions } = changed((result) => setVerdict(result, "bpf", "crun", { verdict: "unknown", detail: "no program" }));
    expect(regressions).toEqual([]);
    expect(vanished).toEqual([{ what: "escapes: bpf", runtime: "crun", change: "blocked -> unknown: no program" }]);
  });
});

describe("files", () => {
  it("has exit code 0 and says none", () => {
    const a = write("a.json", madeUpResult());
    const { code, text } = compareFiles(a, a);
    expect(code).toBe(0);
    expect(text).toContain("regressions: none");
    expect(text).toContain("An Example Processor");
  });

  it("has exit code 1 and names the regression", () => {
    const slower = madeUpResult();
    scale(slower, "stat", ["crun"], 4);
    const { code, text } = compareFiles(write("a.json", madeUpResult()), write("b.json", slower));
    expect(code).toBe(1);
    expect(text).toMatch(/regressions: 1\n {2}syscalls: stat {2}crun {2}1\.\d+ -> 4\.\d+ x runc/);
  });

  it("takes a baseline for A", () => {
    const slower = madeUpResult();
    scale(slower, "stat", ["crun"], 4);
    const baseline = write("baseline.json", baselineOf(madeUpResult()));
    expect(compareFiles(baseline, write("b.json", slower)).code).toBe(1);
    expect(compareFiles(baseline, write("c.json", madeUpResult())).code).toBe(0);
  });

  it.each([
    ["no file", () => join(directory, "none.json"), /none\.json: cannot be read: ENOENT/],
    ["no JSON", () => write("x.json", "{"), /x\.json: is not JSON/],
    ["another JSON", () => write("x.json", []), /x\.json: is no result of the bench/],
    ["a wrong field", () => write("x.json", { ...madeUpResult(), rounds: "five" }), /x\.json: is no result of the bench: rounds: .*number/],
    ["a wrong baseline", () => write("x.json", { ...baselineOf(madeUpResult()), probes: 1 }), /x\.json: is no result of the bench: probes/],
    ["nothing in common", () => write("x.json", { ...madeUpResult(), measurements: [], probes: [] }), /nothing|no measurement/],
  ])("refuses %s in a line for people", (_, path, message) => {
    expect(() => compareFiles(write("a.json", madeUpResult()), path())).toThrow(message);
  });

  it.each([-1, NaN])("refuses a threshold of %d", (threshold) => {
    const a = write("a.json", madeUpResult());
    expect(() => compareFiles(a, a, { threshold })).toThrow("threshold");
  });
});
