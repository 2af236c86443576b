/** /proc, /sys and what can be reached of other processes: as root with every capability in the sandbox. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { readFileSync } from "node:fs";
import type { Container } from "../../support/container.ts";
import { removeWorkDir } from "../../support/paths.ts";
import { attempt, expectAnswers, hostile, hostState, sandboxOf, TRACING_IS_REFUSED } from "../support.ts";

let c: Container;
beforeAll(async () => {
  c = hostile();
  await c.mustBegin();
});
afterAll(async () => {
  await c[Symbol.asyncDispose]();
  removeWorkDir();
});

/** The outcomes of attempts of one kind. */
const all = async (attempts: readonly string[]) => [...new Set(Object.values(await attempt(c, attempts)))];

test("nothing of /proc that is the machine's can be written", async () => {
  const before = hostState();
  const files = ["sys/kernel/core_pattern", "sys/kernel/hostname", "sys/vm/overcommit_memory", "sys/fs/file-max", "sys/kernel/random/boot_id", "sys/net/core/somaxconn"];
  expect(await all(files.flatMap((name) => [`open /proc/${name} w 1`, `open /proc/${name} + 1`]))).toEqual(["EROFS"]);
  expect(hostState()).toEqual(before);
});

test("what it has of the host's is hidden: empty, and read-only", async () => {
  const files = ["sysrq-trigger", "kcore", "kmsg", "kallsyms", "timer_list", "keys", "key-users", "slabinfo", "modules", "iomem", "config.gz", "kpagecount", "kpageflags", "interrupts"];
  const found = Object.values(await attempt(c, files.map((name) => `cat /proc/${name}`)));
  expect(found.filter((text) => text !== "" && text !== "ENOENT")).toEqual([]);
  expect((await all(files.map((name) => `open /proc/${name} w b`))).filter((outcome) => !["EROFS", "ENOENT"].includes(outcome))).toEqual([]);
});

test("a later entry of /proc would be hidden too: nothing but processes and what the sandbox covers is there", async () => {
  const [names = ""] = await all(["list /proc"]);
  const unknown = names.split(",").filter((name) => !/^\d+$/.test(name));
  const mounts = await c.mustExec(["cat", "/proc/self/mountinfo"]);
  const covered = (name: string) => mounts.includes(` /proc/${name} `);
  const own = new Set(["self", "thread-self", "mounts", "net", "sysvipc"]);
  expect(unknown.filter((name) => !covered(name) && !own.has(name))).toEqual([]);
  expect(unknown.length).toBeGreaterThan(20);
});

test("/sys and its cgroup files are the sandbox's own, and read-only", async () => {
  expect(await all(["open /sys/fs/cgroup/memory.max w 1", "open /sys/fs/cgroup/cgroup.procs w 1", "open /sys/fs/cgroup/release_agent w /bin/sh", "open /sys/kernel/uevent_helper w /x", "open /sys/power/state w mem"])).toEqual(
    expect.not.arrayContaining(["ok"]),
  );
  expect(await attempt(c, ["list /sys/kernel", "list /sys/class", "cat /sys/fs/cgroup/cgroup.procs"])).toEqual({ "list /sys/kernel": "mm", "list /sys/class": "", "cat /sys/fs/cgroup/cgroup.procs": "1" });
});

test("magic links of every process lead into the guest's own root", async () => {
  const root = (await attempt(c, ["id /"]))["id /"];
  const links = ["self/root", "1/root", "1/cwd", "self/cwd", "thread-self/root", "1/root/../../..", "self/root/proc/1/root", "1/task/1/root"];
  expect(await all(links.map((name) => `id /proc/${name}`))).toEqual([root]);
  expect(await attempt(c, ["cat /proc/1/root/etc/hostname", "cat /../../../etc/hostname"])).toEqual({ "cat /proc/1/root/etc/hostname": "rootfs", "cat /../../../etc/hostname": "rootfs" });
});

test("no process but the guest's own can be seen, signalled or traced: not the sentry, the gofer, the runtime or the host's init", async () => {
  const { sentry, gofers } = sandboxOf(c);
  const [names = ""] = await all(["list /proc"]);
  const pids = names.split(",").filter((name) => /^\d+$/.test(name)).map(Number);
  // sleep, try, and the child that lists.
  expect(pids.length).toBe(3);
  expect(Math.max(...pids)).toBeLessThan(200);
  const outside = [...[sentry, ...gofers].map(({ pid }) => pid), process.pid, 2_000_000];
  expect(await all(outside.flatMap((pid) => [`kill ${pid} 9`, `kill ${pid} 0`, `ptrace ${pid}`, `list /proc/${pid}`, `call 434 ${pid} 0`]))).toEqual(expect.not.arrayContaining(["ok"]));
  await expectAnswers(c, { ...sandboxOf(c) });
});

test("processes by their ids in the namespaces around: 0, negative ones, the sentry's 1", async () => {
  // kill(-1) reaches what the caller can see; the first process of a pid namespace ignores SIGKILL from inside.
  expect(await attempt(c, ["kill 1 9", "ptrace 0", "call 310 0 0 0 0 0 0"])).toMatchObject({ "kill 1 9": "ok", "ptrace 0": TRACING_IS_REFUSED ? "EPERM" : "ESRCH" });
  await expectAnswers(c, sandboxOf(c));
  expect(await c.status()).toBe("running");
});

test("identity maps cannot be written again", async () => {
  expect(await attempt(c, ["open /proc/self/uid_map w 0", "open /proc/1/uid_map w 0", "open /proc/self/setgroups w deny", "open /proc/1/timens_offsets w 0"])).toEqual(
    expect.not.objectContaining({ "open /proc/self/uid_map w 0": "ok", "open /proc/1/uid_map w 0": "ok" }),
  );
});

test("an out-of-memory score below the one that was configured cannot be taken", async () => {
  const adj = readFileSync(`/proc/${c.pid}/oom_score_adj`, "utf8").trim();
  await attempt(c, ["open /proc/1/oom_score_adj w -1000"]);
  expect(readFileSync(`/proc/${c.pid}/oom_score_adj`, "utf8").trim()).toBe(adj);
});

test("PTRACE_TRACEME of the first process, whose parent is outside, is refused; a child's is not", async () => {
  await using first = hostile({ args: ["/try", "ptrace", "traceme"] });
  expect(await first.mustRun()).toBe("EPERM\n");
  expect(await c.mustExec(["/try", "ptrace", "traceme"])).toBe("EPERM\n");
  expect(await attempt(c, ["ptrace traceme"])).toEqual({ "ptrace traceme": TRACING_IS_REFUSED ? "EPERM" : "ok" });
});
