import type { LinuxNetwork } from "../../spec/config-resources.ts";
import type { CgroupDir } from "../files.ts";
import { decimal, isSet } from "../resources.ts";

export const wantsNetCls = (network: LinuxNetwork | undefined): network is LinuxNetwork => isSet(network?.classID);
export const wantsNetPrio = (network: LinuxNetwork | undefined): network is LinuxNetwork => Boolean(network?.priorities?.length);

/** v1 only. Source: Documentation/admin-guide/cgroup-v1/net_cls.rst. */
export function setNetCls(dir: CgroupDir, { classID }: LinuxNetwork): void {
  if (isSet(classID)) dir.write("net_cls.classid", decimal(classID));
}

/** v1 only. Source: Documentation/admin-guide/cgroup-v1/net_prio.rst. */
export function setNetPrio(dir: CgroupDir, { priorities }: LinuxNetwork): void {
  for (const { name, priority } of priorities ?? []) dir.write("net_prio.ifpriomap", `${name} ${decimal(priority)}`);
}
