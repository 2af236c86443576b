/**
 * The machine that the sandbox believes in: what sysinfo(2), /proc/meminfo and their like tell. It is made of the sandbox's own limits; of the
 * host it tells its memory's size, and only where no limit hides that.
 */
import { ENODEV } from "../linux/abi/errno.ts";
import { isErrno } from "../linux/errors.ts";
import type { Fd } from "../linux/fd.ts";
import { readAt } from "../linux/file.ts";
import { hostMemory } from "../linux/sysinfo.ts";
import { monotonicSeconds } from "../linux/clock.ts";

/** Files of the container's cgroup, opened before the sentry lost its sight of them; undefined where there is no such controller. */
export interface CgroupFiles {
  /** memory.limit_in_bytes, or memory.max. */
  readonly memoryLimit: Fd | undefined;
  /** memory.usage_in_bytes, or memory.current. */
  readonly memoryUsage: Fd | undefined;
  /** cpu.cfs_quota_us and cpu.cfs_period_us, or cpu.max alone. */
  readonly cpuQuota: Fd | undefined;
  readonly cpuPeriod: Fd | undefined;
  /** pids.current. */
  readonly tasks: Fd | undefined;
}

const LONGEST_LINE = 64;

export class Machine {
  readonly #files: CgroupFiles;
  readonly #started = monotonicSeconds();
  readonly #hostMemory = hostMemory();
  readonly #hostCpus: number;
  /** Of /proc/sys/kernel/random/boot_id. */
  readonly bootId: string;

  constructor(files: CgroupFiles, hostCpus: number, bootId: string) {
    this.#files = files;
    this.#hostCpus = hostCpus;
    this.bootId = bootId;
  }

  /** Seconds since the sandbox's start. */
  get uptime(): number {
    return monotonicSeconds() - this.#started;
  }

  /** Bytes: the cgroup's limit as it is now, or the host's memory where that is less. */
  get memoryTotal(): number {
    return Math.min(readNumber(this.#files.memoryLimit) ?? Infinity, this.#hostMemory);
  }

  /** Bytes that the cgroup has not used yet. */
  get memoryFree(): number {
    const total = this.memoryTotal;
    return Math.max(0, total - Math.min(total, readNumber(this.#files.memoryUsage) ?? 0));
  }

  /** How many CPUs the quota makes, rounded up; at most the host's. */
  get cpus(): number {
    const [quota, period = readNumber(this.#files.cpuPeriod)] = readLine(this.#files.cpuQuota).map(Number);
    const given = quota !== undefined && quota > 0 && period !== undefined && period > 0 ? Math.ceil(quota / period) : Infinity;
    return Math.min(given, this.#hostCpus);
  }

  /** Tasks in the cgroup. */
  get tasks(): number {
    return readNumber(this.#files.tasks) ?? 1;
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
