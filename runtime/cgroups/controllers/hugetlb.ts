import type { LinuxHugepageLimit } from "../../spec/config-resources.ts";
import type { CgroupDir } from "../files.ts";
import { decimal } from "../resources.ts";

type Limits = readonly LinuxHugepageLimit[];

export const wantsHugetlb = (limits: Limits | undefined): limits is Limits => limits !== undefined && limits.length > 0;

/** Usage and, where the kernel has it (5.7), reservations. Source: Documentation/admin-guide/cgroup-v1/hugetlb.rst. */
function setHugetlb(dir: CgroupDir, limits: Limits, suffix: string): void {
  for (const { pageSize, limit } of limits) {
    dir.write(`hugetlb.${pageSize}.${suffix}`, decimal(limit));
    const reserved = `hugetlb.${pageSize}.rsvd.${suffix}`;
    if (dir.has(reserved)) dir.write(reserved, decimal(limit));
  }
}

export const setHugetlbV1 = (dir: CgroupDir, limits: Limits): void => setHugetlb(dir, limits, "limit_in_bytes");
export const setHugetlbV2 = (dir: CgroupDir, limits: Limits): void => setHugetlb(dir, limits, "max");
