import type { LinuxNamespace, Mount, Spec } from "./config.ts";
import { OCI_VERSION } from "./names.ts";

/** What the template depends on. */
export interface TemplateOptions {
  /** For an ordinary user: a user namespace with that one user as root in it, and nothing that needs more. */
  readonly rootless?: { readonly uid: number; readonly gid: number } | undefined;
  /** True on a host with cgroup v2 alone: a cgroup namespace then shows the container its own cgroup as the root. */
  readonly cgroupNamespace?: boolean;
}

const CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

/** The configuration that `spec` writes: a shell in `rootfs`, with the sections and defaults that users of runc know. */
export function templateSpec({ rootless, cgroupNamespace = false }: TemplateOptions = {}): Spec {
  const privileged = rootless === undefined;
  return {
    ociVersion: OCI_VERSION,
    process: {
      terminal: true,
      user: { uid: 0, gid: 0 },
      args: ["sh"],
      env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
      cwd: "/",
      capabilities: { bounding: [...CAPABILITIES], effective: [...CAPABILITIES], permitted: [...CAPABILITIES] },
      rlimits: [{ type: "RLIMIT_NOFILE", hard: 1024, soft: 1024 }],
      noNewPrivileges: true,
    },
    root: { path: "rootfs", readonly: true },
    hostname: "tssandbox",
    mounts: mounts(privileged),
    linux: {
      ...(privileged ? { resources: { devices: [{ allow: false, access: "rwm" }] } } : mappings(rootless)),
      namespaces: namespaces(privileged, cgroupNamespace),
      maskedPaths: [
        "/proc/acpi",
        "/proc/asound",
        "/proc/interrupts",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/proc/sched_debug",
        "/proc/scsi",
        "/sys/devices/virtual/powercap",
        "/sys/firmware",
      ],
      readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    },
  };
}

const mappings = ({ uid, gid }: { uid: number; gid: number }) => ({
  uidMappings: [{ containerID: 0, hostID: uid, size: 1 }],
  gidMappings: [{ containerID: 0, hostID: gid, size: 1 }],
});

/** Without privilege nobody can connect a new network namespace: the host's network is kept. */
function namespaces(privileged: boolean, cgroup: boolean): LinuxNamespace[] {
  const types: LinuxNamespace["type"][] = ["pid", ...(privileged ? (["network"] as const) : []), "ipc", "uts", "mount"];
  if (cgroup) types.push("cgroup");
  if (!privileged) types.push("user");
  return types.map((type) => ({ type }));
}

function mounts(privileged: boolean): Mount[] {
  return [
    { destination: "/proc", type: "proc", source: "proc" },
    { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "strictatime", "mode=755", "size=65536k"] },
    // Group 5 is tty; a single mapped user has no such group.
    { destination: "/dev/pts", type: "devpts", source: "devpts", options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", ...(privileged ? ["gid=5"] : [])] },
    { destination: "/dev/shm", type: "tmpfs", source: "shm", options: ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"] },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"] },
    // sysfs can be mounted only by the owner of the network namespace.
    privileged
      ? { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] }
      : { destination: "/sys", type: "none", source: "/sys", options: ["rbind", "nosuid", "noexec", "nodev", "ro"] },
    { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["nosuid", "noexec", "nodev", "relatime", "ro"] },
  ];
}
