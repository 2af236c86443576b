// Platform ptrace on real sandboxes: what a tracer could change for its tasks and must not; who gets in, and who does not. Decision 0040.
import { chmodSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import type { Container } from "../../support/container.ts";
import { describeRuntime } from "../../support/contract.ts";
import { isAlive, statusField } from "../../support/host.ts";
import { until } from "../../support/until.ts";
import { buildGuest, inspect, installGuest, stateFile } from "./support.ts";

/** The seccomp call's number, which without an argument would ask for strict mode, and ptrace's. */
const SECCOMP = 317;
const PTRACE_NUMBER = 101;
/** Goes on with what a signal has interrupted last; a traced task is interrupted by those that it ignores, too. */
const RESTART_SYSCALL = 219;
const PTRACE = { global: ["--mode", "sentry", "--platform", "ptrace"] };

/** How each number's call ends, without arguments. Ids, addresses and times differ from run to run. */
async function everyCall(made: Container, platform: string): Promise<string[]> {
  await using c = made;
  buildGuest(join(c.rootfs, "every-syscall"), join(import.meta.dirname, "../../guest/every-syscall.c"));
  const input = Array.from({ length: 480 }, (_, nr) => `syscall ${nr}${nr === SECCOMP ? " 2" : ""}\n`).join("");
  const { stdout } = await c.run({ global: ["--mode", "sentry", "--platform", platform], input, timeout: 55_000 });
  return stdout.trimEnd().split("\n").map((line) => line.replace(/ returned \d+$/, " returned something"));
}

describeRuntime("platform ptrace", ({ test, make }) => {
  test("births, signals, restarts, stops, ends and takeovers are what they are without a tracer", async () => {
    await using c = make({ args: ["/traced"] });
    installGuest(c, "traced", ["-pthread", "-Wno-unused-result"]);
    const { code, stdout, stderr } = await c.run({ ...PTRACE, timeout: 55_000 });
    expect(stderr).toBe("");
    expect(stdout.trimEnd().split("\n")).toEqual([
      "births: thread 1 fork 0 vfork and exec 0 clone without a signal 0",
      "refused: traceme EPERM attach EPERM untraced child EPERM",
      "signals: 300 wrong 0 sum 44850",
      "read with flags 0: 4",
      "read with flags 0x10000000: 0",
      "sleep over a stop: 0",
      "stops: continued 1 ran while stopped 0",
      "killed in its stop: 9",
      "ends: killed 100 exited 100",
      "taken over: 60",
      "taken over while busy: 60, some of them whole: 1",
    ]);
    expect(code).toBe(0);
  });

  test("every number of a call, without arguments, ends as it does on the other platform, but ptrace", async () => {
    const [notified, traced] = [await everyCall(make({ args: ["/every-syscall"] }), "notify"), await everyCall(make({ args: ["/every-syscall"] }), "ptrace")];
    expect(traced.length).toBe(480);
    expect(traced.filter((line, i) => line !== notified[i] && i !== RESTART_SYSCALL)).toEqual([`${PTRACE_NUMBER} returned -1`]);
  });

  test("a set-user-ID program gets its rights", async () => {
    await using c = make({ args: ["/effective"], edit: ({ process }) => Object.assign(process!, { user: { uid: 1000, gid: 1000 }, noNewPrivileges: false }) });
    installGuest(c, "effective");
    chmodSync(join(c.rootfs, "effective"), 0o4755);
    expect(await c.mustRun(PTRACE)).toBe("1000 0\n");
  });

  test("the sandbox's record says it, exec follows it whatever it is told, and debug shows and counts", async () => {
    await using c = make({ args: ["sleep", "1011"] });
    await c.mustBegin(PTRACE);
    expect(JSON.parse(stateFile(c, "sandbox.json"))).toMatchObject({ platform: "ptrace" });
    expect(await c.mustExec(["uname", "-r"], { global: ["--platform", "notify"] })).toBe("6.12.0-tssandbox\n");
    const { platform, calls } = await inspect(c);
    expect([platform, calls.find(({ name }) => name === "uname")?.count]).toEqual(["ptrace", 1]);
  });

  test("the bell is confined as the sentry is, and has nothing but the set that it waits with and the log", async () => {
    await using c = make({ args: ["sleep", "1013"] });
    await c.mustBegin(PTRACE);
    const { sentry } = await inspect(c);
    const [bell, ...others] = readFileSync(`/proc/${sentry.pid}/task/${sentry.pid}/children`, "utf8").trim().split(" ").map(Number);
    expect(others).toEqual([]);
    for (const name of ["Uid", "Gid", "CapEff", "CapPrm", "NoNewPrivs", "Seccomp", "Seccomp_filters"]) expect(statusField(bell!, name)).toBe(statusField(sentry.pid, name));
    expect([statusField(bell!, "Seccomp"), statusField(bell!, "Seccomp_filters")]).toEqual(["2", "1"]);
    const descriptors = readdirSync(`/proc/${bell}/fd`).map((fd) => readlinkSync(`/proc/${bell}/fd/${fd}`)).filter((target) => target !== "anon_inode:[eventfd]");
    expect(descriptors.map((target) => target.replace(/^.*\//, ""))).toEqual(["anon_inode:[eventpoll]", "null", "sandbox.log"]);
  });

  test("many enter at the same time, while others make calls", async () => {
    await using c = make({ args: ["sh", "-c", "while :; do uname -r; done >/dev/null"] });
    await c.mustBegin(PTRACE);
    const all = await Promise.all(Array.from({ length: 8 }, (_, i) => c.exec(["sh", "-c", `uname -r; exit ${i}`])));
    expect(all.map(({ code, stdout }) => [code, stdout])).toEqual(all.map((_, i) => [i, "6.12.0-tssandbox\n"]));
  });

  test("nobody gets in whom the sentry does not take", async () => {
    await using c = make({ args: ["sleep", "1012"] });
    await c.mustBegin(PTRACE);
    const { sentry } = await inspect(c);
    process.kill(sentry.pid, "SIGSTOP");
    const entering = c.startExec(["sh", "-c", "echo in"]);
    await until("a process at the gate", async () => (await inspect(c)).tasks.length === 2);
    await sleep(300);
    expect(entering.stdout).toBe("");
    process.kill(sentry.pid, "SIGKILL");
    expect([(await entering.result()).code === 0, entering.stdout]).toEqual([false, ""]);
    await until("the guest's end", () => !isAlive(c.pid));
  });

  test("a kernel without user notification has it, and is told so; who asks for notification is refused", async () => {
    await using c = make({ args: ["sh", "-c", "uname -r"] });
    const without = c.bundle.path("without-notification");
    buildGuest(without, join(import.meta.dirname, "guest/without-notification.c"));
    const { code, stdout, stderr } = await c.run({ prefix: [without], global: ["--mode", "sentry"] });
    expect([code, stdout]).toEqual([0, "6.12.0-tssandbox\n"]);
    expect(stderr).toMatch(/^tssandbox: warning: platform ptrace, which is slower, since this kernel has no seccomp user notification; --platform ptrace says [^\n]*\n$/);
    expect(await c.run({ prefix: [without], global: ["--mode", "sentry", "--platform", "notify"] })).toMatchObject({ code: 1, stderr: expect.stringContaining("this kernel has no seccomp user notification") });
    expect(await c.run({ prefix: [without], global: ["--mode", "sentry", "--platform", "ptrace"] })).toMatchObject({ code: 0, stderr: "" });
  });
});
