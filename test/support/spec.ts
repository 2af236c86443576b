/** The parts of an OCI config.json that tests touch. Loose on purpose: tests also write what a runtime must refuse. */
export type IdMapping = { containerID: number; hostID: number; size: number };
export type Mount = { destination: string; type?: string; source?: string; options?: string[]; uidMappings?: IdMapping[]; gidMappings?: IdMapping[] };
export type Hook = { path: string; args?: string[]; env?: string[]; timeout?: number };
export type Namespace = { type: string; path?: string };
export type CapabilitySet = "bounding" | "effective" | "inheritable" | "permitted" | "ambient";
export type Process = {
  terminal?: boolean;
  consoleSize?: { height: number; width: number };
  user: { uid: number; gid: number; additionalGids?: number[]; umask?: number };
  args: string[];
  env: string[];
  cwd: string;
  capabilities?: Partial<Record<CapabilitySet, string[]>>;
  rlimits?: { type: string; soft: number; hard: number }[];
  noNewPrivileges?: boolean;
  oomScoreAdj?: number;
  scheduler?: Record<string, unknown>;
  ioPriority?: { class: string; priority: number };
  execCPUAffinity?: { initial?: string; final?: string };
  apparmorProfile?: string;
  selinuxLabel?: string;
};
export type Device = { path: string; type: string; major?: number; minor?: number; fileMode?: number; uid?: number; gid?: number };
export type DeviceRule = { allow: boolean; type?: string; major?: number; minor?: number; access?: string };
export type Resources = { devices?: DeviceRule[] } & Record<string, unknown>;
export type Linux = {
  namespaces: Namespace[];
  uidMappings?: IdMapping[];
  gidMappings?: IdMapping[];
  devices?: Device[];
  cgroupsPath?: string;
  resources?: Resources;
  sysctl?: Record<string, string>;
  seccomp?: Record<string, unknown>;
  maskedPaths?: string[];
  readonlyPaths?: string[];
  rootfsPropagation?: string;
  mountLabel?: string;
  personality?: { domain: string; flags?: string[] };
  timeOffsets?: Record<string, { secs: number; nanosecs: number }>;
  intelRdt?: Record<string, unknown>;
};
export type Spec = {
  ociVersion: string;
  process?: Process;
  root: { path: string; readonly?: boolean };
  hostname?: string;
  domainname?: string;
  mounts: Mount[];
  hooks?: Record<string, Hook[]>;
  linux: Linux;
  annotations?: Record<string, string>;
};

export const defaultCapabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

/** What `runc spec` writes, less the lines that only slow a test down. A fresh object at each call. */
export function defaultSpec(args: readonly string[], cgroupsPath: string): Spec {
  return {
    ociVersion: "1.0.2",
    process: {
      user: { uid: 0, gid: 0 },
      args: [...args],
      env: ["PATH=/bin", "TERM=xterm"],
      cwd: "/",
      capabilities: { bounding: [...defaultCapabilities], effective: [...defaultCapabilities], permitted: [...defaultCapabilities] },
      noNewPrivileges: true,
    },
    root: { path: "rootfs" },
    hostname: "contract",
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "strictatime", "mode=755", "size=65536k"] },
      { destination: "/dev/pts", type: "devpts", source: "devpts", options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] },
      { destination: "/dev/shm", type: "tmpfs", source: "shm", options: ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"] },
      { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
    ],
    linux: {
      cgroupsPath,
      resources: { devices: [{ allow: false, access: "rwm" }] },
      namespaces: ["pid", "network", "ipc", "uts", "mount"].map((type) => ({ type })),
      maskedPaths: ["/proc/kcore", "/proc/keys", "/sys/firmware"],
      readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    },
  };
}
