import { constants } from "node:os";
import { writeFileSync } from "node:fs";
import { isErrno } from "../../linux/errors.ts";
import { CgroupError } from "./files.ts";
import type { Freezer } from "./freezer.ts";

const { ENODEV, ENOENT, ESRCH } = constants.errno;

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
    if (mayFreeze) freezer.thaw();
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

/** One pass of SIGKILL. A v1-frozen process dies only once it is thawed. Source: freezer-subsystem.rst. */
export function killTree(target: KillTarget): void {
  if (target.killFile !== undefined) writeKillFile(target.killFile);
  if (target.pids().length > 0) killFrozen(target);
  if (target.freezer?.isFrozen()) target.freezer.thaw();
}

/** A tree that forks faster than it can be frozen is killed as it is; the caller comes back until it is empty. */
function killFrozen(target: KillTarget): void {
  try {
    signalTree(target, constants.signals.SIGKILL);
  } catch (error) {
    if (!isErrno(error, constants.errno.EBUSY)) throw error;
    for (const pid of target.pids()) signalOne(pid, constants.signals.SIGKILL);
  }
}

function writeKillFile(path: string): void {
  try {
    writeFileSync(path, "1", { flag: "r+" });
  } catch (error) {
    if (!isErrno(error, ENOENT, ENODEV)) throw error;
  }
}
