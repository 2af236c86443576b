// `tssandbox debug`: what it shows of a sandbox is compared with what the host knows and the guest did.
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { describeRuntime } from "../../support/contract.ts";
import { statusField } from "../../support/host.ts";
import { inspect, installGuest, SENTRY } from "./support.ts";

describeRuntime("debug", ({ test, make }) => {
  test("tasks have their pids on the host, in the sandbox and in the guest", async () => {
    await using c = make({ args: ["sh", "-c", "sleep 1001 & echo ready; wait"] });
    await c.mustBegin(SENTRY);
    await c.outputMatching(/ready/);
    const { tasks, status } = await inspect(c);
    expect(status).toBe("running");
    expect(tasks.map(({ name, threads, state }) => [name, threads, state]).toSorted()).toEqual([["sh", 1, "S (sleeping)"], ["sleep", 1, "S (sleeping)"]]);
    expect(tasks.find(({ pid }) => pid === c.pid)?.guestPid).toBe(1);
    for (const { pid, sandboxPid, guestPid } of tasks) expect(statusField(pid, "NSpid")).toBe([pid, sandboxPid, guestPid].join("\t"));
  });

  test("trapped calls are counted, each by its name", async () => {
    await using c = make({ args: ["sleep", "1002"] });
    installGuest(c, "uname-times");
    await c.mustBegin(SENTRY);
    const count = async (call: string) => (await inspect(c)).calls.find(({ name }) => name === call)?.count ?? 0;
    const before = await count("uname");
    await c.mustExec(["/uname-times", "1000"]);
    await c.mustExec(["free"]);
    // A statically linked program's libc may ask for the kernel's version at its start.
    const made = (await count("uname")) - before;
    expect([made >= 1000 && made <= 1002, await count("sysinfo")]).toEqual([true, 1]);
    for (const { totalMs } of (await inspect(c)).calls) expect(totalMs).toBeGreaterThan(0);
  });

  test("file requests are counted by connection; mounts name the one that serves them", async () => {
    await using c = make({
      args: ["sh", "-c", "for i in 1 2 3; do echo $i >/vol/$i; done; cat /etc/passwd >/dev/null; echo ready; sleep 1003"],
      edit: ({ mounts }, bundle) => {
        mkdirSync(bundle.path("lent"));
        writeFileSync(bundle.path("lent", "file"), "");
        mounts.push({ destination: "/vol", type: "bind", source: bundle.path("lent"), options: ["bind"] }, { destination: "/read", type: "bind", source: bundle.path("lent"), options: ["bind", "ro"] });
      },
    });
    await c.mustBegin(SENTRY);
    await c.outputMatching(/ready/);
    const { connections, mounts, rootWrites } = await inspect(c);
    const at = (path: string) => connections.find(({ destination }) => destination === path);
    const count = (path: string, operation: string) => at(path)?.operations.find(({ name }) => name === operation)?.count;
    expect([at("/vol")?.cache, at("/vol")?.readOnly, at("/read")?.readOnly, at("/")?.cache, rootWrites]).toEqual(["shared", false, true, "exclusive", "memory"]);
    expect([count("/vol", "CREATE"), count("/vol", "WRITE"), count("/read", "CREATE")]).toEqual([3, 3, undefined]);
    expect(count("/", "READ")).toBeGreaterThan(0);
    const mount = (path: string) => mounts.find((one) => one.path === path);
    expect(mount("/vol")).toEqual({ path: "/vol", type: "fuse", readOnly: false, connection: at("/vol")?.name });
    expect(mount("/read")).toMatchObject({ readOnly: true, connection: at("/read")?.name });
    expect([mount("/")?.connection, mount("/proc/meminfo")?.connection, mount("/dev/shm")?.connection]).toEqual(["root", "system", undefined]);
  });

  test("the sandbox's own processes, with their memory; ids; the policy", async () => {
    await using c = make({ args: ["sleep", "1004"] });
    await c.mustBegin(SENTRY);
    const { sentry, gofers, ids, policy } = await inspect(c);
    for (const { pid, alive, memory } of [sentry, ...gofers]) {
      expect([alive, statusField(pid, "NSpid")?.split("\t")[0]]).toEqual([true, String(pid)]);
      expect(memory?.own).toBeGreaterThan(100_000);
      expect(memory?.proportional).toBeGreaterThan(memory?.own ?? Infinity);
    }
    expect(statusField(sentry.pid, "Uid")?.split("\t")[0]).toBe(String(ids.sentry));
    expect(statusField(c.pid, "Uid")?.split("\t")[0]).toBe(String(ids.guest[0]?.hostID));
    expect(policy).toBe("balanced");
  });

  test("works while neither the sentry nor the gofer answers", async () => {
    await using c = make({ args: ["sleep", "1005"] });
    await c.mustBegin(SENTRY);
    const { sentry, gofers } = await inspect(c);
    const pids = [sentry, ...gofers].map(({ pid }) => String(pid));
    execFileSync("kill", ["-STOP", ...pids]);
    try {
      expect((await inspect(c)).tasks).toHaveLength(1);
    } finally {
      execFileSync("kill", ["-CONT", ...pids]);
    }
  });

  test("the table has the same for people, and nothing that a task's name could break it with", async () => {
    await using c = make({ args: ["sh", "-c", "uname; printf 'a\\033b' >/proc/self/comm; echo ready; read line </dev/zero"] });
    await c.mustBegin(SENTRY);
    await c.outputMatching(/ready/);
    const text = await c.mustCommand("debug");
    expect(text).toMatch(/^policy +balanced$/m);
    expect(text).toMatch(/^uname +\d+ +[\d.]+ ms +[\d.]+ us$/m);
    expect(text).toMatch(/^\d+ +\d+ +1 +1 +\w \(\w+\) +a\\x1bb$/m);
    expect(text).toMatch(/^\d+ of \/proc and \/sys +fuse +read only +system$/m);
  });

  test("a container in namespace mode has none", async () => {
    await using c = make({ args: ["sleep", "1007"] });
    await c.mustBegin({ global: ["--mode", "namespace"] });
    expect(await c.command("debug")).toMatchObject({ code: 1, stderr: expect.stringContaining("has no sandbox") });
  });
});
