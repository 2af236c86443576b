/**
 * `npm run bench:syscalls`: what single calls cost (bench/guest/calls.c), on the root file system and on a shared volume, beside other
 * runtimes. Rounds are interleaved; the ratios are what counts.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { likeAnEngine, makeBundle } from "./bundle.ts";
import { parseOptions } from "./options.ts";
import { runBundle } from "./runtimes-old.ts";
import { Samples, type Goal } from "./samples.ts";

const ROUNDS = 7;
/** Of each of the five tries of each measurement. */
const MILLISECONDS = 5;

const toRunc = (atMost: number): Goal => ({ than: "runc", atMost });
const GOALS: Readonly<Record<string, Goal>> = {
  "calls: uname": { than: "runsc", atMost: 0.65 },
  "calls: fork+exec": toRunc(1.05),
  "calls: mmap+munmap, anonymous": toRunc(1.05),
  "root: mmap of a file+touch": toRunc(1.05),
  "calls: pipe write+read": toRunc(1.05),
  "calls: ping-pong, pipe": toRunc(1.05),
  "root: stat": toRunc(1.7),
  "root: open+close": toRunc(1.7),
};

/** As calls.c expects them. */
function fillDirectory(directory: string): void {
  for (const [name, count] of [["many", 200], ["fresh", 2000]] as const) {
    mkdirSync(join(directory, name), { recursive: true });
    for (let i = 0; i < count; i++) writeFileSync(join(directory, name, String(i)), "");
  }
  writeFileSync(join(directory, "file"), Buffer.alloc(1 << 20));
}

function compile(rootfs: string): void {
  execFileSync("gcc", ["-O2", "-static", "-pthread", "-Wall", "-Wextra", "-Werror", "-o", join(rootfs, "calls"), join(import.meta.dirname, "guest/calls.c")], { stdio: "inherit" });
}

const { rounds, cpu, runtimes } = parseOptions(ROUNDS);
using bundle = makeBundle({
  args: ["/calls", String(MILLISECONDS), "/root", "/volume"],
  fill(rootfs) {
    compile(rootfs);
    fillDirectory(join(rootfs, "root"));
  },
  fillVolume: fillDirectory,
  edit: likeAnEngine,
});
const samples = new Samples();
for (let round = 0; round < rounds; round++) for (const runtime of runtimes) samples.take(runtime.name, runBundle(runtime, bundle, cpu));
samples.publish("syscalls", runtimes.map(({ name }) => name), { rounds, cpu, goalOf: (name) => GOALS[name] });
