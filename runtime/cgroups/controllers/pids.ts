import type { LinuxPids } from "../../spec/config-resources.ts";
import type { CgroupDir } from "../files.ts";
import { decimal } from "../resources.ts";

export const wantsPids = (pids: LinuxPids | undefined): pids is LinuxPids => pids?.limit !== undefined;

/**
 * The same file in v1 and v2. A negative limit is none. 0 becomes 1: systemd's TasksMax takes no 0, and to a process
 * that is in the cgroup already both mean that it cannot fork. Source: Documentation/admin-guide/cgroup-v1/pids.rst.
 */
export function setPids(dir: CgroupDir, { limit }: LinuxPids): void {
  if (limit !== undefined) dir.write("pids.max", pidsMax(limit));
}

export function pidsMax(limit: number): string {
  if (limit < 0) return "max";
  return limit === 0 ? "1" : decimal(limit);
}
