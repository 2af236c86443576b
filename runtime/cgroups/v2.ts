import { dirname } from "node:path";
import { EBUSY, EOPNOTSUPP } from "../../linux/abi/errno.ts";
import { isErrno } from "../../linux/errors.ts";
import { CgroupError, cgroupDir, makeDir, readOptional, readPids, type CgroupDir } from "./files.ts";


/** Controllers that work on threads, and so in a threaded cgroup. Source: cgroups(7), "Thread mode". */
const threaded = new Set(["cpu", "cpuset", "pids", "perf_event"]);

/** Which controllers a new cgroup is to have. */
export interface Controllers {
  /** It fails without these. */
  readonly needed: readonly string[];
  /** Whether to add whatever else can be had, so that statistics and later updates work. */
  readonly all: boolean;
}

/**
 * Makes `path` and what is missing above it, and hands controllers down from the mount point to its parent.
 * Source: Documentation/admin-guide/cgroup-v2.rst, "Top-down Constraint", "No Internal Process Constraint".
 * @throws CgroupError where a cgroup above has processes, or is threaded, and a needed controller cannot live with it.
 */
export function createV2(mountPoint: string, path: string, controllers: Controllers): void {
  if (path === mountPoint) return;
  const parent = dirname(path);
  createV2(mountPoint, parent, controllers);
  handDown(cgroupDir("v2", parent), controllers);
  makeDir(path);
  const type = readOptional(cgroupDir("v2", path), "cgroup.type");
  if (type === undefined || type === "domain") return;
  requireThreaded(path, type, controllers.needed);
  // Below a threaded cgroup a new one is "invalid" until it is told to be threaded as well.
  if (type === "domain invalid") cgroupDir("v2", path).write("cgroup.type", "threaded");
}

/** One by one: a controller that cannot be had must not keep the others away. */
function handDown(dir: CgroupDir, { needed, all }: Controllers): void {
  const available = words(dir, "cgroup.controllers");
  const enabled = words(dir, "cgroup.subtree_control");
  for (const controller of available.filter((name) => !enabled.includes(name) && (all || needed.includes(name)))) {
    try {
      dir.write("cgroup.subtree_control", `+${controller}`);
    } catch (error) {
      if (needed.includes(controller)) throw isErrno(error, EBUSY, EOPNOTSUPP) ? internalProcesses(dir, controller) : error;
    }
  }
}

const words = (dir: CgroupDir, file: string): string[] => (readOptional(dir, file) ?? "").split(" ").filter(Boolean);

function internalProcesses({ path }: CgroupDir, controller: string): CgroupError {
  return new CgroupError(`cgroup ${controller}`, `${path} has ${readPids(path).length} processes of its own, and so cannot hand the controller down`);
}

function requireThreaded(path: string, type: string, needed: readonly string[]): void {
  const domain = needed.filter((name) => !threaded.has(name));
  if (domain.length > 0) throw new CgroupError(`cgroup ${domain.join(", ")}`, `${path} is in "${type}" mode, where these controllers do not work`);
}
