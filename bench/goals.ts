/** What is aimed at: the cost under one of our runtimes, as a multiple of what another has in the same run. */
import { ratiosTo, spreadOf } from "./ratios.ts";
import type { Result } from "./result.ts";

export interface Goal {
  readonly suite: string;
  readonly name: string;
  readonly runtime: string;
  readonly base: string;
  /** Of the median ratio. */
  readonly atMost: number;
}

const passes = (...names: readonly string[]): string[] => names.flatMap((name) => [`${name}, first`, `${name}, again`]);

const against = (runtime: string, base: string) => (suite: string, atMost: number, ...names: readonly string[]): Goal[] =>
  names.map((name) => ({ suite, name, runtime, base, atMost }));
const sentry = against("tssandbox-sentry", "runc");
const trapped = against("tssandbox-sentry", "runsc-systrap");
const strict = against("tssandbox-strict", "runsc-systrap");
const ptrace = against("tssandbox-ptrace", "runsc-ptrace");

export const GOALS: readonly Goal[] = [
  ...trapped("syscalls", 0.65, "calls: uname"),
  ...sentry("syscalls", 1.05, "calls: pipe write+read", "calls: mmap+munmap, anonymous", "calls: fork+exec", "calls: ping-pong, pipe", "root: mmap of a file+touch"),
  ...sentry("syscalls", 1.7, "root: stat", "root: open+close"),
  ...sentry("workloads", 1.15, ...passes("root: make -j2", "root: python3 x20", "root: node x5")),
  ...sentry("workloads", 1.15, "root: redis SET, pipeline 1", "root: redis SET, pipeline 16", "root: nginx, keep-alive", "root: nginx, a connection each"),
  ...sentry("workloads", 1.15, "root: fio randread 4k, cold", "root: fio randread 4k, cached", "root: fio randwrite 4k"),
  ...sentry("workloads", 1.3, ...passes("root: sqlite 20k inserts", "root: sqlite 5000 commits")),
  ...sentry("workloads", 1.35, ...passes("root: git")),
  ...sentry("workloads", 1.6, ...passes("root: tar c", "root: tar x")),
  ...trapped("workloads", 0.5, ...passes("volume: git", "volume: tar c", "volume: tar x")),
  ...strict("syscalls", 1.5, "root: pread 4k", "root: pwrite 4k"),
  ...strict("syscalls", 0.8, "root: open+close", "root: stat"),
  ...strict("syscalls", 1.2, "calls: pipe write+read"),
  ...strict("workloads", 0.6, ...passes("root: make -j2", "root: git")),
  // The one call of the suite that traps there.
  ...ptrace("syscalls", 0.6, "calls: uname"),
];

export interface Held extends Goal {
  /** The median of the rounds' ratios. */
  readonly ratio: number;
}

/** Those of which both runtimes have come to the end of a round, with what was found. */
export function heldGoals({ measurements }: Result, goals: readonly Goal[] = GOALS): Held[] {
  return goals.flatMap((goal) => {
    const measurement = measurements.find(({ suite, name }) => suite === goal.suite && name === goal.name);
    const ratio = measurement === undefined ? undefined : spreadOf(ratiosTo(goal.base, measurement, goal.runtime))?.median;
    return ratio === undefined ? [] : [{ ...goal, ratio }];
  });
}
