import { unlimited, omitZero, readCounter, readKeyed, readPsi, sum, type Counter, type Psi } from "./parse.ts";
import type { CgroupDir } from "../files.ts";

/** Bytes; `max` is the highest usage seen. */
export interface MemoryEntry {
  readonly limit: Counter;
  readonly usage?: Counter;
  readonly max?: Counter;
  readonly failcnt: Counter;
}

export interface MemoryStats {
  readonly cache?: Counter;
  readonly usage?: MemoryEntry;
  /** Memory and swap together. */
  readonly swap?: MemoryEntry;
  readonly kernel?: MemoryEntry;
  readonly kernelTCP?: MemoryEntry;
  /** memory.stat as the kernel has it. */
  readonly raw?: Readonly<Record<string, Counter>>;
  readonly psi?: Psi;
}

const entry = (limit: Counter, usage: Counter | undefined, max: Counter | undefined, failcnt: Counter): MemoryEntry => ({
  limit,
  ...omitZero({ usage, max }),
  failcnt,
});

/** Source: Documentation/admin-guide/cgroup-v1/memory.rst. */
function entryV1(dir: CgroupDir, infix: string): MemoryEntry | undefined {
  const read = (suffix: string): Counter | undefined => readCounter(dir, `memory.${infix}${suffix}`);
  const limit = read("limit_in_bytes");
  return limit === undefined ? undefined : entry(limit, read("usage_in_bytes"), read("max_usage_in_bytes"), read("failcnt") ?? 0);
}

export function memoryStatsV1(dir: CgroupDir): MemoryStats {
  const raw = readKeyed(dir, "memory.stat");
  const [usage, swap, kernel, kernelTCP] = ["", "memsw.", "kmem.", "kmem.tcp."].map((infix) => entryV1(dir, infix));
  return omitZero({ cache: raw["cache"], usage, swap, kernel, kernelTCP, raw });
}

/** The counter of times that a limit was hit: v1's failcnt. Source: Documentation/admin-guide/cgroup-v2.rst, memory.events. */
export function memoryStatsV2(dir: CgroupDir): MemoryStats {
  const raw = readKeyed(dir, "memory.stat");
  const limit = readCounter(dir, "memory.max");
  if (limit === undefined) return {};
  const current = readCounter(dir, "memory.current") ?? 0;
  const usage = entry(limit, current, readCounter(dir, "memory.peak"), 0);
  return omitZero({ cache: raw["file"], usage, swap: swapV2(dir, current, limit), raw, psi: readPsi(dir, "memory.pressure") });
}

/** v2 counts swap alone; reported as v1 does, together with memory. The two peaks need not have coincided: no `max`. */
function swapV2(dir: CgroupDir, current: Counter, limit: Counter): MemoryEntry | undefined {
  const swapLimit = readCounter(dir, "memory.swap.max");
  if (swapLimit === undefined) return undefined;
  const bounded = swapLimit !== unlimited && limit !== unlimited;
  return entry(bounded ? sum(swapLimit, limit) : unlimited, sum(readCounter(dir, "memory.swap.current") ?? 0, current), undefined, 0);
}
