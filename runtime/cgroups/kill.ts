import { dirname } from "node:path";
import { EBUSY, ENODEV, ENOENT, EOPNOTSUPP, ESRCH } from "../../linux/abi/errno.ts";
import { SIGNALS } from "../../linux/abi/signal.ts";
import { isErrno } from "../../linux/errors.ts";
import { waitUntil } from "../../linux/sleep.ts";
import { CgroupError, cgroupDir } from "./files.ts";
import type { Freezer } from "./freezer.ts";


export interface KillTarget {
  pids(): number[];
  readonly freezer: Freezer | undefined;
  /** The v2 cgroup's cgroup.kill (since 5.14), where there is one. */
  readonly killFile: string | undefined;
}

/**
 * Sends `signal` to every process once. Frozen meanwhile, so that none forks away from it and no pid is used again
 * before its signal arrives.
 * @throws CgroupError for a process that this pid namespace cannot name.
 */
export function signalTree({ pids, freezer }: KillTarget, signal: number): void {
  // Freezing ourselves would be for good.
  const mayFreeze = freezer !== undefined && !freezer.isFrozen() && !pids().includes(process.pid);
  if (mayFreeze) freezer.freeze();
  try {
    for (const pid of pids()) signalOne(pid, signal);
  } finally {
    if (mayFreeze) unlessGone(() => freezer.thaw());
  }
}

function signalOne(pid: number, signal: number): void {
  // kill(0) would be our own process group.
  if (pid === 0) throw new CgroupError("kill", "a process of the cgroup lives outside of this pid namespace");
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!isErrno(error, ESRCH)) throw error;
  }
}

/** The last process may die, and a manager remove the cgroup, at any moment. */
function unlessGone(action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!isErrno(error, ENOENT, ENODEV)) throw error;
  }
}

/** How long processes may take to end after cgroup.kill before they are signalled one by one as well. */
const killFileMs = 200;

/** One pass of SIGKILL, to be repeated until none is left. */
export function killTree(target: KillTarget): void {
  const { pids, freezer, killFile } = target;
  // A v1-frozen process dies only once it is thawed. Source: freezer-subsystem.rst.
  const thaw = (): void => unlessGone(() => (freezer?.isFrozen() === true ? freezer.thaw() : undefined));
  if (killFile !== undefined && writeKillFile(killFile)) {
    thaw();
    if (waitUntil(killFileMs, () => pids().length === 0)) return;
  }
  unlessGone(() => killFrozen(target));
  thaw();
}

/** A tree that forks faster than it can be frozen is killed as it is; the caller comes back until it is empty. */
function killFrozen(target: KillTarget): void {
  if (target.pids().length === 0) return;
  try {
    signalTree(target, SIGNALS.SIGKILL);
  } catch (error) {
    if (!isErrno(error, EBUSY)) throw error;
    for (const pid of target.pids()) signalOne(pid, SIGNALS.SIGKILL);
  }
}

/**
 * The file's mode is 0200: its owner, a user to whom the cgroup is delegated, may only write it.
 * @returns false for a threaded cgroup, which cannot be killed as a whole. Source: cgroup-v2.rst, cgroup.kill.
 */
function writeKillFile(path: string): boolean {
  try {
    unlessGone(() => cgroupDir("v2", dirname(path)).write("cgroup.kill", "1"));
    return true;
  } catch (error) {
    if (isErrno(error, EOPNOTSUPP)) return false;
    throw error;
  }
}
