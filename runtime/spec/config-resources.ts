import { array, type InferOutput, object, optional, record, string } from "valibot";

import { bool, int64, text, textMap, uint16, uint32, uint64 } from "./scalars.ts";

// linux.resources (config-linux.md#control-groups). Names are the spec's and reach `update --resources` unchanged.

export const LinuxDeviceCgroupSchema = object({
  allow: bool,
  /** "a", "c" or "b"; absent means "a". */
  type: optional(text),
  /** Absent or -1: any. */
  major: optional(int64),
  minor: optional(int64),
  /** One or more of "r", "w", "m". */
  access: optional(text),
});
export type LinuxDeviceCgroup = InferOutput<typeof LinuxDeviceCgroupSchema>;

/** Bytes; -1 is unlimited. */
export const LinuxMemorySchema = object({
  limit: optional(int64),
  reservation: optional(int64),
  /** Memory and swap together. */
  swap: optional(int64),
  kernel: optional(int64),
  kernelTCP: optional(int64),
  swappiness: optional(uint64),
  disableOOMKiller: optional(bool),
  useHierarchy: optional(bool),
  checkBeforeUpdate: optional(bool),
});
export type LinuxMemory = InferOutput<typeof LinuxMemorySchema>;

/** Times in microseconds. */
export const LinuxCPUSchema = object({
  shares: optional(uint64),
  quota: optional(int64),
  burst: optional(uint64),
  period: optional(uint64),
  realtimeRuntime: optional(int64),
  realtimePeriod: optional(uint64),
  cpus: optional(text),
  mems: optional(text),
  /** 0 or 1 (SCHED_IDLE). */
  idle: optional(int64),
});
export type LinuxCPU = InferOutput<typeof LinuxCPUSchema>;

/** -1 is no limit. */
export const LinuxPidsSchema = object({ limit: optional(int64) });
export type LinuxPids = InferOutput<typeof LinuxPidsSchema>;

export const LinuxWeightDeviceSchema = object({
  major: int64,
  minor: int64,
  weight: optional(uint16),
  leafWeight: optional(uint16),
});
export type LinuxWeightDevice = InferOutput<typeof LinuxWeightDeviceSchema>;

/** Bytes or operations per second. */
export const LinuxThrottleDeviceSchema = object({ major: int64, minor: int64, rate: uint64 });
export type LinuxThrottleDevice = InferOutput<typeof LinuxThrottleDeviceSchema>;

const throttles = optional(array(LinuxThrottleDeviceSchema));

export const LinuxBlockIOSchema = object({
  weight: optional(uint16),
  leafWeight: optional(uint16),
  weightDevice: optional(array(LinuxWeightDeviceSchema)),
  throttleReadBpsDevice: throttles,
  throttleWriteBpsDevice: throttles,
  throttleReadIOPSDevice: throttles,
  throttleWriteIOPSDevice: throttles,
});
export type LinuxBlockIO = InferOutput<typeof LinuxBlockIOSchema>;

export const LinuxHugepageLimitSchema = object({
  /** "64KB", "2MB", "1GB": part of the control file's name. */
  pageSize: text,
  limit: uint64,
});
export type LinuxHugepageLimit = InferOutput<typeof LinuxHugepageLimitSchema>;

export const LinuxInterfacePrioritySchema = object({ name: text, priority: uint32 });
export type LinuxInterfacePriority = InferOutput<typeof LinuxInterfacePrioritySchema>;

export const LinuxNetworkSchema = object({
  classID: optional(uint32),
  priorities: optional(array(LinuxInterfacePrioritySchema)),
});
export type LinuxNetwork = InferOutput<typeof LinuxNetworkSchema>;

export const LinuxRdmaSchema = object({ hcaHandles: optional(uint32), hcaObjects: optional(uint32) });
export type LinuxRdma = InferOutput<typeof LinuxRdmaSchema>;

export const LinuxResourcesSchema = object({
  devices: optional(array(LinuxDeviceCgroupSchema)),
  memory: optional(LinuxMemorySchema),
  cpu: optional(LinuxCPUSchema),
  pids: optional(LinuxPidsSchema),
  blockIO: optional(LinuxBlockIOSchema),
  hugepageLimits: optional(array(LinuxHugepageLimitSchema)),
  network: optional(LinuxNetworkSchema),
  /** By device name. */
  rdma: optional(record(string(), LinuxRdmaSchema)),
  /** cgroup v2 file names and what to write into them. */
  unified: optional(textMap),
});
export type LinuxResources = InferOutput<typeof LinuxResourcesSchema>;
