import type { LinuxResources } from "../spec/config-resources.ts";
import { FsCgroup, type Cgroup } from "./cgroup.ts";
import type { CgroupPlan } from "./plan.ts";
import { SystemdCgroup } from "./systemd/cgroup.ts";

export type { Cgroup, Joining } from "./cgroup.ts";
export { CgroupError } from "./files.ts";
export { detectLayout, readHost, type CgroupHost, type CgroupLayout } from "./layout.ts";
export { planCgroup, type CgroupPlan, type PlanRequest } from "./plan.ts";
export type { OomNews, OomSource } from "./oom.ts";
export { requireSystemd } from "./systemd/bus.ts";
export type { CgroupStats } from "./stats.ts";

/** The cgroup of a plan, whether it exists or not; nothing is touched. */
export function openCgroup(plan: CgroupPlan): Cgroup {
  return plan.unit === undefined ? new FsCgroup(plan) : new SystemdCgroup(plan, plan.unit);
}

/** `openCgroup` and `create`. @throws CgroupError, SysError; what was made by then is removed by `destroy`. */
export function createCgroup(plan: CgroupPlan, resources: LinuxResources): Cgroup {
  const cgroup = openCgroup(plan);
  cgroup.create(resources);
  return cgroup;
}
