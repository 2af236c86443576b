/** What a container's configuration becomes when it runs as the guest of a sandbox. */
import { isDeepStrictEqual } from "node:util";
import { now } from "../../linux/sleep.ts";
import type { LinuxNamespace, LinuxNamespaceType, Mount, Spec } from "../spec/config.ts";
import { parseMountOptions } from "../spec/mount-parse.ts";
import { ConfigError } from "../spec/report.ts";
import type { Group } from "./group.ts";
import type { SandboxIds } from "./ids.ts";

/**
 * Kernel file systems that tell of the host: the sandbox has its own in their place (runtime/sandbox/system.ts). And that of message queues,
 * whose calls no guest has (policies/syscalls).
 */
const REPLACED: ReadonlySet<string> = new Set(["sysfs", "cgroup", "cgroup2", "mqueue"]);

/** @param group the sandbox that it joins, if so. @throws ConfigError for what a sandbox cannot give. */
export function asGuest(spec: Spec, { guest }: Pick<SandboxIds, "guest">, group: Group | undefined): Spec {
  const namespaces = ownUsers(spec, group);
  refuseShared(namespaces, group);
  if (group !== undefined && spec.linux?.timeOffsets !== undefined) refuse("linux.timeOffsets", "the clocks are those of the sandbox that the container joins");
  refusePriorities(spec.process);
  refuseTranslatedIds(spec);
  const gidMappings = mappings(spec.linux?.gidMappings, guest.gid, group);
  return {
    ...spec,
    mounts: (spec.mounts ?? []).filter(({ type }) => !REPLACED.has(type ?? "")),
    linux: {
      ...spec.linux,
      sysctl: withinGroups(sysctlsOf(spec, false), gidMappings),
      timeOffsets: group === undefined ? (spec.linux?.timeOffsets ?? sinceNow()) : undefined,
      maskedPaths: outsideOfSystem(spec.linux?.maskedPaths),
      readonlyPaths: outsideOfSystem(spec.linux?.readonlyPaths),
      namespaces: guestNamespaces(namespaces, group), uidMappings: mappings(spec.linux?.uidMappings, guest.uid, group), gidMappings,
    },
  };
}

/** Of /proc and /sys there is nothing to mask: they hold what the sandbox shows, and nothing else. */
function outsideOfSystem(paths: readonly string[] = []): string[] {
  return paths.filter((path) => !/^\/+(proc|sys)(\/|$)/.test(path));
}

type Mappings = NonNullable<NonNullable<Spec["linux"]>["uidMappings"]>;

/** The configured maps, or else the sandbox's own: a guest is nobody on the host, or the user who started it. In a user namespace that is shared, what that has. */
function mappings(configured: Mappings | undefined, own: readonly Mappings[number][], group: Group | undefined): Mappings {
  return configured !== undefined && configured.length > 0 && group?.fellow === undefined ? configured : [...own];
}

/** What a guest shares with nobody outside of its sandbox. */
const UNSHARED = ["user", "pid", "mount", "time"] as const;
/** What the containers of a sandbox may share. */
const WITH_FELLOWS: ReadonlySet<string> = new Set(["user", "pid"]);

/** What a guest has of its own, whatever its configuration says. Without the last, /proc/self/cgroup would tell where on the host it is. */
export const GUEST_NAMESPACES = [...UNSHARED, "cgroup"] as const;

/** Who shares processes shares their user namespace: nobody else has a right over them. All containers of a sandbox have one clock. */
function guestNamespaces(namespaces: readonly LinuxNamespace[], group: Group | undefined): LinuxNamespace[] {
  const shared: LinuxNamespace[] = [];
  if (group !== undefined) shared.push({ type: "time", path: `/proc/${group.first.record.pid}/ns/time` });
  if (group?.fellow !== undefined) shared.push({ type: "user", path: `/proc/${group.fellow.record.pid}/ns/user` });
  const kept = namespaces.filter(({ type }) => !shared.some((other) => other.type === type));
  const missing = GUEST_NAMESPACES.filter((type) => ![...kept, ...shared].some((namespace) => namespace.type === type));
  return [...kept, ...shared, ...missing.map((type) => ({ type }))];
}

/**
 * The sysctls of namespaces that the guest joins (`joined`), which only the host's root may set, or those of its own.
 * Source: Linux net/sysctl_net.c net_ctl_permissions, ipc/ipc_sysctl.c ipc_permissions.
 */
export function sysctlsOf({ linux }: Spec, joined: boolean): Record<string, string> {
  const isOwn = (type: LinuxNamespaceType) => linux?.namespaces?.some((namespace) => namespace.type === type && !namespace.path) === true;
  return Object.fromEntries(Object.entries(linux?.sysctl ?? {}).filter(([name]) => isOwn(/^net[./]/.test(name) ? "network" : "ipc") !== joined));
}

/**
 * "All groups", as docker and newer containerds write it, are those that there are in the guest: the kernel refuses others.
 * Source: icmp(7); Linux net/ipv4/sysctl_net_ipv4.c, ipv4_ping_group_range.
 */
function withinGroups(sysctls: Record<string, string>, groups: Mappings): Record<string, string> {
  const name = ["net.ipv4.ping_group_range", "net/ipv4/ping_group_range"].find((name) => sysctls[name] !== undefined);
  if (name === undefined) return sysctls;
  const [first = 0, last = 0] = (sysctls[name] ?? "").trim().split(/\s+/).map(Number);
  const range = groups.find(({ containerID, size }) => first >= containerID && first < containerID + size);
  return range === undefined ? sysctls : { ...sysctls, [name]: `${first} ${Math.min(last, range.containerID + range.size - 1)}` };
}

/** The clocks that count from the host's start count from the guest's: `ps` and uptime agree then, and neither tells of the host. */
function sinceNow(): NonNullable<NonNullable<Spec["linux"]>["timeOffsets"]> {
  const offset = { secs: -Math.floor(now() / 1000) };
  return { monotonic: offset, boottime: offset };
}

/** A user namespace that is given along with its maps, as containerd 2 does for a pod's first container, need not be joined: the guest has one with these maps. */
function ownUsers({ linux }: Spec, group: Group | undefined): readonly LinuxNamespace[] {
  const namespaces = linux?.namespaces ?? [];
  if (group?.fellow !== undefined || (linux?.uidMappings ?? []).length === 0) return namespaces;
  return namespaces.map((namespace) => (namespace.type === "user" ? { type: "user" } : namespace));
}

/** Namespaces that the sandbox must have to itself. */
function refuseShared(namespaces: readonly LinuxNamespace[], group: Group | undefined): void {
  for (const type of UNSHARED) {
    // joinGroup has made sure of whose they are.
    if (group?.fellow !== undefined && WITH_FELLOWS.has(type)) continue;
    const index = namespaces.findIndex((namespace) => namespace.type === type && namespace.path);
    if (index >= 0) refuse(`linux.namespaces[${index}].path`, `a sandbox has a ${type} namespace of its own, and joins none${WITH_FELLOWS.has(type) ? " but that of a container in the same sandbox" : ""}; use --mode namespace to share one`);
  }
  if (!namespaces.some(({ type }) => type === "pid")) refuse("linux.namespaces", "without one of type pid the container would see the host's processes, which a sandbox never does; add it, or use --mode namespace");
}

const REAL_TIME: ReadonlySet<string> = new Set(["SCHED_FIFO", "SCHED_RR", "SCHED_DEADLINE"]);

/** What the kernel grants in its first user namespace alone. Source: sched(7), ioprio_set(2). */
function refusePriorities(process: Spec["process"]): void {
  const { scheduler, ioPriority } = process ?? {};
  if (scheduler !== undefined && REAL_TIME.has(scheduler.policy)) refuse("process.scheduler.policy", `no process of a sandbox may have ${scheduler.policy}; use --mode namespace`);
  if ((scheduler?.nice ?? 0) < 0) refuse("process.scheduler.nice", "no process of a sandbox may go before others; use --mode namespace");
  if (ioPriority?.class === "IOPRIO_CLASS_RT") refuse("process.ioPriority.class", "no process of a sandbox may have IOPRIO_CLASS_RT; use --mode namespace");
}

/** Whether a volume has on the host's disk the ids that it has in the container, which are others on the host otherwise. Source: runtime-spec config.md, "idmap". */
export function hasGuestIds({ options, uidMappings = [], gidMappings = [] }: Mount, { linux }: Spec): boolean {
  if (uidMappings.length === 0) return parseMountOptions(options).idmap !== "none";
  return isDeepStrictEqual([uidMappings, gidMappings], [linux?.uidMappings, linux?.gidMappings]);
}

function refuseTranslatedIds(spec: Spec): void {
  for (const [i, mount] of (spec.mounts ?? []).entries()) {
    const { options, uidMappings = [], gidMappings = [] } = mount;
    const translated = uidMappings.length > 0 || gidMappings.length > 0 || parseMountOptions(options).idmap !== "none";
    if (translated && !hasGuestIds(mount, spec)) refuse(`mounts[${i}]`, "a sandbox's volumes are translated by the container's own maps or not at all; use --mode namespace for others");
  }
}

function refuse(field: string, why: string): never {
  throw new ConfigError("config.json", field, why);
}
