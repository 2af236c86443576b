import { EBUSY } from "../../../linux/abi/errno.ts";
import type { LinuxMemory } from "../../spec/config-resources.ts";
import { isErrno } from "../../../linux/errors.ts";
import { CgroupError, readOptional, type CgroupDir } from "../files.ts";
import { decimal, isMinusOne, isSet, unsupportedOnV2 } from "../resources.ts";


export const wantsMemory = (memory: LinuxMemory | undefined): memory is LinuxMemory =>
  memory !== undefined &&
  ([memory.limit, memory.reservation, memory.swap, memory.kernelTCP].some(isSet) || memory.disableOOMKiller === true || hasSwappiness(memory));

const hasSwappiness = (memory: LinuxMemory): memory is LinuxMemory & { swappiness: number } =>
  memory.swappiness !== undefined && !isMinusOne(memory.swappiness);

/** Source: Documentation/admin-guide/cgroup-v1/memory.rst. `kernel` is obsolete in the spec and in the kernel: not written. */
export function setMemoryV1(dir: CgroupDir, memory: LinuxMemory): void {
  rejectLimitBelowUsage(dir, memory, "memory.usage_in_bytes");
  setLimitAndSwapV1(dir, memory);
  if (isSet(memory.reservation)) dir.write("memory.soft_limit_in_bytes", decimal(memory.reservation));
  if (isSet(memory.kernelTCP)) dir.write("memory.kmem.tcp.limit_in_bytes", decimal(memory.kernelTCP));
  // Always on since 5.11, where writing the present value is all that is accepted.
  if (memory.useHierarchy === true && readOptional(dir, "memory.use_hierarchy") === "0") dir.write("memory.use_hierarchy", "1");
  if (memory.disableOOMKiller === true) dir.write("memory.oom_control", "1");
  if (hasSwappiness(memory)) setSwappiness(dir, memory.swappiness);
}

/**
 * memory.limit <= memory.memsw.limit must hold after each of the two writes, so the one that grows goes first.
 * An unlimited memory without a word about swap means unlimited swap as well.
 */
function setLimitAndSwapV1(dir: CgroupDir, { limit, swap }: LinuxMemory): void {
  const swapValue = isSet(limit) && isMinusOne(limit) && !isSet(swap) ? -1 : swap;
  const writeSwap = (): void => {
    if (!isSet(swapValue)) return;
    if (isMinusOne(swapValue) && !dir.has("memory.memsw.limit_in_bytes")) return;
    dir.write("memory.memsw.limit_in_bytes", isMinusOne(swapValue) ? "-1" : decimal(swapValue));
  };
  const writeLimit = (): void => {
    if (isSet(limit)) writeLimitV1(dir, limit);
  };
  const swapGrows = isSet(swapValue) && (isMinusOne(swapValue) || Number(dir.read("memory.limit_in_bytes")) < swapValue);
  for (const write of swapGrows ? [writeSwap, writeLimit] : [writeLimit, writeSwap]) write();
}

function writeLimitV1(dir: CgroupDir, limit: number): void {
  try {
    dir.write("memory.limit_in_bytes", isMinusOne(limit) ? "-1" : decimal(limit));
  } catch (error) {
    if (!isErrno(error, EBUSY)) throw error;
    const [usage, peak] = ["memory.usage_in_bytes", "memory.max_usage_in_bytes"].map((file) => readOptional(dir, file));
    throw new CgroupError("linux.resources.memory.limit", `${limit} is below what cannot be reclaimed (current usage: ${usage}, peak usage: ${peak})`);
  }
}

function setSwappiness(dir: CgroupDir, swappiness: number): void {
  if (swappiness > 100) throw new CgroupError("linux.resources.memory.swappiness", `${swappiness} is not in 0..100`);
  dir.write("memory.swappiness", decimal(swappiness));
}

/** Source: Documentation/admin-guide/cgroup-v2.rst. The reservation becomes memory.low, as runc and crun do it. */
export function setMemoryV2(dir: CgroupDir, memory: LinuxMemory): void {
  if (hasSwappiness(memory)) unsupportedOnV2("memory.swappiness");
  if (memory.disableOOMKiller === true) unsupportedOnV2("memory.disableOOMKiller");
  if (isSet(memory.kernelTCP)) unsupportedOnV2("memory.kernelTCP");
  rejectLimitBelowUsage(dir, memory, "memory.current");
  const swap = swapMaxV2(memory);
  // Without swap in the kernel there is no file, and neither "none" nor "any" needs one.
  if (swap !== undefined && (dir.has("memory.swap.max") || !["0", "max"].includes(swap))) dir.write("memory.swap.max", swap);
  if (isSet(memory.limit)) dir.write("memory.max", maxOr(memory.limit));
  if (isSet(memory.reservation)) dir.write("memory.low", maxOr(memory.reservation));
}

const maxOr = (value: number): string => (isMinusOne(value) ? "max" : decimal(value));

/**
 * The spec's `swap` is memory + swap, v2's memory.swap.max is swap alone.
 * @returns undefined where nothing is to be written.
 * @throws CgroupError where swap is limited without or below the memory limit.
 */
export function swapMaxV2({ limit, swap }: LinuxMemory): string | undefined {
  if (!isSet(swap)) return isSet(limit) && isMinusOne(limit) ? "max" : undefined;
  if (isMinusOne(swap)) return "max";
  if (!isSet(limit)) throw new CgroupError("linux.resources.memory.swap", "needs memory.limit, since it counts memory and swap together");
  if (isMinusOne(limit)) return decimal(swap);
  if (swap < limit) throw new CgroupError("linux.resources.memory.swap", `${swap} is below memory.limit ${limit}`);
  return decimal(swap - limit);
}

/** `checkBeforeUpdate`: refuse a limit that would make the kernel kill at once. Source: runtime-spec, config-linux, memory. */
export function rejectLimitBelowUsage(dir: CgroupDir, { limit, swap, checkBeforeUpdate }: LinuxMemory, usageFile: string): void {
  const usage = checkBeforeUpdate === true ? readOptional(dir, usageFile) : undefined;
  if (usage === undefined) return;
  for (const [name, value] of [["limit", limit], ["swap", swap]] as const) {
    if (isSet(value) && value > 0 && value <= Number(usage)) {
      throw new CgroupError(`linux.resources.memory.${name}`, `${value} is not above the current usage ${usage}`);
    }
  }
}
