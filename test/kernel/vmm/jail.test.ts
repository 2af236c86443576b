// The VMM's jail: everything a VMM that its guest has taken over might try, and what the kernel says to it; and that a VMM goes on working in it.
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { simulator, syscallTable } from "../../../policies/seccomp-bpf-ts/src/index.ts";
import { bundle } from "../../../scripts/bundle.ts";
import { compileVmmFilter } from "../../../vmm/jail/policy.ts";
import { runCase } from "../../support/forked.ts";

const scripts = join(import.meta.dirname, "scripts");
const folder = mkdtempSync(join(tmpdir(), "tssandbox-taken-over-"));
const run = (name: string, ...args: string[]): unknown => runCase(join(scripts, "jailed.ts"), name, ...args);

/** What a VMM may call, some of it with certain arguments only. */
const REACHABLE = [
  "accept4", "brk", "clock_gettime", "clock_nanosleep", "close", "epoll_ctl", "epoll_pwait", "exit", "exit_group", "fcntl", "fdatasync", "fsync", "ftruncate",
  "futex", "getpid", "getrandom", "gettid", "gettimeofday", "ioctl", "madvise", "mmap", "mprotect", "mremap", "munmap", "pkey_mprotect", "ppoll", "pread64", "preadv",
  "pwrite64", "pwritev", "read", "readv", "recvmsg", "restart_syscall", "rt_sigprocmask", "rt_sigreturn", "sched_getaffinity", "sched_getparam", "sched_getscheduler",
  "sched_yield", "shutdown", "tgkill", "write", "writev",
];
const BY_ARGUMENT = ["fcntl", "ioctl", "mmap", "tgkill"];
/** The kernel's own, for its trampolines: no filter sees them, and whoever calls them from elsewhere gets SIGILL. Linux arch/x86/kernel/uprobes.c. */
const UNFILTERED = ["uretprobe", "uprobe"];
const others = [...syscallTable("x86_64").keys()].filter((name) => !REACHABLE.includes(name) && !UNFILTERED.includes(name));

interface Sealed {
  readonly calls: Record<string, string>;
  readonly ioctls: Record<string, string>;
  readonly work: boolean;
}
interface Report {
  readonly before: unknown;
  readonly after: Sealed;
  readonly work: boolean;
  readonly thread: Sealed;
}
let report: Report;

beforeAll(async () => {
  await bundle(join(scripts, "taken-over.ts"), folder, []);
  chmodSync(folder, 0o755);
  const { ended, log } = run("taken over", folder, others.join(",")) as { ended: unknown; log: string };
  expect(ended, log).toEqual({ kind: "exited", code: 0 });
  report = JSON.parse(log) as Report;
});

afterAll(() => rmSync(folder, { recursive: true }));

test("before the filter already: no file but the program's, no process but its own, no right", () => {
  expect(report.before).toEqual({
    "passwd": "ENOENT",
    "procfs": "ENOENT",
    "a device": "ENOENT",
    "new in the root": "EROFS",
    "new beside the program": "EROFS",
    "writing to the program": "EACCES",
    "reading the program": "ok",
    "its parent": 0,
    "a signal to a process of the host": "ESRCH",
    "tracing it": "ESRCH",
    "another identity": "EPERM",
    "a mount namespace": "EPERM",
    "a ring": "ENOSYS",
    "the name of the host": "EPERM",
  });
});

test.each(["after", "thread"] as const)("every system call that is not on the list is refused: %s", (where) => {
  expect(others.length).toBeGreaterThan(308);
  expect(Object.entries(report[where].calls).filter(([, errno]) => errno !== "EPERM")).toEqual([]);
  expect(Object.keys(report[where].calls)).toHaveLength(others.length);
});

test.each(["after", "thread"] as const)("of what is on the list, only what running a guest takes: %s", (where) => {
  const { ioctls, calls: _calls, work: _work, ...rest } = report[where];
  const reached = Object.entries(ioctls).filter(([, errno]) => errno !== "EPERM");
  // A descriptor that there is not: they got as far as that.
  expect(reached).toEqual([["KVM_RUN", "EBADF"], ["TUNSETOFFLOAD", "EBADF"]]);
  expect(rest).toEqual({
    "a shared mapping": "EPERM",
    "a file's mapping": "EPERM",
    "an executable mapping": "EPERM",
    "a signal to itself": "EPERM",
    "a kick to nobody": "ESRCH",
    "a socket": "EPERM",
    "append only no more": "EPERM",
  });
});

test("compiling and collecting go on, in all threads", () => {
  expect([report.work, report.thread.work]).toEqual([true, true]);
});

test("the live filters of every thread are the policies, and reach what is listed here", () => {
  const { threads, filters, policies } = run("filter") as { threads: number; filters: string[]; policies: string };
  expect(threads).toBeGreaterThan(2);
  expect(filters).toEqual([policies]);
  const simulate = simulator(compileVmmFilter());
  const reached = [...syscallTable("x86_64")].filter(([, nr]) => simulate({ arch: "x86_64", nr, args: [0, 0, 0, 0, 0, 0] }).action === "allow").map(([name]) => name);
  expect([...new Set([...reached, ...BY_ARGUMENT])].sort()).toEqual(REACHABLE);
});

const filter = simulator(compileVmmFilter());

test.each([
  ["running a vCPU", "ioctl", [9, 0xae80], "allow"],
  ["a new machine", "ioctl", [9, 0xae01], "errno"],
  ["memory of the machine", "ioctl", [9, 0x4020ae46], "errno"],
  ["registers of a vCPU", "ioctl", [9, 0x4090ae82], "errno"],
  ["saving them", "ioctl", [9, 0x8090ae81], "allow"],
  ["an interface's name", "ioctl", [9, 0x400454ca], "errno"],
  ["memory", "mmap", [0, 4096, 3, 0x22, -1, 0], "allow"],
  ["memory that nobody counts", "mmap", [0, 4096, 0, 0x4022, -1, 0], "allow"],
  ["a private mapping of a file", "mmap", [0, 4096, 3, 0x02, 3, 0], "errno"],
  ["a shared mapping", "mmap", [0, 4096, 3, 0x21, -1, 0], "errno"],
  ["code", "mmap", [0, 4096, 7, 0x22, -1, 0], "errno"],
  ["a kick", "tgkill", [1, 7, 40], "allow"],
  ["a kick of another process", "tgkill", [2, 7, 40], "errno"],
  ["killing a thread", "tgkill", [1, 7, 9], "errno"],
  ["a connection that does not wait", "fcntl", [9, 4, 0o4002], "allow"],
  ["a file that is no longer appended to", "fcntl", [9, 4, 1], "errno"],
  ["signals for a descriptor", "fcntl", [9, 8, 1], "errno"],
] as const)("%s: %s %o is %s", (_what, name, args, action) => {
  const nr = syscallTable("x86_64").get(name) ?? -1;
  expect(filter({ arch: "x86_64", nr, args: [...args] }).action).toBe(action);
});

test.each(["i386", "x32"])("no call by the %s entry", (entry) => {
  const state = entry === "i386" ? { arch: "x86" as const, nr: 1 } : { arch: "x86_64" as const, nr: 0x4000_0000 };
  expect(filter({ ...state, args: [0, 0, 0, 0, 0, 0] }).action).not.toBe("allow");
});

interface State {
  readonly status: Record<string, string>;
  readonly shared: readonly string[];
  readonly descriptors: readonly string[];
  readonly limits: Record<string, string>;
  readonly mounts: readonly string[];
}

test("it has no identity, no capability, no namespace, no mount and no descriptor but its own", () => {
  const { status, shared, descriptors, limits, mounts } = run("state") as State;
  const ids = Array(4).fill("77123457").join("\t");
  const none = "0000000000000000";
  expect(status).toEqual({
    Uid: ids, Gid: ids, Groups: "", CapInh: none, CapPrm: none, CapEff: none, CapBnd: none, CapAmb: none, NoNewPrivs: "1", Seccomp: "2", Seccomp_filters: "2",
  });
  // It has no right in that of the host either.
  expect(shared).toEqual(["user"]);
  // Pipes are of libuv's loops; the sockets listen.
  const own = descriptors.filter((name) => !/^(pipe:|anon_inode:\[(eventfd|eventpoll|signalfd)\])/.test(name));
  expect(own).toEqual(["/dev/kvm", "/log", "/null", "/null", "/serial", "anon_inode:kvm-vcpu:N", "anon_inode:kvm-vcpu:N", "anon_inode:kvm-vm", "socket:[N]", "socket:[N]"]);
  expect(limits).toMatchObject({ "Max core file size": "0 0", "Max locked memory": "0 0", "Max data size": `${1218 << 20} ${1218 << 20}`, "Max open files": "2048 2048" });
  expect(mounts.filter((line) => !line.split(" ")[1]?.startsWith("ro,nosuid,nodev"))).toEqual([]);
  expect(mounts.map((line) => line.split(" ")[0]).filter((path) => path?.includes("/lib") !== true)).toEqual(["/node", "/vmm", "/"]);
});

test("a guest boots, prints and powers off", () => {
  expect(run("powers off")).toEqual({ ended: { kind: "exited", code: 0 }, serial: "hello\n", log: "" });
});

test("it is paused, resumed and stopped, with forced collection, compilation and deoptimisation", () => {
  const flags = ["--gc-interval=500", "--always-sparkplug", "--deopt-every-n-times=100", "--stress-concurrent-inlining"];
  const { answers, ended, log } = run("is told what to do", ...flags) as { answers: string[]; ended: unknown; log: string };
  expect(answers).toEqual(Array(6).fill('{"ok":true}'));
  expect([ended, log]).toEqual([{ kind: "exited", code: 4 }, ""]);
});

test("its state is saved to a descriptor that comes along, and to no path", () => {
  const ok = '{"ok":true}';
  expect(run("snapshot")).toMatchObject({
    answers: ['{"ok":true,"requested":64,"plugged":0}', expect.stringMatching(/room for/) as string, expect.stringMatching(/EPERM/) as string, ok, ok, ok], memorySize: 192 << 20, vcpus: 2, ended: { kind: "exited", code: 4 }, log: "",
  });
});

test("it ends with whoever started it", () => {
  expect(run("its parent is killed")).toBe(true);
});

test("a jail that cannot be made is told, with the step", () => {
  expect(run("no such file")).toBe("root: open_tree /nowhere: no such file or directory (ENOENT)");
});
