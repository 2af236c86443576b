// The numbers of the bench against what others find, within limits that a busy machine keeps too.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { plainBundle } from "../../../bench/bundle.ts";
import { Collection } from "../../../bench/collection.ts";
import { spreadFor } from "../../../bench/ratios.ts";
import { runRounds } from "../../../bench/rounds.ts";
import { knownRuntimes, tryRuntimes, type Runtime } from "../../../bench/runtimes.ts";
import { pssOf } from "../../../bench/suites/density.ts";
import { start } from "../../../bench/suites/start.ts";
import { compile, removeWorkDirectory } from "../../../bench/work.ts";
import { ensurePackages } from "../../packages.ts";
import { removeWorkDir, workDir } from "../../support/paths.ts";

const options = { quick: true, cpu: undefined, note: () => undefined };

beforeAll(async () => {
  await ensurePackages(["strace", "hyperfine", "procps", "runc"]);
  mkdirSync(workDir, { recursive: true });
}, 300_000);

afterAll(() => {
  removeWorkDirectory();
  removeWorkDir();
});

async function runtimeOf(name: string): Promise<Runtime> {
  const { runtimes: [runtime], leftOut } = await tryRuntimes(knownRuntimes((known) => known === name));
  if (runtime === undefined) throw new Error(`${name}: ${leftOut[0]?.why}`);
  return runtime;
}

/** How often a program and its children make each call, as strace(1) counts. */
function countedCalls(program: string, args: readonly string[], cwd: string): Map<string, number> {
  const file = join(workDir, "strace");
  execFileSync("strace", ["-f", "-c", "-U", "name,calls", "-o", file, program, ...args], { cwd, stdio: "ignore" });
  return new Map([...readFileSync(file, "utf8").matchAll(/^\s*(\w+)\s+(\d+)\s*$/gm)].map(([, name = "", calls]) => [name, Number(calls)]));
}

test("calls: as many are made as values are made of", () => {
  const directory = join(workDir, "files");
  mkdirSync(directory);
  const calls = countedCalls(compile("bench/guest/files.c"), ["200", "8", directory], directory);
  // 200 written and read; the large one; two walks of the tree's five directories.
  expect(calls.get("openat") ?? calls.get("open")).toBeGreaterThanOrEqual(401);
  expect(calls.get("openat") ?? calls.get("open")).toBeLessThanOrEqual(420);
  expect(calls.get("fsync")).toBe(200);
  // 20,000 at random places, and 8 MiB in pieces of 128 KiB.
  expect(calls.get("pread64")).toBe(20_000 + 64);
  expect(calls.get("pwrite64")).toBe(20_000 + 64 + 200);
});

test("processes: as many programs are executed as values are made of", () => {
  // 20 one after another, 20 at a time, and itself.
  expect(countedCalls(compile("bench/guest/processes.c"), ["20"], workDir).get("execve")).toBe(41);
});

test("start: the bench's clock and hyperfine's agree", async () => {
  const runtimes = [await runtimeOf("native"), await runtimeOf("runc")];
  const collection = new Collection();
  using prepared = await start.prepare({ ...options });
  const tasks = prepared.tasks.filter(({ name }) => ["start to exit", "start to exit, by hyperfine"].includes(name));
  expect(tasks).toHaveLength(2);
  await runRounds(tasks, runtimes, collection, { suite: "start", count: 7, warmUp: true });
  const [own, theirs] = collection.measurements();
  for (const { name } of runtimes) {
    const [mine, other] = [own, theirs].map((measurement) => measurement && spreadFor(measurement, name)?.median);
    expect((mine ?? NaN) / (other ?? NaN), `${name}: ${mine} ms, hyperfine ${other} ms`).toBeGreaterThan(0.4);
    expect((mine ?? NaN) / (other ?? NaN), `${name}: ${mine} ms, hyperfine ${other} ms`).toBeLessThan(2.5);
  }
});

test.each(["runc", "tssandbox-sentry"])("memory of %s: of the processes that ps finds, the sum of all mappings", async (name) => {
  const runtime = await runtimeOf(name);
  using bundle = plainBundle("idle");
  const started = await runtime.start(bundle, "hello\n", { seconds: 50 });
  if (started.kind === "failed") throw new Error(started.why);
  await using running = started.running;
  const pids = running.pids();
  const guest = Number(execFileSync("ps", ["-e", "-o", "pid=,args="], { encoding: "utf8" }).split("\n").find((line) => /\d+ \/plain idle$/.test(line) && pids.includes(Number.parseInt(line, 10)))?.trim().split(" ")[0]);
  expect(pids).toContain(guest);
  const family = psFamily(guest);
  expect([...pids].sort((a, b) => a - b)).toEqual(family);
  const summed = Number(execFileSync("sh", ["-c", `cat ${family.map((pid) => `/proc/${pid}/smaps`).join(" ")} | awk '$1 == "Pss:" { sum += $2 } END { print sum }'`], { encoding: "utf8" }));
  const own = pids.reduce((sum, pid) => sum + pssOf(pid), 0);
  expect(own).toBeGreaterThan(0);
  expect(Math.abs(own - summed) / summed, `${own} KiB, by mappings ${summed} KiB`).toBeLessThan(0.15);
});

/** All below the holder, whom one of the guest's ancestors has for its parent. */
function psFamily(guest: number): number[] {
  const parents = new Map(execFileSync("ps", ["-e", "-o", "pid=,ppid=,comm="], { encoding: "utf8" }).trim().split("\n").map((line) => line.trim().split(/\s+/)).map(([pid, parent, name]) => [Number(pid), { parent: Number(parent), name }]));
  const holderOf = (pid: number): number | undefined => {
    const one = parents.get(pid);
    if (one === undefined) return undefined;
    return parents.get(one.parent)?.name === "hold" ? one.parent : holderOf(one.parent);
  };
  const holder = holderOf(guest);
  return [...parents.keys()].filter((pid) => holderOf(pid) === holder && holder !== undefined).sort((a, b) => a - b);
}
