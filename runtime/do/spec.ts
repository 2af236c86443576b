/** The configuration of a sandbox, composed in memory. */
import { assertNever } from "../../linux/errors.ts";
import type { Linux, LinuxNamespace, LinuxResources, Mount, POSIXRlimit, Spec } from "../spec/config.ts";
import { OCI_VERSION } from "../spec/names.ts";
import { sandboxFilter } from "./filter.ts";
import { HIDDEN_PROC, READONLY_PROC } from "./hidden.ts";
import type { Identity } from "./identity.ts";

export type Network = "none" | "host";

export interface Limits {
  /** Bytes; swap is not given in addition. */
  readonly memory: number | undefined;
  /** CPUs, fractions allowed. */
  readonly cpus: number | undefined;
  /** Tasks. */
  readonly pids: number;
}

export interface SpecRequest {
  readonly args: readonly string[];
  /** NAME=VALUE. */
  readonly env: readonly string[];
  readonly cwd: string;
  readonly hostname: string;
  readonly identity: Identity;
  readonly network: Network;
  /** Of the network namespace in the place of a new one. */
  readonly networkPath: string | undefined;
  readonly limits: Limits;
  /** Whether there is a cgroup to hold `limits.pids`. */
  readonly cgroup: boolean;
  readonly terminal: { readonly rows: number; readonly columns: number } | undefined;
  readonly loans: readonly Mount[];
  readonly masked: readonly string[];
  readonly annotations: Readonly<Record<string, string>>;
}

export function composeSpec(request: SpecRequest): Spec {
  const { user } = request.identity;
  return {
    ociVersion: OCI_VERSION,
    process: {
      user: { uid: user.uid, gid: user.gid },
      args: [...request.args],
      env: [...request.env],
      cwd: request.cwd,
      ...terminal(request),
      capabilities: { bounding: [], effective: [], permitted: [], inheritable: [], ambient: [] },
      noNewPrivileges: true,
      rlimits: resourceLimits(request),
    },
    hostname: request.hostname,
    mounts: [...ownMounts(request.identity), ...request.loans],
    annotations: { ...request.annotations },
    linux: linux(request),
  };
}

function terminal({ terminal: size }: SpecRequest) {
  return size === undefined ? {} : { terminal: true, consoleSize: { height: size.rows, width: size.columns } };
}

/**
 * Without a cgroup the number of tasks is bounded by the rlimit, which the kernel counts per user and user namespace since 5.14: the
 * caller's other processes do not count. Source: Linux kernel/ucount.c.
 */
function resourceLimits({ cgroup, limits }: SpecRequest): POSIXRlimit[] {
  const core: POSIXRlimit = { type: "RLIMIT_CORE", soft: 0, hard: 0 };
  return cgroup ? [core] : [core, { type: "RLIMIT_NPROC", soft: limits.pids, hard: limits.pids }];
}

function linux({ identity, network, networkPath, limits, cgroup, masked }: SpecRequest): Linux {
  return {
    uidMappings: [...identity.uidMappings],
    gidMappings: [...identity.gidMappings],
    resources: resources(limits, cgroup),
    namespaces: namespaces(network, networkPath),
    maskedPaths: [...HIDDEN_PROC.map(({ path }) => path), ...masked],
    readonlyPaths: [...READONLY_PROC],
    seccomp: sandboxFilter(),
  };
}

const CPU_PERIOD_US = 100_000;

function resources({ memory, cpus, pids }: Limits, cgroup: boolean): LinuxResources {
  return {
    devices: [{ allow: false, access: "rwm" }],
    ...(memory === undefined ? {} : { memory: { limit: memory, swap: memory } }),
    ...(cpus === undefined ? {} : { cpu: { period: CPU_PERIOD_US, quota: Math.round(cpus * CPU_PERIOD_US) } }),
    ...(cgroup ? { pids: { limit: pids } } : {}),
  };
}

function namespaces(network: Network, path: string | undefined): LinuxNamespace[] {
  const own = ["user", "pid", "mount", "ipc", "uts", "cgroup"] as const;
  switch (network) {
    case "none":
      return [...own.map((type) => ({ type })), { type: "network", ...(path !== undefined && { path }) }];
    case "host":
      return own.map((type) => ({ type }));
    default:
      return assertNever(network);
  }
}

/** No sysfs: what it tells is the host's. */
function ownMounts({ user, uidMappings }: Identity): Mount[] {
  // Group 5 is tty; a single mapped user has no such group.
  const tty = (uidMappings[0]?.size ?? 0) > 1 ? ["gid=5"] : [];
  const owner = `uid=${user.uid},gid=${user.gid}`.split(",");
  return [
    { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
    { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "strictatime", "mode=755", "size=64k", ...owner] },
    { destination: "/dev/pts", type: "devpts", source: "devpts", options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", ...tty] },
    { destination: "/dev/shm", type: "tmpfs", source: "shm", options: ["nosuid", "noexec", "nodev", "mode=1777", ...owner] },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"] },
  ];
}
