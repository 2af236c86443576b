import { array, type InferOutput, object, optional, picklist, record, string } from "valibot";

import { LinuxResourcesSchema } from "./config-resources.ts";
import {
  MEMORY_POLICY_FLAGS,
  MEMORY_POLICY_MODES,
  NAMESPACE_TYPES,
  PERSONALITY_DOMAINS,
  ROOTFS_PROPAGATIONS,
  SECCOMP_ACTIONS,
  SECCOMP_ARCHS,
  SECCOMP_FLAGS,
  SECCOMP_OPERATORS,
} from "./names.ts";
import { bool, exactUint64, int64, text, textMap, texts, uint32 } from "./scalars.ts";

// The `linux` object (config-linux.md of runtime-spec 1.3.0).

export const LinuxNamespaceSchema = object({
  type: picklist(NAMESPACE_TYPES),
  /** The namespace to join; absent or empty: a new one. */
  path: optional(text),
});
export type LinuxNamespace = InferOutput<typeof LinuxNamespaceSchema>;
export type LinuxNamespaceType = LinuxNamespace["type"];

export const LinuxIDMappingSchema = object({ containerID: uint32, hostID: uint32, size: uint32 });
export type LinuxIDMapping = InferOutput<typeof LinuxIDMappingSchema>;

export const LinuxTimeOffsetSchema = object({ secs: optional(int64), nanosecs: optional(uint32) });
export type LinuxTimeOffset = InferOutput<typeof LinuxTimeOffsetSchema>;

export const LinuxTimeOffsetsSchema = object({
  boottime: optional(LinuxTimeOffsetSchema),
  monotonic: optional(LinuxTimeOffsetSchema),
});
export type LinuxTimeOffsets = InferOutput<typeof LinuxTimeOffsetsSchema>;

export const LinuxDeviceSchema = object({
  path: text,
  /** "u" is "c". */
  type: picklist(["c", "b", "u", "p"]),
  /** Both present unless type is "p". */
  major: optional(int64),
  minor: optional(int64),
  /** Permission bits; the file type's bits (S_IFMT), which older engines leave in, are to be masked off. */
  fileMode: optional(uint32),
  uid: optional(uint32),
  gid: optional(uint32),
});
export type LinuxDevice = InferOutput<typeof LinuxDeviceSchema>;

export const LinuxNetDeviceSchema = object({ name: optional(text) });
export type LinuxNetDevice = InferOutput<typeof LinuxNetDeviceSchema>;

const action = picklist(SECCOMP_ACTIONS);

export const LinuxSeccompArgSchema = object({
  index: uint32,
  /** A bigint above 2^53. With SCMP_CMP_MASKED_EQ: the mask. */
  value: exactUint64,
  /** With SCMP_CMP_MASKED_EQ: the value after masking. */
  valueTwo: optional(exactUint64),
  op: picklist(SECCOMP_OPERATORS),
});
export type LinuxSeccompArg = InferOutput<typeof LinuxSeccompArgSchema>;
export type LinuxSeccompOperator = LinuxSeccompArg["op"];

export const LinuxSyscallSchema = object({
  names: texts,
  action,
  errnoRet: optional(uint32),
  args: optional(array(LinuxSeccompArgSchema)),
});
export type LinuxSyscall = InferOutput<typeof LinuxSyscallSchema>;

export const LinuxSeccompSchema = object({
  defaultAction: action,
  defaultErrnoRet: optional(uint32),
  architectures: optional(array(picklist(SECCOMP_ARCHS))),
  flags: optional(array(picklist(SECCOMP_FLAGS))),
  listenerPath: optional(text),
  listenerMetadata: optional(text),
  syscalls: optional(array(LinuxSyscallSchema)),
});
export type LinuxSeccomp = InferOutput<typeof LinuxSeccompSchema>;
export type LinuxSeccompAction = LinuxSeccomp["defaultAction"];
export type LinuxSeccompFlag = (typeof SECCOMP_FLAGS)[number];
export type Arch = (typeof SECCOMP_ARCHS)[number];

export const LinuxIntelRdtSchema = object({
  closID: optional(text),
  schemata: optional(texts),
  l3CacheSchema: optional(text),
  memBwSchema: optional(text),
  enableMonitoring: optional(bool),
});
export type LinuxIntelRdt = InferOutput<typeof LinuxIntelRdtSchema>;

export const LinuxMemoryPolicySchema = object({
  mode: picklist(MEMORY_POLICY_MODES),
  nodes: optional(text),
  flags: optional(array(picklist(MEMORY_POLICY_FLAGS))),
});
export type LinuxMemoryPolicy = InferOutput<typeof LinuxMemoryPolicySchema>;

export const LinuxPersonalitySchema = object({
  domain: picklist(PERSONALITY_DOMAINS),
  /** No flag is defined: always empty. */
  flags: optional(texts),
});
export type LinuxPersonality = InferOutput<typeof LinuxPersonalitySchema>;

export const LinuxSchema = object({
  uidMappings: optional(array(LinuxIDMappingSchema)),
  gidMappings: optional(array(LinuxIDMappingSchema)),
  sysctl: optional(textMap),
  resources: optional(LinuxResourcesSchema),
  cgroupsPath: optional(text),
  namespaces: optional(array(LinuxNamespaceSchema)),
  devices: optional(array(LinuxDeviceSchema)),
  /** By the device's name on the host. */
  netDevices: optional(record(string(), LinuxNetDeviceSchema)),
  seccomp: optional(LinuxSeccompSchema),
  rootfsPropagation: optional(picklist(ROOTFS_PROPAGATIONS)),
  maskedPaths: optional(texts),
  readonlyPaths: optional(texts),
  mountLabel: optional(text),
  intelRdt: optional(LinuxIntelRdtSchema),
  memoryPolicy: optional(LinuxMemoryPolicySchema),
  personality: optional(LinuxPersonalitySchema),
  timeOffsets: optional(LinuxTimeOffsetsSchema),
});
export type Linux = InferOutput<typeof LinuxSchema>;
