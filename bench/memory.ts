/**
 * `npm run bench:memory`: what a sandbox's own processes hold while its guest sleeps, by themselves and as one of twenty, after some work. The
 * measure is PSS: a page that n processes share counts as 1/n of it for each. Source: proc_pid_smaps(5).
 *
 * "sentry" is what `run --detach` leaves; "sentry, one parent" has a parent that lives and shares its heap with all, as a shim's would.
 */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { readSandboxRecord } from "../runtime/sandbox/record.ts";
import { bundle as bundleProgram } from "../scripts/bundle.ts";
import { likeAnEngine, makeBundle, type BenchBundle } from "./bundle.ts";
import { fetchRunsc } from "./runsc.ts";
import { runscCommand } from "./runtimes-old.ts";

const root = join(import.meta.dirname, "..");
const tssandbox = join(root, "bin/tssandbox");
const node = join(root, "node_modules/node/bin/node");
const PARENT = join(root, ".cache/bench/memory-parent");
/** Small semi-spaces: what the parent's heap does not have, its children do not copy. */
const FLAGS = ["--single-threaded", "--v8-pool-size=0", "--min-semi-space-size=1", "--max-semi-space-size=1", "--no-flush-bytecode", "--no-maglev", "--expose-gc"];
const COUNTS = [1, 20];
/** Milliseconds for the last of the load to settle. */
const SETTLE = 2000;

/** Files of the image and of the volume, processes, trapped calls; then it sleeps, and shows so by its command line. */
const LOAD = `
for i in 0 1 2 3 4 5 6 7 8 9; do cat /data/* >/dev/null; done
d=$(mktemp -d /volume/XXXXXX)
i=0; while [ $i -lt 300 ]; do uname -a >/dev/null; echo x >$d/f$i; ls -l $d >/dev/null; mv $d/f$i $d/g; i=$((i+1)); done
rm -r $d
exec sleep 100000`;

interface Subject {
  readonly name: string;
  /** Starts so many, in the background. */
  start(bundle: BenchBundle, count: number): Promise<void> | void;
  /** The runtime's processes. */
  processes(bundle: BenchBundle, count: number): number[];
  stop(bundle: BenchBundle, count: number): Promise<void> | void;
}

const idOf = (i: number): string => `memory-${i}`;
const stateOf = (bundle: BenchBundle): string => join(bundle.path, "state");
const times = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

const ours = {
  processes: (bundle: BenchBundle, count: number) =>
    times(count).flatMap((i) => {
      const record = readSandboxRecord(join(stateOf(bundle), idOf(i)));
      if (record === undefined) throw new Error(`${idOf(i)} has no sandbox`);
      return [record.sentry, ...record.gofers].map(({ pid }) => pid);
    }),
  stop(bundle: BenchBundle, count: number) {
    for (const i of times(count)) execFileSync(tssandbox, ["--root", stateOf(bundle), "delete", "--force", idOf(i)]);
  },
};

const detached: Subject = {
  ...ours,
  name: "sentry",
  start(bundle, count) {
    for (const i of times(count)) execFileSync(tssandbox, ["--root", stateOf(bundle), "--mode", "sentry", "run", "--detach", "--bundle", bundle.path, idOf(i)], { stdio: "ignore" });
  },
};

class OneParent implements Subject {
  readonly name = "sentry, one parent";
  readonly processes = ours.processes;
  #parent: ChildProcess | undefined;

  async start(bundle: BenchBundle, count: number): Promise<void> {
    const parent = spawn(node, [...FLAGS, join(PARENT, "tssandbox.cjs"), bundle.path, String(count)], { stdio: ["pipe", "pipe", "inherit"] });
    this.#parent = parent;
    await new Promise<void>((resolve, reject) => {
      parent.stdout.once("data", () => resolve());
      parent.once("exit", () => reject(new Error("the parent ended")));
    });
  }

  async stop(): Promise<void> {
    const parent = this.#parent;
    if (parent === undefined || parent.exitCode !== null) return;
    const ended = new Promise((resolve) => parent.once("exit", resolve));
    parent.stdin?.end();
    await ended;
  }
}

function runscSubject(runsc: string): Subject {
  const command = (bundle: BenchBundle, ...args: string[]) => {
    const [program = "", ...rest] = runscCommand(runsc, bundle.path);
    execFileSync(program, [...rest, ...args], { stdio: "ignore" });
  };
  return {
    name: "runsc",
    start: (bundle, count) => times(count).forEach((i) => command(bundle, "run", "-detach", "-bundle", bundle.path, idOf(i))),
    processes: runscProcesses,
    // Its own delete fails now and then on a busy machine.
    stop: (bundle) => runscProcesses(bundle).forEach((pid) => process.kill(pid, "SIGKILL")),
  };
}

/** Its state's directory is in the command line of each; those that run the guest's code are children of the sandbox's. */
const runscProcesses = (bundle: BenchBundle): number[] => withDescendants(pids().filter((pid) => commandLine(pid).includes(join(bundle.path, "runsc"))));

const pids = (): number[] => readdirSync("/proc").map(Number).filter((pid) => pid > 0);

/** Of a process that may be gone. */
function readProc(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "latin1");
  } catch {
    return "";
  }
}

const commandLine = (pid: number): string => readProc(pid, "cmdline");

function withDescendants(roots: readonly number[]): number[] {
  const found = new Set(roots);
  const all = pids().map((pid) => ({ pid, parent: Number(/^PPid:\t(\d+)$/m.exec(readProc(pid, "status"))?.[1]) }));
  for (let before = 0; before !== found.size; ) {
    before = found.size;
    for (const { pid, parent } of all) if (found.has(parent)) found.add(pid);
  }
  return [...found];
}

const pssMiB = (pid: number): number => Number(/^Pss:\s+(\d+) kB$/m.exec(readProc(pid, "smaps_rollup"))?.[1] ?? 0) / 1024;
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** @returns MiB for each of `count`. */
async function measure(subject: Subject, count: number): Promise<number> {
  using bundle = memoryBundle();
  try {
    await subject.start(bundle, count);
    await idle(bundle);
    return subject.processes(bundle, count).reduce((sum, pid) => sum + pssMiB(pid), 0) / count;
  } finally {
    await subject.stop(bundle, count);
  }
}

/** The load's directories come and go in the volume. */
async function idle({ volume = "" }: BenchBundle): Promise<void> {
  await pause(SETTLE);
  while (readdirSync(volume).length > 0) await pause(200);
  await pause(SETTLE);
}

function memoryBundle(): BenchBundle {
  return makeBundle({
    args: ["/bin/sh", "-c", LOAD],
    fill(rootfs) {
      for (const directory of ["bin", "data"]) mkdirSync(join(rootfs, directory));
      copyFileSync("/bin/busybox", join(rootfs, "bin/busybox"));
      for (const applet of ["sh", "cat", "uname", "ls", "mv", "rm", "mktemp", "sleep"]) symlinkSync("busybox", join(rootfs, "bin", applet));
      for (const i of times(500)) writeFileSync(join(rootfs, "data", String(i)), Buffer.alloc(4096));
    },
    fillVolume: () => undefined,
    edit: likeAnEngine,
  });
}

await bundleProgram(join(root, "bench/memory-parent.ts"), PARENT, FLAGS);
const runsc = fetchRunsc();
const subjects: Subject[] = [detached, new OneParent(), ...(runsc === undefined ? [] : [runscSubject(runsc)])];
console.log("PSS in MiB of the runtime's processes of each sandbox, after load\n");
const rows = [];
for (const count of COUNTS) {
  for (const subject of subjects) {
    const each = await measure(subject, count);
    rows.push({ name: subject.name, count, each });
    console.log(`| ${subject.name.padEnd(18)} | of ${String(count).padStart(2)} | ${each.toFixed(1).padStart(6)} |`);
  }
}
mkdirSync(join(root, ".cache/bench"), { recursive: true });
writeFileSync(join(root, ".cache/bench/memory.json"), JSON.stringify(rows, null, 2));
