import { EACCES, ENOENT, EPERM } from "../../linux/abi/errno.ts";
import type { LinuxResources } from "../spec/config-resources.ts";
import { isErrno, SysError } from "../../linux/errors.ts";
import { setBlkioV1, setBlkioV2, wantsBlkio } from "./controllers/blkio.ts";
import { setCpuV1, setCpuV2, wantsCpu } from "./controllers/cpu.ts";
import { setCpusetV1, setCpusetV2, wantsCpuset } from "./controllers/cpuset.ts";
import { setHugetlbV1, setHugetlbV2, wantsHugetlb } from "./controllers/hugetlb.ts";
import { setMemoryV1, setMemoryV2, wantsMemory } from "./controllers/memory.ts";
import { setNetCls, setNetPrio, wantsNetCls, wantsNetPrio } from "./controllers/network.ts";
import { setPids, wantsPids } from "./controllers/pids.ts";
import { setRdma, wantsRdma } from "./controllers/rdma.ts";
import { CgroupError, type CgroupDir } from "./files.ts";


type Setter = (dir: CgroupDir) => void;

/** What a config asks of one controller, and how to write it in either hierarchy. */
export interface Request {
  /** The config field, for messages. */
  readonly field: string;
  /** Controller names: v1's, and v2's where it exists there. */
  readonly v1: string;
  readonly v2?: string;
  readonly setV1: Setter;
  readonly setV2?: Setter;
}

/** The requests in `resources` that are not empty, in the order in which they are written. */
export function requestsOf(resources: LinuxResources): Request[] {
  const { memory, cpu, pids, blockIO, hugepageLimits: huge, network, rdma } = resources;
  const requests: Request[] = [];
  // Preconditions of the others: cpuset names CPUs that quotas count on, pids bounds what memory must hold.
  if (wantsPids(pids)) requests.push({ field: "pids", v1: "pids", v2: "pids", setV1: (dir) => setPids(dir, pids), setV2: (dir) => setPids(dir, pids) });
  if (wantsMemory(memory)) requests.push({ field: "memory", v1: "memory", v2: "memory", setV1: (dir) => setMemoryV1(dir, memory), setV2: (dir) => setMemoryV2(dir, memory) });
  if (wantsBlkio(blockIO)) requests.push({ field: "blockIO", v1: "blkio", v2: "io", setV1: (dir) => setBlkioV1(dir, blockIO), setV2: (dir) => setBlkioV2(dir, blockIO) });
  if (wantsCpu(cpu)) requests.push({ field: "cpu", v1: "cpu", v2: "cpu", setV1: (dir) => setCpuV1(dir, cpu), setV2: (dir) => setCpuV2(dir, cpu) });
  if (wantsCpuset(cpu)) requests.push({ field: "cpu", v1: "cpuset", v2: "cpuset", setV1: (dir) => setCpusetV1(dir, cpu), setV2: (dir) => setCpusetV2(dir, cpu) });
  if (wantsHugetlb(huge)) requests.push({ field: "hugepageLimits", v1: "hugetlb", v2: "hugetlb", setV1: (dir) => setHugetlbV1(dir, huge), setV2: (dir) => setHugetlbV2(dir, huge) });
  if (wantsRdma(rdma)) requests.push({ field: "rdma", v1: "rdma", v2: "rdma", setV1: (dir) => setRdma(dir, rdma), setV2: (dir) => setRdma(dir, rdma) });
  if (wantsNetCls(network)) requests.push({ field: "network.classID", v1: "net_cls", setV1: (dir) => setNetCls(dir, network) });
  if (wantsNetPrio(network)) requests.push({ field: "network.priorities", v1: "net_prio", setV1: (dir) => setNetPrio(dir, network) });
  return requests;
}

/** The v2 controllers that `resources` need, `unified` included; empty if none. */
export function v2ControllersFor(resources: LinuxResources): string[] {
  const unified = Object.keys(resources.unified ?? {}).map((key) => key.split(".")[0] ?? "").filter((name) => name !== "cgroup");
  return [...new Set([...requestsOf(resources).flatMap(({ v2 }) => (v2 === undefined ? [] : [v2])), ...unified])];
}

/** Whether any limit is asked for; device rules are not one, since a container without them gets the same defaults. */
export const asksForLimits = (resources: LinuxResources): boolean =>
  requestsOf(resources).length > 0 || Object.keys(resources.unified ?? {}).length > 0;

/** Finds the directory of a controller; undefined where the host, or this cgroup, does not have it. */
export interface Directories {
  v1(controller: string): CgroupDir | undefined;
  v2(controller: string): CgroupDir | undefined;
}

/**
 * Writes every limit except device rules. A controller may be in either hierarchy of a hybrid host: v1 is looked at first.
 * @throws CgroupError for a controller that the host does not have, SysError for a value that the kernel refuses.
 */
export function applyLimits(resources: LinuxResources, directories: Directories): void {
  for (const { field, v1, v2 = v1, setV1, setV2 } of requestsOf(resources)) {
    const dir1 = directories.v1(v1);
    const dir2 = setV2 && directories.v2(v2);
    if (dir1 !== undefined) setV1(dir1);
    else if (dir2 !== undefined) setV2?.(dir2);
    else throw new CgroupError(`linux.resources.${field}`, `no ${v1} controller can be used: the host does not offer it, or not to this cgroup`);
  }
}

/**
 * `unified`, written last so that it wins over the translated limits; a value of several lines is several writes.
 * @throws CgroupError for a key that is no file name of an available controller.
 */
export function applyUnified(dir: CgroupDir, unified: Readonly<Record<string, string>>): void {
  for (const [key, value] of Object.entries(unified)) {
    const field = `linux.resources.unified[${JSON.stringify(key)}]`;
    if (!/^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+$/.test(key)) throw new CgroupError(field, "must be of the form CONTROLLER.PARAMETER");
    if (key.startsWith("cgroup.") && key !== "cgroup.max.depth" && key !== "cgroup.max.descendants") {
      throw new CgroupError(field, "only cgroup.max.depth and cgroup.max.descendants are resources");
    }
    for (const line of value.split("\n").filter(Boolean)) writeUnified(dir, key, line, field);
  }
}

function writeUnified(dir: CgroupDir, key: string, line: string, field: string): void {
  try {
    dir.write(key, line);
  } catch (error) {
    const controller = key.split(".")[0] ?? "";
    if (isErrno(error, EACCES, ENOENT, EPERM) && !dir.read("cgroup.controllers").split(/\s+/).includes(controller)) {
      throw new CgroupError(field, `controller ${controller} is not available here`);
    }
    throw error instanceof SysError ? error.within(field) : error;
  }
}
