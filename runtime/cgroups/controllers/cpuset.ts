import { dirname } from "node:path";
import { existsSync } from "node:fs";
import type { LinuxCPU } from "../../spec/config-resources.ts";
import { cgroupDir, type CgroupDir } from "../files.ts";

export const wantsCpuset = (cpu: LinuxCPU | undefined): cpu is LinuxCPU => Boolean(cpu?.cpus) || Boolean(cpu?.mems);

/** A v1 cpuset may be mounted `noprefix`, as Android does. */
const v1Name = (dir: CgroupDir, name: string): string => (dir.has(`cpuset.${name}`) ? `cpuset.${name}` : name);

export function setCpusetV1(dir: CgroupDir, { cpus, mems }: LinuxCPU): void {
  if (cpus) dir.write(v1Name(dir, "cpus"), cpus);
  if (mems) dir.write(v1Name(dir, "mems"), mems);
}

/** Source: Documentation/admin-guide/cgroup-v2.rst, "Cpuset Interface Files". */
export function setCpusetV2(dir: CgroupDir, { cpus, mems }: LinuxCPU): void {
  if (cpus) dir.write("cpuset.cpus", cpus);
  if (mems) dir.write("cpuset.mems", mems);
}

/**
 * A new v1 cpuset is empty, and no process can join an empty one: every cgroup from the mount point down to `path`
 * that has no cpus or mems takes its parent's. Source: cpusets(7).
 */
export function inheritCpusetV1(mountPoint: string, path: string): void {
  if (path === mountPoint || !path.startsWith(`${mountPoint}/`)) return;
  const parentPath = dirname(path);
  inheritCpusetV1(mountPoint, parentPath);
  if (!existsSync(path)) return;
  const [dir, parent] = [cgroupDir("cpuset", path), cgroupDir("cpuset", parentPath)];
  for (const name of ["cpus", "mems"]) {
    const file = v1Name(dir, name);
    if (dir.read(file).trim() === "") dir.write(file, parent.read(file).trim());
  }
}
