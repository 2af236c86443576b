import * as fcntl from "../../linux/abi/fcntl.ts";
import { AT_FDCWD, Fd } from "../../linux/fd.ts";
import { tryOpenAt } from "../../linux/file.ts";
import type { CgroupFiles } from "../../sentry/machine.ts";

type Candidate = readonly [controller: string, file: string];

const FILES: Readonly<Record<keyof CgroupFiles, readonly Candidate[]>> = {
  memoryLimit: [["memory", "memory.limit_in_bytes"], ["", "memory.max"]],
  memoryUsage: [["memory", "memory.usage_in_bytes"], ["", "memory.current"]],
  cpuQuota: [["cpu", "cpu.cfs_quota_us"], ["", "cpu.max"]],
  cpuPeriod: [["cpu", "cpu.cfs_period_us"]],
  tasks: [["pids", "pids.current"], ["", "pids.current"]],
  taskLimit: [["pids", "pids.max"], ["", "pids.max"]],
};

/** @param paths of the container's cgroup, by controller; '' for v2. What is not there stays undefined. */
export function openCgroupFiles(paths: Readonly<Record<string, string>>): CgroupFiles {
  return Object.fromEntries(Object.entries(FILES).map(([name, candidates]) => [name, openFirst(candidates, paths)])) as unknown as CgroupFiles;
}

function openFirst(candidates: readonly Candidate[], paths: Readonly<Record<string, string>>): Fd | undefined {
  for (const [controller, file] of candidates) {
    const path = paths[controller];
    const fd = path === undefined ? -1 : tryOpenAt(AT_FDCWD, `${path}/${file}`, fcntl.O_RDONLY);
    if (fd >= 0) return new Fd(fd);
  }
  return undefined;
}
