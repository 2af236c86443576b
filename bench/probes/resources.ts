/** Attacks on resources: does a neighbour, a second container of the same runtime, still get its work done? */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { LinuxResources } from "../../runtime/spec/config.ts";
import type { Outcome, Probe } from "../result.ts";
import type { Runtime } from "../runtimes.ts";
import { probeBundle } from "./container.ts";

export interface Attack extends Pick<Probe, "name" | "about"> {
  /** In guest/attack.c. */
  readonly attack: string;
  readonly unit: string;
  /** What config.json allows, in `unit`; undefined where it has no way to say it. */
  readonly limit?: number;
  readonly resources?: LinuxResources;
  /** Made in quick mode too. */
  readonly quick: boolean;
}

const PIDS = 64;
const MEMORY_MIB = 96;
/** The template's RLIMIT_NOFILE, in each of 8 processes. */
const DESCRIPTORS = 8 * 1024;
const MIB = 2 ** 20;

export const ATTACKS: readonly Attack[] = [
  { attack: "processes", name: "fork bomb", about: `Processes that make more processes, in a container that may have ${PIDS}; 300 at most.`, unit: "processes", limit: PIDS, resources: { pids: { limit: PIDS } }, quick: true },
  {
    attack: "memory",
    name: "memory bomb",
    about: `A process that fills memory, in a container that may have ${MEMORY_MIB} MiB; 192 MiB at most.`,
    unit: "MiB",
    limit: MEMORY_MIB,
    resources: { memory: { limit: MEMORY_MIB * MIB, swap: MEMORY_MIB * MIB } },
    quick: false,
  },
  { attack: "descriptors", name: "descriptor exhaustion", about: "Eight processes that open all the descriptors they get, each of which may have 1024.", unit: "descriptors", limit: DESCRIPTORS, quick: false },
  { attack: "disk", name: "filling the root file system", about: "A process that writes files in its root file system, for which config.json has no limit; 64 MiB at most, removed afterwards.", unit: "MiB", quick: false },
  { attack: "log", name: "log flooding", about: "A process that writes to its standard output as fast as it is read; 8 MiB at most.", unit: "MiB", quick: true },
];

/** ms: the neighbour alone, and the attack. */
const TIMES = { quick: { before: 500, attack: 800 }, full: { before: 1000, attack: 2000 } };
/** Longer than any attack takes to start and end. */
const LONGEST_JOB_MS = 120_000;

interface Job {
  /** ms of the wall clock. */
  readonly at: number;
  /** ns. */
  readonly took: number;
  readonly failed: boolean;
}

export function parseJobs(stdout: string): Job[] {
  // The last may not be whole.
  const lines = stdout.split("\n").slice(0, -1).map((line) => line.split("\t")).filter((fields) => fields.length === 3);
  return lines.map(([at, took, how]) => ({ at: Number(at), took: Number(took), failed: how !== "done" }));
}

export interface Course {
  /** ms of the wall clock: the attacker's process was started, took up its work, and was over. */
  readonly started: number;
  readonly began: number | undefined;
  readonly ended: number;
  /** What it got, in the attack's unit; undefined where it ended before it could say. */
  readonly had: number | undefined;
  /** Files that it wrote were seen in the bundle's directory on the host. */
  readonly onHost: boolean;
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

/** A neighbour that is slower by more, or waits longer, is not served. Half of two processors busy is a ratio of 2 or 3. */
const SLOWEST_RATIO = 20;
const LONGEST_NS = 2e9;
const FEWEST_JOBS = 5;

export function judgeNeighbour(jobs: readonly Job[], course: Course, attack: Attack): Outcome {
  const before = jobs.filter(({ at }) => at < course.started);
  const during = jobs.filter(({ at, took }) => course.began !== undefined && at + took / 1e6 > course.began && at < course.ended);
  if (course.began === undefined) return { verdict: "unknown", detail: "the attack was not made" };
  if (before.length < FEWEST_JOBS) return { verdict: "unknown", detail: `the neighbour did ${before.length} jobs before the attack` };
  const usual = median(before.map(({ took }) => took));
  const value = Math.round((median(during.map(({ took }) => took)) / usual) * 100) / 100;
  const longest = Math.max(0, ...during.map(({ took }) => took));
  const failed = during.filter((job) => job.failed).length;
  const detail = `${taken(course, attack)}; a job took ${(usual / 1e6).toFixed(2)} ms before, ${(longest / 1e6).toFixed(1)} ms at most meanwhile`;
  if (during.length === 0) return { verdict: "reached", detail: `${taken(course, attack)}; the neighbour did nothing meanwhile` };
  if (failed > 0) return { verdict: "reached", value, detail: `${failed} of ${during.length} jobs failed; ${detail}` };
  const contained = attack.limit === undefined || course.had === undefined || course.had <= attack.limit;
  const served = value <= SLOWEST_RATIO && longest <= LONGEST_NS;
  return { verdict: contained && served ? "allowed" : "reached", value, detail: contained ? detail : `the limit of ${attack.limit} was not enforced: ${detail}` };
}

function taken({ had, onHost }: Course, { unit }: Attack): string {
  return `${had === undefined ? "ended by its limit" : `took ${had} ${unit}`}${onHost ? " of the host's file system" : ""}`;
}

const timeOf = (stdout: string, what: string) => {
  const value = new RegExp(`^${what}\\t(\\d+)`, "m").exec(stdout)?.[1];
  return value === undefined ? undefined : Number(value);
};

async function attackWith(runtime: Runtime, attack: Attack, milliseconds: number): Promise<Course> {
  using bundle = probeBundle({ args: ["attack", attack.attack, String(milliseconds)], profile: true, ...(attack.resources !== undefined && { resources: attack.resources }) });
  let onHost = false;
  const look = setInterval(() => (onHost ||= existsSync(join(bundle.rootfs, "tmp/filled"))), 50);
  const started = Date.now();
  const { stdout } = await runtime.run(bundle, { seconds: milliseconds / 1000 + 20 });
  clearInterval(look);
  return { started, began: timeOf(stdout, "began"), ended: timeOf(stdout, "ended") ?? Date.now(), had: timeOf(stdout, "had"), onHost };
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export async function attackNeighbour(runtime: Runtime, attack: Attack, quick: boolean): Promise<Outcome> {
  const times = quick ? TIMES.quick : TIMES.full;
  using bundle = probeBundle({ args: ["job", String(LONGEST_JOB_MS)], profile: true });
  const start = await runtime.start(bundle, "done", { seconds: 20 });
  if (start.kind === "failed") return { verdict: "unknown", detail: `the neighbour: ${start.why}` };
  await using neighbour = start.running;
  await pause(times.before);
  const course = await attackWith(runtime, attack, times.attack);
  await pause(100);
  return judgeNeighbour(parseJobs(neighbour.stdout), course, attack);
}
