import type { LinuxBlockIO, LinuxCPU, LinuxDeviceCgroup, LinuxMemory, LinuxResources } from "./config-resources.ts";
import { checkList, checkRange } from "./numbers.ts";
import { member, type Report } from "./report.ts";

// The rules for linux.resources: config-linux.md#control-groups and the kernel's ranges (Documentation/admin-guide/cgroup-v1,
// cgroup-v2.rst). Names and values that become part of a file name or of a line in a control file are checked for that.

/** @param at where the resources stand in their document: "linux.resources", or "" in the file of `update`. */
export function checkResources(resources: LinuxResources, at: string, report: Report): void {
  resources.devices?.forEach((device, index) => deviceRule(device, member(member(at, "devices"), index), report));
  if (resources.memory !== undefined) memory(resources.memory, member(at, "memory"), report);
  if (resources.cpu !== undefined) cpu(resources.cpu, member(at, "cpu"), report);
  if (resources.pids !== undefined) atLeast(resources.pids.limit, -1, member(member(at, "pids"), "limit"), report);
  if (resources.blockIO !== undefined) blockIO(resources.blockIO, member(at, "blockIO"), report);
  hugepageLimits(resources, member(at, "hugepageLimits"), report);
  networkPriorities(resources, member(member(at, "network"), "priorities"), report);
  rdma(resources, member(at, "rdma"), report);
  unified(resources, member(at, "unified"), report);
}

function atLeast(value: number | undefined, min: number, field: string, report: Report): void {
  if (value !== undefined && value < min) report.refuse(field, `must be at least ${min}, is ${value}`);
}

/** "`a` (all), `c` (char), or `b` (block)"; "A composition of r (read), w (write), and m (mknod)", which runc wants non-empty. */
function deviceRule({ type = "a", major, minor, access = "" }: LinuxDeviceCgroup, at: string, report: Report): void {
  if (!["a", "b", "c", ""].includes(type)) report.refuse(member(at, "type"), `must be one of a, b, c, is ${JSON.stringify(type)}`);
  if (!/^[rwm]+$/.test(access)) report.refuse(member(at, "access"), `must be one or more of r, w, m, is ${JSON.stringify(access)}`);
  // include/linux/kdev_t.h: 12 bits of major, 20 of minor. -1 stands for all, as in runc.
  checkRange(major, -1, 0xfff, member(at, "major"), report);
  checkRange(minor, -1, 0xf_ffff, member(at, "minor"), report);
}

/** "the limit in bytes, or -1 for unlimited memory"; "The values are from 0 to 100" (swappiness). */
function memory(limits: LinuxMemory, at: string, report: Report): void {
  for (const key of ["limit", "reservation", "swap", "kernel", "kernelTCP"] as const) atLeast(limits[key], -1, member(at, key), report);
  checkRange(limits.swappiness, 0, 100, member(at, "swappiness"), report);
  const { limit = 0, swap = 0 } = limits;
  // `swap` counts memory too. 0 is "not set" in what engines send.
  if (limit > 0 && swap > 0 && swap < limit) report.refuse(member(at, "swap"), `memory and swap together must be at least the memory limit of ${limit}, is ${swap}`);
  for (const key of ["kernel", "kernelTCP"] as const) {
    if ((limits[key] ?? 0) > 0) report.warn(member(at, key), "the kernel no longer has this limit, ignored");
  }
}

/** kernel/sched/core.c, tg_set_cfs_bandwidth: period 1 ms to 1 s, quota at least 1 ms, burst at most the quota. 0 is "not set". */
function cpu(limits: LinuxCPU, at: string, report: Report): void {
  const { quota = 0, period = 0, burst = 0 } = limits;
  if (period !== 0) checkRange(period, 1000, 1_000_000, member(at, "period"), report);
  if (quota < -1 || (quota > 0 && quota < 1000)) report.refuse(member(at, "quota"), `must be -1 or at least 1000 (us), is ${quota}`);
  if (quota > 0 && burst > quota) report.refuse(member(at, "burst"), `must be at most the quota of ${quota}, is ${burst}`);
  atLeast(limits.realtimeRuntime, -1, member(at, "realtimeRuntime"), report);
  checkRange(limits.idle, 0, 1, member(at, "idle"), report);
  checkList(limits.cpus, member(at, "cpus"), report);
  checkList(limits.mems, member(at, "mems"), report);
}

/** cgroup v1's blkio.weight and BFQ's take 10 to 1000; 0 is "not set". */
function weight(value: number | undefined, field: string, report: Report): void {
  if (value !== 0) checkRange(value, 10, 1000, field, report);
}

/** "You MUST specify at least one of weight or leafWeight in a given entry" */
function blockIO(limits: LinuxBlockIO, at: string, report: Report): void {
  weight(limits.weight, member(at, "weight"), report);
  weight(limits.leafWeight, member(at, "leafWeight"), report);
  limits.weightDevice?.forEach((device, index) => {
    const field = member(member(at, "weightDevice"), index);
    if (device.weight === undefined && device.leafWeight === undefined) report.refuse(field, "must have weight or leafWeight");
    weight(device.weight, member(field, "weight"), report);
    weight(device.leafWeight, member(field, "leafWeight"), report);
  });
  for (const [key, devices] of Object.entries(limits)) {
    if (Array.isArray(devices)) devices.forEach((device, index) => blockDevice(device, member(member(at, key), index), report));
  }
}

function blockDevice({ major, minor }: { major: number; minor: number }, at: string, report: Report): void {
  checkRange(major, 0, 0xfff, member(at, "major"), report);
  checkRange(minor, 0, 0xf_ffff, member(at, "minor"), report);
}

/** "the format <size><unit-prefix>B (64KB, 2MB, 1GB)": part of a file name. */
function hugepageLimits({ hugepageLimits: limits }: LinuxResources, at: string, report: Report): void {
  limits?.forEach(({ pageSize }, index) => {
    if (!/^[1-9]\d{0,5}[KMG]B$/.test(pageSize)) report.refuse(member(member(at, index), "pageSize"), `must be like 2MB, is ${JSON.stringify(pageSize)}`);
  });
}

/** net_prio.ifpriomap has one "interface priority" per line. */
function networkPriorities({ network }: LinuxResources, at: string, report: Report): void {
  network?.priorities?.forEach(({ name }, index) => {
    if (name === "" || /\s/.test(name)) report.refuse(member(member(at, index), "name"), `is not a network device name: ${JSON.stringify(name)}`);
  });
}

/** rdma.max has one "device key=value ..." per line. */
function rdma({ rdma: devices }: LinuxResources, at: string, report: Report): void {
  for (const device of Object.keys(devices ?? {})) {
    if (device === "" || /\s/.test(device)) report.refuse(member(at, device), "is not an RDMA device name");
  }
}

/** "Each key in the map refers to a file in the cgroup unified hierarchy": in the container's own cgroup, so never a path. */
function unified({ unified: files }: LinuxResources, at: string, report: Report): void {
  for (const file of Object.keys(files ?? {})) {
    if (!/^[A-Za-z0-9_]+(\.[A-Za-z0-9_-]+)+$/.test(file)) report.refuse(member(at, file), "must be the name of a cgroup file, such as memory.high");
  }
}
