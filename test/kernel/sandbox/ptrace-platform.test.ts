// Platform ptrace on real sandboxes: what a tracer could change for its tasks and must not; who gets in, and who does not. Decision 0040.
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { describeRuntime } from "../../support/contract.ts";
import { isAlive } from "../../support/host.ts";
import { until } from "../../support/until.ts";
import { inspect, installGuest, stateFile } from "./support.ts";

const PTRACE = { global: ["--mode", "sentry", "--platform", "ptrace"] };

describeRuntime("platform ptrace", ({ test, make }) => {
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

  test("--strace says why not", async () => {
    await using c = make({ args: ["true"] });
    const { code, stderr } = await c.run({ global: [...PTRACE.global, "--strace"] });
    expect([code, stderr]).toEqual([1, "tssandbox: --strace: a task can have one tracer, which is the sentry on platform ptrace; use --platform notify\n"]);
  });
});
