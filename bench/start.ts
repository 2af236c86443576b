/**
 * `npm run bench:start`: how long `run` of /bin/true takes, from start to exit, beside other runtimes on the same bundle. Rounds are
 * interleaved, so that a machine whose speed drifts drifts for all; quote the medians' ratios, not the times.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { release } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { bundle } from "../scripts/bundle.ts";
import { PARTS } from "../scripts/parts.ts";
import { plainBundle, type BenchBundle } from "./bundle.ts";
import { fetchRunsc } from "./runsc.ts";
import { installed, runscCommand } from "./runtimes-old.ts";

const root = join(import.meta.dirname, "..");
const node = join(root, "node_modules/node/bin/node");
/**
 * A small heap, since each fork copies its page tables and each exec takes them down. Bytecode that only children use is kept, although the
 * parent never runs it; and what the parent has not optimised, no child optimises for its short life.
 */
const RESIDENT_FLAGS = ["--single-threaded", "--v8-pool-size=0", "--min-semi-space-size=1", "--max-semi-space-size=1", "--no-flush-bytecode", "--no-maglev", "--expose-gc"];
const residentBundle = join(root, ".cache/bench/resident");

/** One thing that is timed. @returns milliseconds. */
interface Subject {
  readonly name: string;
  time(round: number): Promise<number>;
}

function command(name: string, argv: (id: string) => readonly string[]): Subject {
  return {
    name,
    async time(round) {
      const [program = "", ...args] = argv(`bench-${process.pid}-${round}`);
      const start = performance.now();
      const result = spawnSync(program, args, { stdio: "ignore" });
      const elapsed = performance.now() - start;
      if (result.status !== 0) throw new Error(`${name}: exit status ${result.status} (${[program, ...args].join(" ")})`);
      return elapsed;
    },
  };
}

/** A parent that lives, as a shim does: it makes each container in its own process, by fork. */
class Resident implements Subject {
  readonly name = "tssandbox, resident parent";
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(bundlePath: string) {
    this.#child = spawn(node, [...RESIDENT_FLAGS, join(residentBundle, "tssandbox.cjs"), bundlePath], { stdio: ["pipe", "pipe", "inherit"] });
    if (this.#child.stdout === null) throw new Error("no pipe to the resident parent");
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async time(round: number): Promise<number> {
    this.#child.stdin?.write(`bench-resident-${process.pid}-${round}\n`);
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error("the resident parent ended");
    return Number(value);
  }

  [Symbol.dispose](): void {
    this.#child.stdin?.end();
  }
}

function subjects(target: BenchBundle, resident: Resident): { measured: Subject[]; missing: string[] } {
  const missing: string[] = [];
  const peer = (name: string, path: string | undefined, argv: (path: string, id: string) => readonly string[]) => {
    if (path !== undefined) return [command(name, (id) => argv(path, id))];
    missing.push(name);
    return [];
  };
  const measured = [
    command("native", () => [join(target.rootfs, "plain")]),
    command("node, nothing else", () => [node, "-e", "0"]),
    command("tssandbox, its --version", () => [join(root, "bin/tssandbox"), "--version"]),
    command("tssandbox run, cold", (id) => [join(root, "bin/tssandbox"), "--mode", "namespace", "run", "--bundle", target.path, id]),
    command("the same, --mode sentry", (id) => [join(root, "bin/tssandbox"), "--mode", "sentry", "run", "--bundle", target.path, id]),
    resident,
    ...peer("runc run", installed("runc"), (runc, id) => [runc, "run", "--bundle", target.path, id]),
    ...peer("bwrap", installed("bwrap"), (bwrap) => [bwrap, "--unshare-all", "--bind", target.rootfs, "/", "--proc", "/proc", "--dev", "/dev", "/plain"]),
    ...peer("runsc run (systrap)", fetchRunsc(), (runsc, id) => [...runscCommand(runsc, target.path), "run", "--bundle", target.path, id]),
  ];
  return { measured, missing };
}

interface Row {
  readonly name: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

function summarise(name: string, times: readonly number[]): Row {
  const sorted = times.toSorted((a, b) => a - b);
  return { name, median: sorted[Math.floor(sorted.length / 2)] ?? NaN, min: sorted[0] ?? NaN, max: sorted.at(-1) ?? NaN };
}

await bundle(join(root, "bench/resident.ts"), residentBundle, RESIDENT_FLAGS, PARTS);
const rounds = Number(process.argv[2] ?? 20);
using target = plainBundle("true");
using resident = new Resident(target.path);
const { measured, missing } = subjects(target, resident);
const times = new Map<Subject, number[]>(measured.map((subject) => [subject, []]));
const WARM_UP = 5;
for (let round = -WARM_UP; round < rounds; round++) {
  for (const [subject, list] of times) {
    const elapsed = await subject.time(round + WARM_UP);
    if (round >= 0) list.push(elapsed);
  }
}

const rows = [...times].map(([{ name }, list]) => summarise(name, list));
const runc = rows.find(({ name }) => name === "runc run")?.median;
console.log(`start to exit of /bin/true, ${rounds} interleaved rounds, milliseconds (Linux ${release()})\n`);
console.log(`${"".padEnd(28)} ${"median".padStart(8)} ${"min".padStart(8)} ${"max".padStart(8)} ${"/ runc".padStart(8)}`);
for (const { name, median, min, max } of rows) {
  const ratio = runc === undefined ? "" : (median / runc).toFixed(2);
  console.log(`${name.padEnd(28)} ${median.toFixed(1).padStart(8)} ${min.toFixed(1).padStart(8)} ${max.toFixed(1).padStart(8)} ${ratio.padStart(8)}`);
}
if (missing.length > 0) console.log(`\nnot on this machine, left out: ${missing.join(", ")}`);
if (process.argv[3] !== undefined) (await import("node:fs")).writeFileSync(process.argv[3], JSON.stringify(rows, null, 2));
