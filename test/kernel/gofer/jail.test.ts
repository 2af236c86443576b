/** The jail from inside: everything a gofer that has been taken over might try, and what the kernel says to it. */
import { join } from "node:path";
import { mkdirSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { decide, simulator, syscallTable } from "../../../policies/seccomp-bpf-ts/src/index.ts";
import { goferPolicy } from "../../../gofer/policy.ts";
import { runCase } from "../../support/forked.ts";
import { removeWorkDir, uniqueId, workDir } from "../../support/paths.ts";

afterAll(removeWorkDir);

const script = join(import.meta.dirname, "scripts", "jailed.ts");

function run(name: string, ...args: string[]): unknown {
  const base = join(workDir, uniqueId());
  mkdirSync(base);
  return runCase(script, name, base, ...args);
}

/** What a gofer may call, some of it with certain arguments only. */
const REACHABLE = [
  "brk", "clock_gettime", "clock_nanosleep", "close", "copy_file_range", "exit", "exit_group", "fallocate", "fchmodat", "fchownat", "fcntl",
  "fdatasync", "flock", "fstat", "fstatfs", "fsync", "ftruncate", "futex", "getdents64", "getpid", "getrandom", "gettid", "getxattr",
  "inotify_add_watch", "inotify_init1", "inotify_rm_watch", "linkat", "listxattr", "lseek", "madvise", "mkdirat", "mknodat", "mmap", "mprotect", "mremap", "munmap",
  "nanosleep", "openat", "openat2", "pkey_mprotect", "poll", "ppoll", "pread64", "pwrite64", "read", "readlinkat", "removexattr", "renameat2", "restart_syscall",
  "rt_sigprocmask", "rt_sigreturn", "sched_yield", "setxattr", "statx", "symlinkat", "unlinkat", "utimensat", "write",
];
/** The kernel's own, for its trampolines: no filter sees them, and whoever calls them from elsewhere gets SIGILL. Linux arch/x86/kernel/uprobes.c. */
const UNFILTERED = ["uretprobe", "uprobe"];
const BY_ARGUMENT = ["fcntl", "mmap", "mknodat"];

test("only what is lent can be opened", () => {
  expect(run("files")).toEqual({
    "file of its own": "ok",
    "new file of its own": "ok",
    "read-only file": "ok",
    "write to read-only": "EROFS",
    "new in read-only": "EROFS",
    "passwd": "ENOENT",
    "its parent's secret": "ENOENT",
    "one lent directory from the other": "ENOENT",
    "up is itself": true,
    "list the root": "EACCES",
    "proc": "ENOENT",
    "above the descriptors": "ENOENT",
    "new in root": "EROFS",
  });
});

test("a device node that lies in a lent directory cannot be opened, nor another be made", () => {
  expect(run("a device of the host within")).toEqual({ opened: "EACCES", made: "EPERM" });
});

test("the device that it serves cannot be changed by its descriptor", () => {
  // Not mounted yet: a read says so, and that it got as far as the device.
  expect(run("the device node")).toEqual({ chmod: "EROFS", chown: "EROFS", read: "EPERM" });
});

test("every system call that is not on the list is refused", () => {
  const others = [...syscallTable("x86_64").keys()].filter((name) => !REACHABLE.includes(name) && !UNFILTERED.includes(name));
  expect(others.length).toBeGreaterThan(290);
  const refused = run("refused", others.join(",")) as Record<string, string>;
  expect(Object.entries(refused).filter(([, errno]) => errno !== "EPERM")).toEqual([]);
});

test("the live filter is the policy, and reaches what is listed here", () => {
  const { outside } = run("filter") as { outside: { filters: string[]; policy: string } };
  expect(outside.filters).toEqual([outside.policy]);
  const simulate = simulator(Buffer.from(outside.policy, "base64"));
  const reached = [...syscallTable("x86_64")].filter(([, nr]) => simulate({ arch: "x86_64", nr, args: [0, 0, 0, 0, 0, 0] }).action === "allow").map(([name]) => name);
  expect([...new Set([...reached, ...BY_ARGUMENT])].sort()).toEqual(REACHABLE);
});

test.each([
  ["a shared mapping", "mmap", [0, 4096, 3, 0x21, -1, 0], "errno"],
  ["a private mapping", "mmap", [0, 4096, 3, 0x22, -1, 0], "allow"],
  ["a block device", "mknodat", [3, 0, 0o060666, 0x105], "errno"],
  ["a fifo", "mknodat", [3, 0, 0o010666, 0], "allow"],
  ["taking signals for a descriptor", "fcntl", [3, 8, 1], "errno"],
  ["duplicating a descriptor by fcntl", "fcntl", [3, 0, 1], "errno"],
  ["an open file description lock", "fcntl", [3, 37, 1], "allow"],
] as const)("%s: %s %o is %s", (_what, name, args, action) => {
  const nr = syscallTable("x86_64").get(name) ?? -1;
  expect(decide(goferPolicy(), { arch: "x86_64", nr, args: [...args] }).action).toBe(action);
});

test("it has no identity, no namespace and no descriptor but its own", () => {
  const { outside } = run("state") as { outside: { status: Record<string, string>; shared: string[]; descriptors: string[] } };
  const capabilities = "000000008000001b"; // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETFCAP
  expect(outside.status).toEqual({
    Uid: "65534\t65534\t65534\t65534", Gid: "65534\t65534\t65534\t65534", Groups: "", CapInh: "0000000000000000", CapPrm: capabilities,
    CapEff: capabilities, CapBnd: capabilities, CapAmb: "0000000000000000", NoNewPrivs: "1", Seccomp: "2",
  });
  expect(outside.shared).toEqual([]);
  const own = outside.descriptors.map((name) => name.replace("socket:", "pipe:")); // the log is what the test's stderr is
  const events = own.filter((name) => name.startsWith("anon_inode:[eventfd]"));
  expect(own.filter((name) => !events.includes(name))).toEqual(["/", "/", "/memfd:gofer-null (deleted)", "/memfd:gofer-null (deleted)", "pipe:[N]", "pipe:[N]"]);
});
