/** What a program in a sandbox learns of the host, by the names that leaks.py gives its answers. */

export interface Hidden {
  readonly what: string;
  /** What the sandbox says instead: a value, or a test of it. None of them can come from a host. */
  readonly instead: unknown;
}

const MEMORY_LIMIT = 256 * 2 ** 20;
export const limits = { memory: { limit: MEMORY_LIMIT }, pids: { limit: 100 } };

const below = (limit: number) => (values: readonly number[]) => values.every((value) => value < limit);

export const HIDDEN: readonly Hidden[] = [
  { what: "host name", instead: "guest" },
  { what: "kernel version", instead: "6.12.0-tssandbox" },
  { what: "kernel build", instead: "#1 SMP PREEMPT_DYNAMICLinux version 6.12.0-tssandbox #1 SMP PREEMPT_DYNAMIC\n" },
  { what: "kernel command line", instead: "\n" },
  { what: "machine id", instead: "No such file or directory" },
  { what: "boot id", instead: (id: string) => /^[\da-f-]{36}\n$/.test(id) },
  { what: "uptime", instead: below(60) },
  { what: "boot time", instead: (time: number) => Math.abs(time - Date.now() / 1000) < 60 },
  { what: "memory", instead: (sizes: readonly number[]) => sizes.every((size) => size === MEMORY_LIMIT) },
  { what: "load", instead: (load: string) => load.startsWith("0.00 0.00 0.00 ") },
  { what: "interrupts", instead: "" },
  { what: "disks", instead: "major minor  #blocks  name\n\n" },
  { what: "symbols", instead: "" },
  { what: "iomem", instead: "" },
  { what: "processes", instead: ["1"] },
  { what: "cgroup", instead: (text: string) => text.trim().split("\n").every((line) => line.endsWith(":/") || line === "/") },
  { what: "mount sources", instead: ["devpts", "devtmpfs", "gofer", "proc", "root", "shm", "tmpfs"] },
  { what: "size of the root file system", instead: limits.memory.limit / 2 },
  { what: "interfaces", instead: ["lo"] },
  { what: "environment", instead: ["HOME", "LC_ALL", "PATH", "TERM"] },
  { what: "/dev", instead: ["fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"] },
  { what: "files of the kernel that have content", instead: ["cmdline", "cpuinfo", "devices", "filesystems", "loadavg", "meminfo", "mounts", "partitions", "stat", "swaps", "uptime", "version"] },
];

export interface Told {
  readonly what: string;
  /** How near the sandbox's answer must be to the host's for this to be still true. */
  readonly within?: number;
  readonly reason: string;
}

const CANNOT = "The kernel has no namespace for it, and";

export const TOLD: readonly Told[] = [
  { what: "vDSO", reason: "The kernel maps its vDSO, whose note holds its version, into every process." },
  { what: "CPU flags", reason: "CPUID is an instruction; programs choose their code by it." },
  { what: "CPU model", reason: "The same." },
  { what: "CPUs of the affinity mask", reason: "sched_getaffinity is native; a quota is not a mask. linux.resources.cpu.cpus makes it smaller." },
  { what: "times(2)", within: 600, reason: `${CANNOT} the call counts from the host's start; time namespaces do not cover it.` },
  { what: "scheduler's clock", within: 600, reason: `${CANNOT} /proc/PID/sched lies in a directory that comes and goes with the process, over which nothing can be mounted.` },
  { what: "size of the host's devtmpfs", reason: "Half of the host's memory. Device nodes are the host's own, bound; a user namespace makes none." },
  { what: "pending signals", reason: "A default that the kernel derives from the memory's size; process.rlimits sets another." },
  { what: "packets of each CPU", reason: `${CANNOT} /proc/net/softnet_stat counts all packets of the host; /proc/self/net lies in a process's directory too.` },
  { what: "namespaces' numbers", within: 1_000_000, reason: "Inode numbers of /proc/PID/ns grow with each namespace that the host makes." },
];

/** What the sandbox alone has, by which its maker may know it. */
export const OWN = [
  { what: "ids on the host", reason: "/proc/PID/uid_map, and the owners in the options of tmpfs and devpts: the range that this sandbox has. It tells nothing but that there are others." },
] as const;
