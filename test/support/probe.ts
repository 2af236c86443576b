/** What guest/probe.c prints. Capability and signal sets are 16 hexadecimal digits. */
export type Probe = {
  pid: number; ppid: number; pgid: number; sid: number;
  fds: { fd: number; cloexec: boolean; access: number; mode: number; ino: number; target: string | null }[];
  /** Real, effective, saved, file system. */
  uid: [number, number, number, number];
  gid: [number, number, number, number];
  groups: number[];
  umask: number;
  caps: Record<"effective" | "permitted" | "inheritable" | "bounding" | "ambient", string>;
  noNewPrivs: number; securebits: number; keepCaps: number; dumpable: number; pdeathsig: number; subreaper: number;
  timerSlack: number; thpDisable: number; personality: number;
  /** Soft and hard; -1 is unlimited. */
  rlimits: Record<string, [number, number]>;
  sched: { policy: number; flags: number; nice: number; priority: number; runtime: number; deadline: number; period: number };
  /** Class in bits 13 and up, priority below (ioprio_get(2)). */
  ioprio: number;
  cpus: number[];
  memoryPolicy: { mode: number; nodes: number };
  clocks: { monotonic: number; boottime: number; realtime: number };
  keyring: { id: number; description: string | null };
  ttys: { fd: number; name: string; rows: number; columns: number; foreground: number }[];
  controllingTty: boolean;
  signals: { blocked: string; ignored: string; handled: string };
  ns: Record<"cgroup" | "ipc" | "mnt" | "net" | "pid" | "time" | "user" | "uts", number>;
  cwd: string | null; root: string | null; exe: string | null;
  hostname: string; domainname: string; machine: string;
  argv: string[]; env: string[];
  status: string | null; oomScoreAdj: string | null; cgroup: string | null; mountinfo: string | null;
  uidMap: string | null; gidMap: string | null; setgroups: string | null; timensOffsets: string | null; attr: string | null;
};

export function parseProbe(text: string): Probe {
  return JSON.parse(text) as Probe;
}

/** Names in the order of their numbers: uapi/linux/capability.h. */
const capabilityNames =
  `CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK
  IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE
  AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`.split(/\s+/);

/** A set as the kernel prints it -> sorted CAP_ names. */
export function capabilitySet(hexDigits: string): string[] {
  const bits = BigInt(`0x${hexDigits}`);
  return capabilityNames.filter((_name, number) => (bits >> BigInt(number)) & 1n).map((name) => `CAP_${name}`).sort();
}

export type MountEntry = { point: string; root: string; options: string[]; optional: string[]; type: string; source: string; superOptions: string[] };

/** proc_pid_mountinfo(5), in mount order. */
export function parseMountinfo(text: string): MountEntry[] {
  return text.trim().split("\n").map((line) => {
    const [left = "", right = ""] = line.split(" - ");
    const [, , , root = "", point = "", options = "", ...optional] = left.split(" ");
    const [type = "", source = "", superOptions = ""] = right.split(" ");
    return { point, root, options: options.split(","), optional: optional.filter((field) => field !== ""), type, source, superOptions: superOptions.split(",") };
  });
}

/** The topmost mount at a path. */
export function mountAt(text: string, point: string): MountEntry {
  const found = parseMountinfo(text).findLast((entry) => entry.point === point);
  if (found === undefined) throw new Error(`nothing is mounted at ${point}:\n${text}`);
  return found;
}
