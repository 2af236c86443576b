import type { LinuxRdma } from "../../spec/config-resources.ts";
import type { CgroupDir } from "../files.ts";
import { decimal } from "../resources.ts";

type Limits = Readonly<Record<string, LinuxRdma>>;

export const wantsRdma = (rdma: Limits | undefined): rdma is Limits => rdma !== undefined && Object.keys(rdma).length > 0;

/** The same file in v1 and v2, one device a write. Source: Documentation/admin-guide/cgroup-v1/rdma.rst. */
export function setRdma(dir: CgroupDir, rdma: Limits): void {
  for (const [device, { hcaHandles, hcaObjects }] of Object.entries(rdma)) {
    const handles = hcaHandles === undefined ? "" : ` hca_handle=${decimal(hcaHandles)}`;
    const objects = hcaObjects === undefined ? "" : ` hca_object=${decimal(hcaObjects)}`;
    if (handles !== "" || objects !== "") dir.write("rdma.max", `${device}${handles}${objects}`);
  }
}
