/**
 * The machine that the sandbox believes in: what sysinfo(2), /proc/meminfo and their like tell. It is made of the sandbox's own limits; of the
 * host it tells its memory's size, and only where no limit hides that.
 */
import { ENODEV } from "../linux/abi/errno.ts";
import { isErrno } from "../linux/errors.ts";
import type { Fd } from "../linux/fd.ts";
import { readAt } from "../linux/file.ts";
import { now } from "../linux/sleep.ts";

/** Files of the container's cgroup, opened before the sentry lost its sight of them; undefined where there is no such controller. */
export interface CgroupFiles {
  /** memory.limit_in_bytes, or memory.max. */
  readonly memoryLimit: Fd | undefined;
  /** memory.usage_in_bytes, or memory.current. */
  readonly memoryUsage: Fd | undefined;
  /** cpu.cfs_quota_us and cpu.cfs_period_us, or cpu.max alone. */
  readonly cpuQuota: Fd | undefined;
  readonly cpuPeriod: Fd | undefined;
  /** pids.current and pids.max. */
  readonly tasks: Fd | undefined;
  readonly taskLimit: Fd | undefined;
}

const LONGEST_LINE = 64;

/** What all containers of a sandbox are told alike. */
export interface Chassis {
  /** Milliseconds of CLOCK_MONOTONIC at which the sandbox was started. */
  readonly startedMs: number;
  /** Of /proc/sys/kernel/random/boot_id. */
  readonly bootId: string;
  readonly hostCpus: number;
  /** Bytes. */
  readonly hostMemory: number;
  /** A processor, as /proc/cpuinfo describes it. */
  readonly processor: string;
}

export class Machine {
  readonly files: CgroupFiles;
  readonly chassis: Chassis;

  constructor(files: CgroupFiles, chassis: Chassis) {
    this.files = files;
    this.chassis = chassis;
  }

  /** What it reads from. */
  get descriptors(): readonly Fd[] {
    return Object.values(this.files).filter((file: Fd | undefined) => file !== undefined);
  }

  close(): void {
    for (const file of this.descriptors) file.close();
  }

  /** Seconds since the sandbox's start. */
  get uptime(): number {
    return (now() - this.chassis.startedMs) / 1000;
  }

  /** Bytes: the cgroup's limit as it is now; undefined without one. */
  get memoryLimit(): number | undefined {
    const limit = readNumber(this.files.memoryLimit);
    // v1 says "none" with the largest multiple of a page.
    return limit === undefined || limit >= this.chassis.hostMemory ? undefined : limit;
  }

  /** Bytes. */
  get memoryTotal(): number {
    return this.memoryLimit ?? this.chassis.hostMemory;
  }

  /** Bytes that the cgroup uses. */
  get memoryUsed(): number {
    return Math.min(this.memoryTotal, readNumber(this.files.memoryUsage) ?? 0);
  }

  get memoryFree(): number {
    return this.memoryTotal - this.memoryUsed;
  }

  /** CPUs' worth of time that the cgroup may use; undefined without a limit. */
  get quota(): number | undefined {
    const [quota, period = readNumber(this.files.cpuPeriod)] = readLine(this.files.cpuQuota).map(Number);
    return quota !== undefined && quota > 0 && period !== undefined && period > 0 ? quota / period : undefined;
  }

  /** How many CPUs there seem to be: the quota rounded up, at most the host's. */
  get cpus(): number {
    return Math.min(Math.ceil(this.quota ?? Infinity), this.chassis.hostCpus);
  }

  /** Tasks in the cgroup. */
  get tasks(): number {
    return readNumber(this.files.tasks) ?? 1;
  }

  get taskLimit(): number | undefined {
    return readNumber(this.files.taskLimit);
  }
}

/** @returns undefined for `max`, a file that is not there, or one whose cgroup is gone. */
function readNumber(file: Fd | undefined): number | undefined {
  const value = Number(readLine(file)[0]);
  return Number.isFinite(value) ? value : undefined;
}

function readLine(file: Fd | undefined): string[] {
  if (file === undefined) return [];
  try {
    return Buffer.from(readAt(file, 0, LONGEST_LINE)).toString("latin1").trim().split(" ");
  } catch (error) {
    if (isErrno(error, ENODEV)) return [];
    throw error;
  }
}
