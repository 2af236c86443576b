/**
 * What idle containers hold, and how many can be started in a second. The measure of memory is PSS, of all processes that belong to a container, those
 * of the runtime and the guest's own, which is next to nothing: a page that n processes share counts as 1/n of it for each. Source: proc_pid_smaps(5).
 */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { plainBundle, type BenchBundle } from "../bundle.ts";
import type { Running } from "../hold.ts";
import type { Found, Task } from "../rounds.ts";
import type { Runtime } from "../runtimes.ts";
import type { Suite, SuiteOptions } from "../suite.ts";

const SECONDS = 60;
/** Milliseconds for what a start leaves to do. */
const SETTLE = 1000;

export const density: Suite = {
  name: "density",
  about: "memory of 1, 10, 50 idle containers, starts per second under load",
  // What a first container leaves in caches, the trial has left.
  warmUp: false,
  quickRounds: 1,
  prepare(options) {
    const bundle = plainBundle("idle");
    const counts = options.quick ? [1, 10] : [1, 10, 50];
    return { tasks: [...counts.map((count) => memory(bundle, count, options)), startRate(bundle, options)], [Symbol.dispose]: () => bundle[Symbol.dispose]() };
  },
};

const memory = (bundle: BenchBundle, count: number, options: SuiteOptions): Task<Runtime> => {
  const name = `PSS of each of ${count} idle`;
  return {
    name,
    measure: (runtime) =>
      withContainers(runtime, bundle, count, options, async (containers) => {
        await pause(SETTLE);
        const sum = containers.flatMap((container) => container.pids()).reduce((total, pid) => total + pssOf(pid), 0);
        return { readings: [{ name, unit: "MiB", value: sum / 1024 / count }] };
      }),
  };
};

/** Each processor starts containers without a pause, beside those that are there already. */
const startRate = (bundle: BenchBundle, options: SuiteOptions): Task<Runtime> => {
  const [idle, more] = options.quick ? [5, 10] : [10, 40];
  const name = `starts, ${idle} running, ${availableParallelism()} at a time`;
  return {
    name,
    measure: (runtime) =>
      withContainers(runtime, bundle, idle, options, async () => {
        const start = performance.now();
        return await withContainers(runtime, bundle, more, options, async () => ({ readings: [{ name, unit: "starts/s", value: (more * 1000) / (performance.now() - start) }] }));
      }),
  };
};

/** Starts so many, as many at a time as there are processors, and ends them all. */
async function withContainers(runtime: Runtime, bundle: BenchBundle, count: number, { cpu }: SuiteOptions, use: (containers: readonly Running[]) => Promise<Found>): Promise<Found> {
  const containers: Running[] = [];
  const failures: string[] = [];
  let left = count;
  const starter = async () => {
    while (left-- > 0 && failures.length === 0) {
      const start = await runtime.start(bundle, "hello\n", { seconds: SECONDS, cpu });
      if (start.kind === "running") containers.push(start.running);
      else failures.push(start.why);
    }
  };
  try {
    await Promise.all(Array.from({ length: availableParallelism() }, starter));
    if (failures[0] !== undefined) return { readings: [], failure: `${containers.length} of ${count} came up: ${failures[0]}`, hopeless: true };
    return await use(containers);
  } finally {
    await Promise.all(containers.map((container) => container.stop()));
  }
}

/** KiB; nothing of a process that has ended. */
export function pssOf(pid: number): number {
  try {
    return Number(/^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "latin1"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
