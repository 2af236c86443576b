import { array, type InferOutput, object, optional, picklist, unknown } from "valibot";

import { LinuxIDMappingSchema, LinuxSchema } from "./config-linux.ts";
import { IO_PRIORITY_CLASSES, RLIMITS, SCHEDULER_FLAGS, SCHEDULER_POLICIES } from "./names.ts";
import { bool, exactUint64, int32, text, textMap, texts, uint32, uint64 } from "./scalars.ts";

// config.json (config.md of runtime-spec 1.3.0): the common part, and by re-export the types of the Linux part. The types are
// what validate.ts hands out: names and meaning are the spec's, optional properties may be absent, strings may be empty
// where Go's omitempty would leave them out (treat "" as absent).

export type * from "./config-linux.ts";
export type * from "./config-resources.ts";

export const UserSchema = object({
  uid: optional(uint32, 0),
  gid: optional(uint32, 0),
  umask: optional(uint32),
  additionalGids: optional(array(uint32)),
  /** Windows only. */
  username: optional(text),
});
export type User = InferOutput<typeof UserSchema>;

export const BoxSchema = object({ height: uint32, width: uint32 });
export type Box = InferOutput<typeof BoxSchema>;

export const LinuxCapabilitiesSchema = object({
  bounding: optional(texts),
  effective: optional(texts),
  inheritable: optional(texts),
  permitted: optional(texts),
  ambient: optional(texts),
});
export type LinuxCapabilities = InferOutput<typeof LinuxCapabilitiesSchema>;

export const POSIXRlimitSchema = object({
  type: picklist(RLIMITS),
  /** A bigint above 2^53; 2n ** 64n - 1n is RLIM_INFINITY. */
  soft: exactUint64,
  hard: exactUint64,
});
export type POSIXRlimit = InferOutput<typeof POSIXRlimitSchema>;

export const SchedulerSchema = object({
  policy: picklist(SCHEDULER_POLICIES),
  nice: optional(int32),
  priority: optional(int32),
  flags: optional(array(picklist(SCHEDULER_FLAGS))),
  /** SCHED_DEADLINE, nanoseconds. */
  runtime: optional(uint64),
  deadline: optional(uint64),
  period: optional(uint64),
});
export type Scheduler = InferOutput<typeof SchedulerSchema>;

export const LinuxIOPrioritySchema = object({
  class: picklist(IO_PRIORITY_CLASSES),
  /** 0 (highest) to 7. */
  priority: optional(int32, 0),
});
export type LinuxIOPriority = InferOutput<typeof LinuxIOPrioritySchema>;

/** CPU lists such as "0-3,7"; for exec only. */
export const CPUAffinitySchema = object({ initial: optional(text), final: optional(text) });
export type CPUAffinity = InferOutput<typeof CPUAffinitySchema>;

export const ProcessSchema = object({
  terminal: optional(bool),
  consoleSize: optional(BoxSchema),
  user: optional(UserSchema, { uid: 0, gid: 0 }),
  args: optional(texts),
  /** Windows only. */
  commandLine: optional(text),
  env: optional(texts),
  cwd: text,
  capabilities: optional(LinuxCapabilitiesSchema),
  rlimits: optional(array(POSIXRlimitSchema)),
  noNewPrivileges: optional(bool),
  apparmorProfile: optional(text),
  /** -1000 to 1000; absent: unchanged. */
  oomScoreAdj: optional(int32),
  scheduler: optional(SchedulerSchema),
  selinuxLabel: optional(text),
  ioPriority: optional(LinuxIOPrioritySchema),
  execCPUAffinity: optional(CPUAffinitySchema),
});
export type Process = InferOutput<typeof ProcessSchema>;

export const RootSchema = object({
  /** Absolute, or relative to the bundle. */
  path: text,
  readonly: optional(bool),
});
export type Root = InferOutput<typeof RootSchema>;

export const MountSchema = object({
  destination: text,
  type: optional(text),
  source: optional(text),
  options: optional(texts),
  uidMappings: optional(array(LinuxIDMappingSchema)),
  gidMappings: optional(array(LinuxIDMappingSchema)),
});
export type Mount = InferOutput<typeof MountSchema>;

export const HookSchema = object({
  path: text,
  args: optional(texts),
  env: optional(texts),
  /** Seconds. */
  timeout: optional(int32),
});
export type Hook = InferOutput<typeof HookSchema>;

const hooks = optional(array(HookSchema));

export const HooksSchema = object({
  prestart: hooks,
  createRuntime: hooks,
  createContainer: hooks,
  startContainer: hooks,
  poststart: hooks,
  poststop: hooks,
});
export type Hooks = InferOutput<typeof HooksSchema>;

/** Sections of other platforms: accepted unread. */
const otherPlatform = optional(unknown());

export const SpecSchema = object({
  ociVersion: text,
  process: optional(ProcessSchema),
  root: optional(RootSchema),
  hostname: optional(text),
  domainname: optional(text),
  mounts: optional(array(MountSchema)),
  hooks: optional(HooksSchema),
  annotations: optional(textMap),
  linux: optional(LinuxSchema),
  solaris: otherPlatform,
  windows: otherPlatform,
  vm: otherPlatform,
  zos: otherPlatform,
  freebsd: otherPlatform,
});
export type Spec = InferOutput<typeof SpecSchema>;
