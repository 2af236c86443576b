/** The jail from inside: everything a sentry that its guest has taken over might try, and what the kernel says to it. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { simulator, syscallTable } from "../../../policies/seccomp-bpf-ts/src/index.ts";
import { compileSentryFilter } from "../../../sentry/policy.ts";
import { FORK_FLAGS, runCase, runScript } from "../../support/forked.ts";

const script = join(import.meta.dirname, "scripts", "jailed.ts");
const run = (name: string, ...args: string[]) => runCase(script, name, ...args) as { inside: Record<string, string>; outside: unknown };

/** What a sentry may call, some of it with certain arguments only. */
const REACHABLE = [
  "accept4", "brk", "clock_gettime", "close", "exit", "exit_group", "futex", "getpid", "getrandom", "gettid", "ioctl", "madvise", "mmap", "mprotect",
  "mremap", "munmap", "openat2", "pkey_mprotect", "poll", "pread64", "process_vm_readv", "process_vm_writev", "read", "recvmsg", "restart_syscall",
  "rt_sigprocmask", "rt_sigreturn", "sched_yield", "write",
];
const BY_ARGUMENT = ["ioctl"];
/** The kernel's own, for its trampolines: no filter sees them, and whoever calls them from elsewhere gets SIGILL. Linux arch/x86/kernel/uprobes.c. */
const UNFILTERED = ["uretprobe", "uprobe"];

test("there is no file but those of its procfs", () => {
  expect(run("files").inside).toEqual({
    "list the root": "ok",
    "above the root": "ok",
    "new in the root": "EROFS",
    "passwd": "ENOENT",
    "proc": "ENOENT",
    "a device": "ENOENT",
  });
});

test("its procfs has processes of the sandbox alone, read-only, and leads nowhere", () => {
  expect(run("in the procfs").inside).toEqual({
    "its own stat": "ok",
    "its own memory": "EACCES",
    "above": "ENOENT",
    "its root, by the magic link": "ENOENT",
    "sysctl": "ENOENT",
    "sysrq": "ENOENT",
    "the host's init, which is not in there": "ENOENT",
  });
});

test("a process in its pid namespace that is not its guest's cannot be looked into", () => {
  expect(run("a neighbour").inside).toEqual({
    "stat": "ok", "mem": "EACCES", "environ": "EACCES", "fd": "EACCES", "root": "EACCES", "cwd": "EACCES", "maps": "EACCES",
    "read memory": "EPERM", "write memory": "EPERM",
  });
});

test("a gofer with the sentry's own id, as a user without subordinate ids has, is out of reach since it is not dumpable", () => {
  const closed = { mem: "EACCES", environ: "EACCES", fd: "EACCES", root: "EACCES", cwd: "EACCES", maps: "EACCES", "read memory": "EPERM", "write memory": "EPERM" };
  expect(run("a neighbour of its own id", "undumpable").inside).toMatchObject(closed);
  // With all else equal: the test sees the difference.
  expect(run("a neighbour of its own id", "dumpable").inside).toMatchObject({ maps: "ok", "read memory": "ok", "write memory": "ok" });
});

test("every system call that is not on the list is refused", () => {
  const others = [...syscallTable("x86_64").keys()].filter((name) => !REACHABLE.includes(name) && !UNFILTERED.includes(name));
  expect(others.length).toBeGreaterThan(320);
  expect(Object.entries(run("refused", others.join(",")).inside).filter(([, errno]) => errno !== "EPERM")).toEqual([]);
});

test("the live filter is the policy, and reaches what is listed here", () => {
  const { filters, policy } = run("filter").outside as { filters: string[]; policy: string };
  expect(filters).toEqual([policy]);
  const simulate = simulator(Buffer.from(policy, "base64"));
  const reached = [...syscallTable("x86_64")].filter(([, nr]) => simulate({ arch: "x86_64", nr, args: [0, 0, 0, 0, 0, 0] }).action === "allow").map(([name]) => name);
  expect([...new Set([...reached, ...BY_ARGUMENT])].sort()).toEqual(REACHABLE);
});

const filter = simulator(compileSentryFilter("notify"));

test.each([
  ["receiving a notification", "ioctl", [9, 0xc0502100], "allow"],
  ["answering one", "ioctl", [9, 0xc0182101], "allow"],
  ["putting a descriptor into the guest", "ioctl", [9, 0x40182103], "errno"],
  ["typing into a terminal", "ioctl", [0, 0x5412], "errno"],
  ["a command that differs above 32 bits", "ioctl", [9, 0x1_c050_2100], "allow"],
  ["a shared mapping", "mmap", [0, 4096, 3, 0x21, -1, 0], "errno"],
  ["a mapping that is shared and validated", "mmap", [0, 4096, 3, 0x03, -1, 0], "errno"],
  ["a private mapping", "mmap", [0, 4096, 3, 0x22, -1, 0], "allow"],
  ["a CPU clock of another process", "clock_gettime", [-6], "errno"],
] as const)("%s: %s %o is %s", (_what, name, args, action) => {
  const nr = syscallTable("x86_64").get(name) ?? -1;
  expect(filter({ arch: "x86_64", nr, args: [...args] }).action).toBe(action);
});

test.each(["i386", "x32"])("no call by the %s entry", (entry) => {
  const state = entry === "i386" ? { arch: "x86" as const, nr: 1 } : { arch: "x86_64" as const, nr: 0x4000_0000 };
  expect(filter({ ...state, args: [0, 0, 0, 0, 0, 0] }).action).not.toBe("allow");
});

test("it has no identity, no capability, no namespace and no descriptor but its own", () => {
  const { status, shared, descriptors, limits } = run("state").outside as { status: Record<string, string>; shared: string[]; descriptors: string[]; limits: Record<string, string> };
  const ids = Array(4).fill("77123456").join("\t");
  const none = "0000000000000000";
  expect(status).toEqual({ Uid: ids, Gid: ids, Groups: "", CapInh: none, CapPrm: none, CapEff: none, CapAmb: none, NoNewPrivs: "1", Seccomp: "2" });
  expect(shared).toEqual([]);
  const own = descriptors.map((name) => name.replace("socket:", "pipe:")); // the log is what the test's stderr is
  // The directory is the procfs; the pipes are stderr's and the test's own.
  expect(own.filter((name) => !name.startsWith("anon_inode:[eventfd]"))).toEqual(["/", "/null", "/null", "pipe:[N]", "pipe:[N]", "pipe:[N]"]);
  expect(limits).toMatchObject({ "Max core file size": "0 0", "Max locked memory": "0 0", "Max data size": `${1 << 30} ${1 << 30}` });
});

test("compiling, collecting and deoptimising go on", () => {
  const { code, stdout, stderr } = runScript(script, ["work"], [...FORK_FLAGS, "--expose-gc"]);
  expect({ code, stdout: JSON.parse(stdout || "null") as unknown }, stderr).toEqual({ code: 0, stdout: { inside: "done", outside: undefined } });
});
