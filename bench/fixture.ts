/**
 * A made-up result, for tests alone: no figure in it was measured. It has of everything some: a runtime that is missing, one that fails, a time-out,
 * rounds that fail, an outlier, probes that cannot tell.
 */
import type { Measurement, Outcome, Probe, Result, Samples, Unit } from "./result.ts";

const NAMES = ["native", "runc", "crun", "runsc-systrap", "bwrap", "tssandbox-namespace", "tssandbox-sentry"] as const;
const ROUNDS = 5;
/** Of the rounds of one runtime, as parts of its median: the fourth is an outlier. */
const NOISE = [0.97, 1.04, 1, 1.31, 0.95];

type Value = number | string;

function samplesOf(value: Value, shift: number): Samples {
  if (typeof value === "string") return { rounds: [], failures: Array.from({ length: ROUNDS }, (_, round) => ({ round, why: value })) };
  const rounds = Array.from({ length: ROUNDS }, (_, round) => ({ round, value: value * (NOISE[(round + shift) % ROUNDS] ?? 1) }));
  return { rounds, failures: [] };
}

/** @param values in the order of NAMES; a text is the reason of a failure, undefined was not tried. */
function measured(suite: string, name: string, unit: Unit, ...values: readonly (Value | undefined)[]): Measurement {
  const samples = NAMES.flatMap((runtime, index) => {
    const value = values[index];
    return value === undefined ? [] : [[runtime, samplesOf(value, index)] as const];
  });
  return { suite, name, unit, samples: Object.fromEntries(samples) };
}

function outcome(text: string): Outcome {
  const [, verdict = "unknown", value, detail] = /^(\w+)(?: (\d+))?(?:: (.*))?$/.exec(text) ?? [];
  return { verdict: verdict as Outcome["verdict"], ...(detail === undefined ? {} : { detail }), ...(value === undefined ? {} : { value: Number(value) }) };
}

interface About {
  readonly area: Probe["area"];
  readonly name: string;
  readonly about: string;
  readonly families?: string[];
  readonly unit?: string;
}

/** @param outcomes in the order of NAMES: "verdict", "verdict: detail", "verdict value". */
function probe(about: About, ...outcomes: readonly (string | undefined)[]): Probe {
  const entries = NAMES.flatMap((runtime, index) => {
    const text = outcomes[index];
    return text === undefined ? [] : [[runtime, outcome(text)] as const];
  });
  return { ...about, outcomes: Object.fromEntries(entries) };
}

const MEASUREMENTS: readonly Measurement[] = [
  measured("start", "cold command", "ms", 3.1, 27.4, 14.2, 104, 6.3, 66.8, 152),
  measured("start", "from a resident parent", "ms", undefined, undefined, undefined, undefined, undefined, 20.6, 61),
  measured("start", "start to first output", "ms", 3.8, 31, 17.5, 131, 8.1, 71, 163),
  measured("syscalls", "getppid", "ns", 91, 93, 92, 2010, 92, 93, 95),
  measured("syscalls", "uname (trapped)", "ns", 201, 207, 204, 2330, 205, 209, 6120),
  measured("syscalls", "stat", "ns", 512, 540, 533, 4100, 521, 539, 702),
  measured("syscalls", "open+close", "ns", 1010, 1060, 1055, 6520, 1030, 1064, 1490),
  measured("syscalls", "mmap+munmap, anonymous", "ns", 3120, 3140, 3180, 48_300, 3130, 3150, 3260),
  measured("syscalls", "pipe write+read", "ns", 301, 305, 303, 4900, 302, 306, 311),
  measured("files", "small files: create 2000", "ms", 22, 24, 23, 310, 22, 25, 58),
  measured("files", "tree walk", "ms", 11, 12, 12, 96, 11, 12, 14),
  measured("files", "sequential read", "MiB/s", 5200, 5100, 5150, 3100, 5180, 5090, 4950),
  measured("files", "random read 4k", "op/s", 402_000, 398_000, 400_000, 61_000, 401_000, 397_000, 391_000),
  measured("processes", "fork+wait", "us", 92, 95, 94, 2480, 93, 95, 99),
  measured("processes", "fork+exec", "us", 330, 338, 335, 6210, 334, 340, 371),
  measured("processes", "vfork storm", "ms", 410, 422, 418, "timed out after 60 s", 412, 424, 460),
  measured("network", "tcp latency", "us", 31, 32, 31, 58, 31, 32, 33),
  measured("network", "http, keep-alive", "req/s", 41_000, 40_100, 40_600, 9800, 40_900, 40_000, 38_200),
  measured("workloads", "make -j2, 60 C files", "ms", 711, 730, 724, 4063, 719, 741, 790),
  measured("workloads", "git, 2000 files", "ms", 224, 231, 229, 3292, 228, 236, 297),
  measured("workloads", "sqlite, 5000 autocommits", "ms", 94, 97, 96, 1741, 95, 98, 118),
  measured("workloads", "npm install", "s", 4.1, 4.3, 4.2, 19.8, "exit code 1: npm ERR! code EACCES: permission denied, mkdir '/root/.npm'", 4.4, 5.2),
  measured("density", "idle containers: 1", "MiB", undefined, 1.4, 0.9, 67.5, 0.3, 0.4, 42.4),
  measured("density", "idle containers: 10", "MiB", undefined, 14, 9, 455, 3, 4, 214),
  measured("density", "idle containers: 50", "MiB", undefined, 70, 45, "exit code 137: killed at container 38", 15, 20, 655),
  measured("density", "starts under load", "starts/s", undefined, 31, 58, 8.1, 140, 14, 6.3),
];

const SURFACE = { area: "surface", unit: "calls" } as const;
const NO_FILTER = "reached 362: no filter: 0 refused, 0 answered by the runtime, 358 more by the 32-bit entry";

const PROBES: readonly Probe[] = [
  probe({ ...SURFACE, name: "calls within reach of the guest", about: "Counts the system calls that the live filters of a running guest task let through to the host's kernel for some arguments." }, NO_FILTER, NO_FILTER, NO_FILTER, "reached 71: left to the stub that guest code runs in", NO_FILTER, "reached 312: 1 filter", "reached 118: 1 filter"),
  probe({ ...SURFACE, name: "calls that the runtime answers", about: "Counts the system calls that the live filters hand to a process of the runtime's, which answers in the host kernel's place." }, "reached 0", "reached 0", "reached 0", "emulated 264", "reached 0", "reached 0", "emulated 96: user notification"),
  probe({ ...SURFACE, name: "calls that answer", about: "Tries each system call from inside, with arguments that come to nothing, and counts those that do not answer as one that is missing or forbidden." }, "reached 340", "reached 301", "reached 301", "emulated 264", "reached 339", "reached 301", "reached 211"),
  probe({ area: "leaks", name: "kernel version", about: "Reads uname(2) and /proc/version and compares with the host's." }, "leaks: 6.18.5", "leaks: 6.18.5", "leaks: 6.18.5", "hidden: 4.4.0", "leaks: 6.18.5", "leaks: 6.18.5", "hidden: 6.6.0"),
  probe({ area: "leaks", name: "uptime", about: "Reads /proc/uptime." }, "leaks", "leaks", "leaks", "hidden: of the sandbox", "leaks", "leaks", "hidden: of the sandbox"),
  probe({ area: "leaks", name: "machine id", about: "Looks for /etc/machine-id and /sys/class/dmi/id/product_uuid." }, "leaks: product_uuid", "leaks: product_uuid", "leaks: product_uuid", "hidden", "hidden", "leaks: product_uuid", "hidden"),
  probe({ area: "escapes", name: "user namespaces", about: "unshare(CLONE_NEWUSER) in a child, which then ends.", families: ["CVE-2022-0185", "CVE-2023-0386"] }, "reached", "blocked: seccomp", "blocked: seccomp", "emulated", "reached", "blocked: seccomp", "blocked: sentry"),
  probe({ area: "escapes", name: "io_uring", about: "io_uring_setup(1): the ring is closed at once.", families: ["CVE-2022-29582", "CVE-2023-2598"] }, "reached", "reached", "reached", "blocked: ENOSYS", "reached", "blocked: seccomp", "blocked: seccomp"),
  probe({ area: "escapes", name: "bpf", about: "bpf(BPF_PROG_LOAD) with a program that returns 0.", families: ["CVE-2021-3490", "CVE-2023-2163"] }, "reached", "blocked: EPERM", "blocked: EPERM", "blocked: ENOSYS", "blocked: capability", "blocked: EPERM", "blocked: seccomp"),
  probe({ area: "escapes", name: "nftables", about: "Opens a netlink socket for NETLINK_NETFILTER and asks for the generation.", families: ["CVE-2022-0185", "CVE-2024-1086"] }, "reached", "reached", "reached", "blocked: EPROTONOSUPPORT", "reached", "reached", "blocked: seccomp"),
  probe({ area: "escapes", name: "core_pattern", about: "Opens /proc/sys/kernel/core_pattern for writing, and writes nothing.", families: ["CVE-2022-0492"] }, "reached", "blocked: read-only", "blocked: read-only", "blocked: no such file", "blocked: EACCES", "blocked: read-only", "blocked: read-only"),
  probe({ area: "escapes", name: "/proc/self/exe overwrite", about: "Looks whether the runtime's program is what /proc/self/exe shows, and whether it could be opened for writing.", families: ["CVE-2019-5736"] }, "unknown: there is no runtime", "blocked: ETXTBSY", "blocked: sealed copy", "emulated", "unknown: the program had ended", "blocked: ETXTBSY", "blocked: ETXTBSY"),
  probe({ area: "resources", name: "fork bomb", about: "Forks 2000 children below a limit of 256 processes while a neighbour answers requests.", unit: "ratio" }, "reached 410: the neighbour waits", "allowed 12", "allowed 11", "allowed 19", "reached 390: no limit", "allowed 12", "allowed 14"),
  probe({ area: "resources", name: "log flooding", about: "Writes 64 MiB to standard output while a neighbour answers requests.", unit: "ratio" }, "allowed 9", "allowed 9", "allowed 9", "allowed 15", "allowed 9", "allowed 10", "allowed 10"),
];

/** Everything anew at each call: a test may change it. */
export function madeUpResult(): Result {
  return structuredClone({
    version: 1,
    started: "2000-01-01T12:00:00.000Z",
    seconds: 754,
    rounds: ROUNDS,
    quick: false,
    machine: {
      kernel: "6.18.5", architecture: "x64", processor: "An Example Processor @ 2.60GHz", processors: 2, memory: 8 * 2 ** 30,
      system: "Debian GNU/Linux 12 (bookworm)", loadBefore: [0.31, 0.44, 0.6], loadAfter: [1.72, 1.4, 0.9],
    },
    runtimes: [
      ...NAMES.map((name) => ({ name, version: VERSIONS[name] })),
      { name: "kata", leftOut: "containerd-shim-kata-v2 is not on PATH" },
    ],
    measurements: [...MEASUREMENTS],
    probes: [...PROBES],
    notes: ["hyperfine is not installed: whole commands are timed by the bench itself", "pip install left out: no index can be reached"],
  });
}

const VERSIONS = {
  native: "chroot", runc: "runc version 1.1.5", crun: "crun version 1.8.1", "runsc-systrap": "runsc version release-20240729.0",
  bwrap: "bubblewrap 0.8.0", "tssandbox-namespace": "tssandbox 0.1.0", "tssandbox-sentry": "tssandbox 0.1.0",
} as const;
