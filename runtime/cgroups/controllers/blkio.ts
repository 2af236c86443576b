import type { LinuxBlockIO } from "../../spec/config-resources.ts";
import type { CgroupDir } from "../files.ts";
import { readOptional } from "../files.ts";
import { decimal, isSet, unsupportedOnV2 } from "../resources.ts";

const throttles = [
  { field: "throttleReadBpsDevice", v1: "blkio.throttle.read_bps_device", v2: "rbps" },
  { field: "throttleWriteBpsDevice", v1: "blkio.throttle.write_bps_device", v2: "wbps" },
  { field: "throttleReadIOPSDevice", v1: "blkio.throttle.read_iops_device", v2: "riops" },
  { field: "throttleWriteIOPSDevice", v1: "blkio.throttle.write_iops_device", v2: "wiops" },
] as const;

export const wantsBlkio = (blockIO: LinuxBlockIO | undefined): blockIO is LinuxBlockIO =>
  blockIO !== undefined &&
  (isSet(blockIO.weight) || isSet(blockIO.leafWeight) || Boolean(blockIO.weightDevice?.length) || throttles.some(({ field }) => blockIO[field]?.length));

/** CFQ had blkio.weight, BFQ (since 5.0 the only one with weights) has blkio.bfq.weight. */
const weightPrefix = (dir: CgroupDir): string => (dir.has("blkio.weight") ? "blkio" : "blkio.bfq");

/** Source: Documentation/admin-guide/cgroup-v1/blkio-controller.rst, block/bfq-cgroup.c. */
export function setBlkioV1(dir: CgroupDir, blockIO: LinuxBlockIO): void {
  if (isSet(blockIO.weight)) dir.write(`${weightPrefix(dir)}.weight`, decimal(blockIO.weight));
  if (isSet(blockIO.leafWeight)) dir.write("blkio.leaf_weight", decimal(blockIO.leafWeight));
  for (const { major, minor, weight, leafWeight } of blockIO.weightDevice ?? []) {
    if (isSet(weight)) dir.write(`${weightPrefix(dir)}.weight_device`, `${major}:${minor} ${decimal(weight)}`);
    if (isSet(leafWeight)) dir.write("blkio.leaf_weight_device", `${major}:${minor} ${decimal(leafWeight)}`);
  }
  for (const { field, v1 } of throttles) {
    for (const { major, minor, rate } of blockIO[field] ?? []) dir.write(v1, `${major}:${minor} ${decimal(rate)}`);
  }
}

/** v1 weight (10..1000) to v2 io.weight (1..10000), linear. Source: crun.1.md, "IO controller"; runc has the same. */
export const blkioWeightToIoWeight = (weight: number): number => 1 + Math.trunc(((weight - 10) * 9999) / 990);

/** Source: Documentation/admin-guide/cgroup-v2.rst, "IO Interface Files". A v1 rate of 0 takes the limit away: `max`. */
export function setBlkioV2(dir: CgroupDir, blockIO: LinuxBlockIO): void {
  if (isSet(blockIO.leafWeight)) unsupportedOnV2("blockIO.leafWeight");
  if (isSet(blockIO.weight)) setWeightV2(dir, blockIO.weight);
  for (const { major, minor, weight, leafWeight } of blockIO.weightDevice ?? []) {
    if (isSet(leafWeight)) unsupportedOnV2("blockIO.weightDevice.leafWeight");
    if (isSet(weight)) setDeviceWeightV2(dir, `${major}:${minor}`, weight);
  }
  for (const { field, v2 } of throttles) {
    for (const { major, minor, rate } of blockIO[field] ?? []) {
      dir.write("io.max", `${major}:${minor} ${v2}=${isSet(rate) ? decimal(rate) : "max"}`);
    }
  }
}

function setWeightV2(dir: CgroupDir, weight: number): void {
  if (dir.has("io.bfq.weight")) dir.write("io.bfq.weight", decimal(weight));
  else dir.write("io.weight", String(blkioWeightToIoWeight(weight)));
}

/** io.bfq.weight takes devices since 5.4, where reading it shows `default N` in place of a bare number. */
function setDeviceWeightV2(dir: CgroupDir, device: string, weight: number): void {
  const bfq = readOptional(dir, "io.bfq.weight");
  if (bfq !== undefined && !/^\d+$/.test(bfq)) dir.write("io.bfq.weight", `${device} ${decimal(weight)}`);
  else dir.write("io.weight", `${device} ${blkioWeightToIoWeight(weight)}`);
}
