import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = "/sys/fs/cgroup";

/** Which cgroup interface containers get on this machine; a hybrid layout counts as 1. */
export function cgroupVersion(): 1 | 2 {
  return existsSync(join(root, "cgroup.controllers")) ? 2 : 1;
}

/** The cgroup directory of a container whose cgroupsPath is `/ID`. `controller` matters in version 1 only. */
export function cgroupDir(id: string, controller: string): string {
  return cgroupVersion() === 2 ? join(root, id) : join(root, controller, id);
}

export function hasController(controller: string): boolean {
  if (cgroupVersion() === 1) return existsSync(join(root, controller));
  return readFileSync(join(root, "cgroup.controllers"), "utf8").trim().split(" ").includes(controller);
}

/** The trimmed content of a file of the container's cgroup. */
export function cgroupFile(id: string, controller: string, file: string): string {
  return readFileSync(join(cgroupDir(id, controller), file), "utf8").trim();
}
