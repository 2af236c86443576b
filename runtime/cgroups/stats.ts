import { blkioStatsV1, blkioStatsV2, type BlkioStats } from "./stats/blkio.ts";
import { cpuStatsV1, cpuStatsV2, cpusetStatsV1, cpusetStatsV2, type CpuStats, type CpusetStats } from "./stats/cpu.ts";
import { hugetlbStatsV1, hugetlbStatsV2, type HugetlbStats } from "./stats/hugetlb.ts";
import { memoryStatsV1, memoryStatsV2, type MemoryStats } from "./stats/memory.ts";
import { pidsStats, type PidsStats } from "./stats/pids.ts";
import { cgroupDir, type CgroupDir } from "./files.ts";

/**
 * `data` of `events --stats`, with runc's names; times in nanoseconds, sizes in bytes. Counters above 2^53 are bigint:
 * print it with `statsJson`. The caller adds `network_interfaces`. Source: runc's types/events.go.
 */
export interface CgroupStats {
  readonly cpu: CpuStats;
  readonly cpuset: CpusetStats;
  readonly memory: MemoryStats;
  readonly pids: PidsStats;
  readonly blkio: BlkioStats;
  readonly hugetlb: Readonly<Record<string, HugetlbStats>>;
}

/** A controller that is missing, or a cgroup that has gone meanwhile, reads as zeros. */
export function readStats(paths: Readonly<Record<string, string>>): CgroupStats {
  const unified = paths[""] === undefined ? undefined : cgroupDir("v2", paths[""]);
  const pick = <T>(name: string, v1: (dir: CgroupDir) => T, v2: (dir: CgroupDir) => T, none: T): T => {
    const path = paths[name];
    if (path !== undefined) return v1(cgroupDir(name, path));
    return unified === undefined ? none : v2(unified);
  };
  const cpuDir = paths["cpu"];
  return {
    cpu: pick("cpuacct", (dir) => cpuStatsV1(dir, cgroupDir("cpu", cpuDir ?? dir.path)), cpuStatsV2, { usage: { kernel: 0, user: 0 }, throttling: {} }),
    cpuset: pick("cpuset", cpusetStatsV1, cpusetStatsV2, {}),
    memory: pick("memory", memoryStatsV1, memoryStatsV2, {}),
    pids: pick("pids", pidsStats, pidsStats, {}),
    blkio: pick("blkio", blkioStatsV1, blkioStatsV2, {}),
    hugetlb: pick("hugetlb", hugetlbStatsV1, hugetlbStatsV2, {}),
  };
}

/** JSON that a uint64 parser reads back exactly: JSON.stringify alone would print 2^64 - 1 as 18446744073709552000. */
export function statsJson(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) => (typeof item === "bigint" ? rawJson(item.toString()) : item));
}

/** ECMA-262 proposal-json-parse-with-source, in V8 since 11.4; TypeScript's lib has no type for it yet. */
const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON;
