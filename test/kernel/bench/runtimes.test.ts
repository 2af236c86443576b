// A runtime that fails, hangs or is missing costs one row with the reason, never the run.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { afterAll, expect, test } from "vitest";
import { plainBundle, type BenchBundle } from "../../../bench/bundle.ts";
import { Collection } from "../../../bench/collection.ts";
import { ResultSchema } from "../../../bench/result.ts";
import { runRounds } from "../../../bench/rounds.ts";
import { knownRuntimes, tryRuntimes, type Commands } from "../../../bench/runtimes.ts";
import { guestTask } from "../../../bench/suite.ts";
import { removeWorkDirectory } from "../../../bench/work.ts";
import { ensurePackages } from "../../packages.ts";
import { projectRoot, removeWorkDir, workDir } from "../../support/paths.ts";
import { until } from "../../support/until.ts";

afterAll(() => {
  removeWorkDirectory();
  removeWorkDir();
});

const template = (name: string, ...command: string[]): Commands => ({ name, run: () => command });
const native = knownRuntimes((name) => name === "native");

/** It passes the trial, and then does something else. */
const later = (name: string, then: string): Commands => ({ name, run: ({ args }) => (args[1] === "hello" ? ["echo", "hello"] : ["sh", "-c", then]) });

test("at the trial: each has its reason, and the others run", async () => {
  const broken = [template("fails", "sh", "-c", "echo first; echo because >&2; exit 3"), template("hangs", "sleep", "1000"), template("missing", "/does/not/exist"), template("lies", "true")];
  const { runtimes, leftOut } = await tryRuntimes([...broken, ...native], { seconds: 5 });
  expect(runtimes.map(({ name }) => name)).toEqual(["native"]);
  expect(Object.fromEntries(leftOut.map(({ name, why }) => [name, why]))).toEqual({
    fails: "exit code 3: because",
    hangs: "timed out after 5 s",
    missing: "/does/not/exist: ENOENT",
    lies: expect.stringContaining("output was not to be seen"),
  });
});

test.each([["tssandbox-strict", "--policy", "strict"], ["tssandbox-ptrace", "--platform", "ptrace"]])("%s runs, by %s %s", async (name, flag, value) => {
  const { runtimes: [runtime], leftOut } = await tryRuntimes(knownRuntimes((known) => known === name), { seconds: 50 });
  expect(leftOut).toEqual([]);
  using bundle = plainBundle("true");
  const command = runtime?.command(bundle) ?? [];
  expect(command[command.indexOf(flag) + 1]).toBe(value);
});

test("later: values that were there count, the rest has the reason, and who hangs is not tried again", async () => {
  const line = String.raw`printf 'g\tfirst\tms\t1\n'`;
  const { runtimes } = await tryRuntimes([later("good", `${line}; printf 'g\tsecond\tms\t2\n'`), later("breaks", `${line}; echo oh >&2; exit 1`), later("hangs", "sleep 1000")]);
  expect(runtimes).toHaveLength(3);
  const collection = new Collection();
  using bundle: BenchBundle = plainBundle("true");
  await runRounds([guestTask("t", () => bundle, 3, { quick: true, cpu: undefined, note: () => undefined })], runtimes, collection, { suite: "s", count: 2, warmUp: false });
  const of = (name: string) => collection.measurements().find((measurement) => measurement.name === name)?.samples;
  expect(of("g: first")?.["breaks"]).toEqual({ rounds: [{ round: 0, value: 1 }, { round: 1, value: 1 }], failures: [] });
  expect(of("g: second")?.["good"]?.rounds).toHaveLength(2);
  expect(of("g: second")?.["breaks"]?.failures).toEqual([{ round: 0, why: "exit code 1: oh" }, { round: 1, why: "exit code 1: oh" }]);
  expect(of("g: second")?.["hangs"]?.failures.map(({ why }) => why)).toEqual(["timed out after 3 s", "not tried again: timed out after 3 s"]);
});

test("tssandbox bench: a runtimes file with broken ones, the files that it writes, and nothing left behind", async () => {
  await ensurePackages(["runc"]);
  mkdirSync(workDir, { recursive: true });
  const [file, output] = [join(workDir, "runtimes.json"), join(workDir, "out")];
  writeFileSync(file, JSON.stringify([{ name: "mine", command: ["runc", "run", "--bundle", "{bundle}", "{id}"], version: ["echo", "mine 1.0"], remove: ["runc", "delete", "--force", "{id}"] }, { name: "fails", command: ["false"] }, { name: "missing", command: ["no-such-program", "{bundle}"] }]));
  const args = ["bench", "--suite", "network,processes", "--tasks", "processes,nothing", "--rounds", "1", "--quick", "--runtimes", "native,mine,fails,missing,tssandbox-namespace", "--runtimes-file", file, "--output", output];
  const child = spawnSync(join(projectRoot, "bin/tssandbox"), args, { encoding: "utf8", timeout: 100_000 });
  expect(child.stderr).toContain("fails is left out: exit code 1");
  expect(child).toMatchObject({ status: 0, stdout: expect.stringMatching(/missing: no-such-program: ENOENT/) });
  const result = v.parse(ResultSchema, JSON.parse(readFileSync(join(output, "result.json"), "utf8")));
  expect([...new Set(result.measurements.map(({ suite }) => suite))]).toEqual(["processes"]);
  expect(result.notes).toContain("no suite of these has a task nothing");
  expect(result.runtimes).toEqual([
    { name: "native" },
    { name: "tssandbox-namespace", version: expect.stringContaining("tssandbox") },
    { name: "mine", version: "mine 1.0" },
    { name: "fails", leftOut: "exit code 1" },
    { name: "missing", leftOut: "no-such-program: ENOENT" },
  ]);
  const programs = result.measurements.find(({ name }) => name === "programs, one after another");
  expect(Object.keys(programs?.samples ?? {}).sort()).toEqual(["mine", "native", "tssandbox-namespace"]);
  expect(programs?.samples["tssandbox-namespace"]?.rounds.length).toBe(1);
  // Of that process.
  expect(readdirSync("/dev/shm").filter((name) => name.startsWith(`tssandbox-bench-${child.pid}-`))).toEqual([]);
  expect(execFileSync("cat", ["/proc/self/mounts"], { encoding: "utf8" })).not.toContain(`tssandbox-bench-${child.pid}-`);
});

test("tssandbox bench, interrupted, leaves neither containers nor files", async () => {
  const child = spawn(join(projectRoot, "bin/tssandbox"), ["bench", "--suite", "density", "--runtimes", "tssandbox-namespace", "--output", join(workDir, "none")], { stdio: "ignore" });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const left = (directory: string) => readdirSync(directory).filter((name) => new RegExp(`bench-${child.pid}-`).test(name));
  await until("containers", () => left("/run/tssandbox").length > 2, 30_000);
  child.kill("SIGINT");
  expect(await ended).toBe(130);
  expect([...left("/run/tssandbox"), ...left("/dev/shm")]).toEqual([]);
});
