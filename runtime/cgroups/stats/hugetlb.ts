import { readdirSync } from "node:fs";
import type { CgroupDir } from "../files.ts";
import { omitZero, readCounter, readKeyed, type Counter } from "./parse.ts";

/** Bytes. */
export interface HugetlbStats {
  readonly usage?: Counter;
  readonly max?: Counter;
  readonly failcnt: Counter;
}

/** The page sizes that the cgroup has files for, as `2MB`. */
const pageSizes = (dir: CgroupDir, suffix: string): string[] =>
  readdirSync(dir.path).flatMap((name) => (name.startsWith("hugetlb.") && name.endsWith(`B.${suffix}`) ? [name.slice("hugetlb.".length, -suffix.length - 1)] : []));

/** Reservations are what is limited, where the kernel counts them. */
const prefix = (dir: CgroupDir, size: string, suffix: string): string => (dir.has(`hugetlb.${size}.rsvd.${suffix}`) ? `hugetlb.${size}.rsvd` : `hugetlb.${size}`);

/** Source: Documentation/admin-guide/cgroup-v1/hugetlb.rst. */
export function hugetlbStatsV1(dir: CgroupDir): Record<string, HugetlbStats> {
  return Object.fromEntries(pageSizes(dir, "limit_in_bytes").map((size) => {
    const name = prefix(dir, size, "usage_in_bytes");
    const [usage, max] = ["usage_in_bytes", "max_usage_in_bytes"].map((suffix) => readCounter(dir, `${name}.${suffix}`));
    return [size, { ...omitZero({ usage, max }), failcnt: readCounter(dir, `${name}.failcnt`) ?? 0 }];
  }));
}

/** Source: Documentation/admin-guide/cgroup-v2.rst, "HugeTLB Interface Files". */
export function hugetlbStatsV2(dir: CgroupDir): Record<string, HugetlbStats> {
  if (!dir.has("cgroup.procs")) return {};
  return Object.fromEntries(pageSizes(dir, "max").map((size) => {
    const usage = readCounter(dir, `${prefix(dir, size, "current")}.current`);
    return [size, { ...omitZero({ usage }), failcnt: readKeyed(dir, `hugetlb.${size}.events`)["max"] ?? 0 }];
  }));
}
