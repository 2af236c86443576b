import type { Linux, LinuxIDMapping, LinuxNamespace, LinuxNamespaceType, Spec } from "./config.ts";
import { member, type Report } from "./report.ts";
import { sysctlSegments } from "./sysctl.ts";

// The rules about namespaces and about what needs one: config-linux.md#namespaces, #user-namespace-mappings,
// #offset-for-time-namespace, #sysctl, #network-devices, and runc's libcontainer/configs/validate.

export function checkNamespaces(spec: Spec, report: Report): void {
  const linux = spec.linux ?? {};
  duplicates(linux, report);
  paths(linux, report);
  mountNamespace(linux, report);
  utsNames(spec, report);
  userMappings(linux, report);
  timeOffsets(linux, report);
  sysctl(linux, report);
  netDevices(linux, report);
  if (report.rootless) rootless(linux, report);
}

export const namespaceOf = (linux: Linux | undefined, type: LinuxNamespaceType): LinuxNamespace | undefined =>
  linux?.namespaces?.find((namespace) => namespace.type === type);

/** True if the container has a namespace of this type of its own, new or joined. */
export const hasNamespace = (linux: Linux | undefined, type: LinuxNamespaceType): boolean => namespaceOf(linux, type) !== undefined;

/** True if the container joins an existing namespace of this type. */
export const joinsNamespace = (linux: Linux | undefined, type: LinuxNamespaceType): boolean => (namespaceOf(linux, type)?.path ?? "") !== "";

/** "duplicated namespaces with same type, the runtime MUST generate an error" */
function duplicates(linux: Linux, report: Report): void {
  const seen = new Set<string>();
  linux.namespaces?.forEach(({ type }, index) => {
    if (seen.has(type)) report.refuse(`linux.namespaces[${index}].type`, `${type} is given twice`);
    seen.add(type);
  });
}

/** "This value MUST be an absolute path in the runtime mount namespace." */
function paths(linux: Linux, report: Report): void {
  linux.namespaces?.forEach(({ path = "" }, index) => {
    if (path !== "" && !path.startsWith("/")) report.refuse(`linux.namespaces[${index}].path`, `must be an absolute path, is ${JSON.stringify(path)}`);
  });
}

/** Ours: without it every mount of the container would be made on the host, and stay. */
function mountNamespace(linux: Linux, report: Report): void {
  if (!hasNamespace(linux, "mount")) report.refuse("linux.namespaces", "a mount namespace is required");
}

/** uts_namespaces(7): names of up to 64 bytes (__NEW_UTS_LEN); without a UTS namespace they would be the host's. */
function utsNames(spec: Spec, report: Report): void {
  for (const key of ["hostname", "domainname"] as const) {
    const name = spec[key] ?? "";
    if (name === "") continue;
    if (!hasNamespace(spec.linux, "uts")) report.refuse(key, "cannot be set without a uts namespace");
    if (Buffer.byteLength(name) > 64) report.refuse(key, `must be at most 64 bytes, is ${Buffer.byteLength(name)}`);
  }
}

/**
 * Mappings belong to a user namespace and a new one needs them. containerd and CRI-O give the mappings of a namespace to join
 * as well: whoever opens it has to compare them (runc: setupUserNamespace), so here it is a warning.
 */
function userMappings(linux: Linux, report: Report): void {
  const given = (["uidMappings", "gidMappings"] as const).filter((key) => (linux[key]?.length ?? 0) > 0);
  for (const key of given) checkMappings(linux[key], `linux.${key}`, report);
  if (!hasNamespace(linux, "user")) {
    if (given[0] !== undefined) report.refuse(`linux.${given[0]}`, "needs a user namespace");
  } else if (joinsNamespace(linux, "user")) {
    if (given[0] !== undefined) report.warn(`linux.${given[0]}`, "must equal the mappings of the user namespace that is joined");
  } else {
    for (const key of ["uidMappings", "gidMappings"] as const) {
      if (!given.includes(key)) report.refuse(`linux.${key}`, "is required for a new user namespace");
    }
  }
}

/** user_namespaces(7): at most 340 ranges, none empty, none overlapping on either side, none reaching the id (uid_t) -1. */
export function checkMappings(mappings: readonly LinuxIDMapping[] | undefined, field: string, report: Report): void {
  if (mappings === undefined) return;
  if (mappings.length > 340) report.refuse(field, `must be at most 340 ranges, are ${mappings.length}`);
  mappings.forEach(({ containerID, hostID, size }, index) => {
    if (size === 0) report.refuse(`${field}[${index}].size`, "must be at least 1");
    if (containerID + size > 0xffff_ffff || hostID + size > 0xffff_ffff) report.refuse(`${field}[${index}].size`, `${size} reaches beyond the last id`);
  });
  for (const side of ["containerID", "hostID"] as const) overlap(mappings, side, field, report);
}

function overlap(mappings: readonly LinuxIDMapping[], side: "containerID" | "hostID", field: string, report: Report): void {
  const sorted = [...mappings].sort((a, b) => a[side] - b[side]);
  for (let i = 1; i < sorted.length; i++) {
    const [lower, upper] = [sorted[i - 1]!, sorted[i]!];
    if (lower[side] + lower.size > upper[side]) report.refuse(`${field}[${mappings.indexOf(upper)}].${side}`, `${upper[side]} is mapped twice`);
  }
}

/** time_namespaces(7). The offsets of a namespace that already has members cannot change. */
function timeOffsets(linux: Linux, report: Report): void {
  if (linux.timeOffsets === undefined) return;
  if (!hasNamespace(linux, "time")) report.refuse("linux.timeOffsets", "needs a time namespace");
  if (joinsNamespace(linux, "time")) report.refuse("linux.timeOffsets", "cannot be set for a time namespace that is joined");
  for (const [clock, offset] of Object.entries(linux.timeOffsets)) {
    if ((offset?.nanosecs ?? 0) >= 1e9) report.refuse(`linux.timeOffsets.${clock}.nanosecs`, `must be from 0 to 999999999, is ${offset?.nanosecs}`);
  }
}

const IPC_SYSCTLS: ReadonlySet<string> = new Set(["msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"].map((name) => `kernel/${name}`));

/**
 * /proc/sys is only partly namespaced: what is not would be changed for the host (runc: validator.go, sysctl). Whether a network
 * namespace to join is the host's own is not in the document: who opens it checks that.
 */
function sysctl(linux: Linux, report: Report): void {
  for (const key of Object.keys(linux.sysctl ?? {})) {
    const field = member("linux.sysctl", key);
    const path = sysctlSegments(key)?.join("/");
    if (path === undefined) report.refuse(field, "is not a sysctl name");
    const needed = namespaceOfSysctl(path);
    if (path === "kernel/hostname") report.refuse(field, "set hostname instead");
    if (needed === undefined) report.refuse(field, "is not in a namespace of its own: it would change the host");
    if (!hasNamespace(linux, needed)) report.refuse(field, `needs ${needed === "ipc" ? "an" : "a"} ${needed} namespace`);
  }
}

function namespaceOfSysctl(path: string): LinuxNamespaceType | undefined {
  if (IPC_SYSCTLS.has(path) || path.startsWith("fs/mqueue/")) return "ipc";
  if (path.startsWith("net/")) return "network";
  if (path.startsWith("user/")) return "user";
  return path === "kernel/domainname" || path === "kernel/hostname" ? "uts" : undefined;
}

/** net/core/dev.c, dev_valid_name: at most 15 bytes, not . or .., without / : and white space. */
const isDeviceName = (name: string): boolean => name !== "" && Buffer.byteLength(name) < 16 && name !== "." && name !== ".." && !/[/:\s]/.test(name);

function netDevices(linux: Linux, report: Report): void {
  const devices = Object.entries(linux.netDevices ?? {});
  if (devices.length === 0) return;
  if (!hasNamespace(linux, "network")) report.refuse("linux.netDevices", "needs a network namespace");
  if (report.rootless) report.refuse("linux.netDevices", "needs a privileged runtime");
  for (const [hostName, { name = "" }] of devices) {
    const field = member("linux.netDevices", hostName);
    if (!isDeviceName(hostName)) report.refuse(field, "is not a network device name");
    if (name !== "" && !isDeviceName(name)) report.refuse(member(field, "name"), `is not a network device name: ${JSON.stringify(name)}`);
  }
}

/** runc's rootlessEUIDMappings; that a new namespace has mappings is `userMappings`. */
function rootless(linux: Linux, report: Report): void {
  if (!hasNamespace(linux, "user")) report.refuse("linux.namespaces", "a user namespace is required without root privilege");
}
