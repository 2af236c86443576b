import { EINVAL } from "../../../linux/abi/errno.ts";
import type { LinuxCPU } from "../../spec/config-resources.ts";
import { isErrno } from "../../../linux/errors.ts";
import { CgroupError, readOptional, type CgroupDir } from "../files.ts";
import { decimal, isSet, unsupportedOnV2 } from "../resources.ts";


/** The kernel's default. Source: Documentation/scheduler/sched-bwc.rst. */
export const defaultPeriodUs = 100_000;

export const wantsCpu = (cpu: LinuxCPU | undefined): cpu is LinuxCPU =>
  cpu !== undefined &&
  ([cpu.shares, cpu.quota, cpu.period, cpu.realtimeRuntime, cpu.realtimePeriod].some(isSet) || cpu.burst !== undefined || cpu.idle !== undefined);

export const wantsRealtime = (cpu: LinuxCPU | undefined): cpu is LinuxCPU =>
  cpu !== undefined && (isSet(cpu.realtimeRuntime) || isSet(cpu.realtimePeriod));

/**
 * Values that the kernel checks against each other: one that is refused with EINVAL is tried once more after the
 * others, since the order that works depends on the values there before.
 */
function writeInterdependent(dir: CgroupDir, values: ReadonlyArray<readonly [file: string, value: string]>): void {
  const refused = values.filter(([file, value]) => {
    try {
      dir.write(file, value);
      return false;
    } catch (error) {
      if (isErrno(error, EINVAL) && values.length > 1) return true;
      throw error;
    }
  });
  for (const [file, value] of refused) dir.write(file, value);
}

const given = (values: ReadonlyArray<readonly [string, number | undefined]>): Array<readonly [string, string]> =>
  values.flatMap(([file, value]) => (isSet(value) ? [[file, decimal(value)] as const] : []));

/** To be called before a process joins: a real-time task cannot enter a cgroup without real-time budget. */
export function setRealtimeV1(dir: CgroupDir, cpu: LinuxCPU): void {
  writeInterdependent(dir, given([["cpu.rt_period_us", cpu.realtimePeriod], ["cpu.rt_runtime_us", cpu.realtimeRuntime]]));
}

/** Source: Documentation/scheduler/sched-bwc.rst, sched-design-CFS.rst. */
export function setCpuV1(dir: CgroupDir, cpu: LinuxCPU): void {
  setRealtimeV1(dir, cpu);
  if (cpu.idle !== undefined) dir.write("cpu.idle", decimal(cpu.idle));
  if (isSet(cpu.shares) && !isIdle(cpu)) setSharesV1(dir, cpu.shares);
  const bandwidth = given([["cpu.cfs_period_us", cpu.period], ["cpu.cfs_quota_us", cpu.quota]]);
  const burst = cpu.burst === undefined ? [] : [["cpu.cfs_burst_us", decimal(cpu.burst)] as const];
  writeInterdependent(dir, [...bandwidth, ...burst]);
}

/** The kernel clamps shares in silence: read back, and say so. */
function setSharesV1(dir: CgroupDir, shares: number): void {
  dir.write("cpu.shares", decimal(shares));
  const actual = Number(dir.read("cpu.shares"));
  if (actual === shares) return;
  throw new CgroupError("linux.resources.cpu.shares", `${shares} is ${actual < shares ? "above the maximum" : "below the minimum"} of ${actual}`);
}

/** An idle group has no weight, and the kernel refuses to write one. */
const isIdle = ({ idle }: LinuxCPU): boolean => idle === 1;

/**
 * v1 shares (2..262144, default 1024) to v2 weight (1..10000, default 100): the quadratic in log2(shares) that meets
 * minimum, default and maximum. Source: crun.1.md, "CPU controller"; runc 1.4 has the same.
 */
export function sharesToWeight(shares: number): number {
  const clamped = Math.min(Math.max(shares, 2), 262_144);
  if (clamped === 2) return 1;
  if (clamped === 262_144) return 10_000;
  const log = Math.log2(clamped);
  return Math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34));
}

/** Source: Documentation/admin-guide/cgroup-v2.rst, "CPU Interface Files". */
export function setCpuV2(dir: CgroupDir, cpu: LinuxCPU): void {
  if (isSet(cpu.realtimeRuntime)) unsupportedOnV2("cpu.realtimeRuntime");
  if (isSet(cpu.realtimePeriod)) unsupportedOnV2("cpu.realtimePeriod");
  if (cpu.idle !== undefined) dir.write("cpu.idle", decimal(cpu.idle));
  if (isSet(cpu.shares) && !isIdle(cpu)) dir.write("cpu.weight", String(sharesToWeight(cpu.shares)));
  const max = limitsBandwidth(cpu) ? [["cpu.max", cpuMax(cpu, readOptional(dir, "cpu.max"))] as const] : [];
  const burst = cpu.burst === undefined ? [] : [["cpu.max.burst", decimal(cpu.burst)] as const];
  writeInterdependent(dir, [...max, ...burst]);
}

const limitsBandwidth = ({ quota, period }: LinuxCPU): boolean => isSet(quota) || isSet(period);

/**
 * `$QUOTA $PERIOD` in microseconds; a negative quota is `max`. The kernel takes both at once: what is not given stays as it is.
 * @param current what the file has.
 */
export function cpuMax({ quota, period }: LinuxCPU, current = `max ${defaultPeriodUs}`): string {
  const [currentQuota, currentPeriod] = current.split(" ");
  const limit = quota !== undefined && quota > 0 ? decimal(quota) : "max";
  return `${isSet(quota) ? limit : currentQuota} ${isSet(period) ? decimal(period) : currentPeriod}`;
}

/** For a manager that keeps quota and period as one value: the one that is not given is what the v2 cgroup has. */
export function withWholeBandwidth(dir: CgroupDir, cpu: LinuxCPU | undefined): LinuxCPU | undefined {
  if (cpu === undefined || !limitsBandwidth(cpu)) return cpu;
  const [quota, period] = cpuMax(cpu, readOptional(dir, "cpu.max")).split(" ");
  return { ...cpu, quota: quota === "max" ? -1 : Number(quota), period: Number(period) };
}
