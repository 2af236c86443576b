// Handlers that take too long are told of: a gofer that waits for a slow directory of the host, and a sentry that is stopped.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { callsIn } from "../../../sentry/debug-counters.ts";
import { describeRuntime } from "../../support/contract.ts";
import { until } from "../../support/until.ts";
import { joining } from "./group.ts";
import { inspect, installGuest, SENTRY, slowDirectory, stateFile } from "./support.ts";

const lines = (log: string) => log.trim().split("\n").map((line) => line.replace(/^time="[^"]+" /, ""));

describeRuntime("watchdog", ({ test, make }) => {
  test("the sentry reports a gofer that hangs, while it hangs and once; the gofer itself how long it took", async () => {
    await using c = make({ args: ["sh", "-c", "cat /slow/late; echo done; sleep 1021"] });
    const slow = await slowDirectory(c, 5500);
    c.spec.mounts.push({ destination: "/slow", type: "bind", source: slow, options: ["bind"] });
    c.bundle.write();
    await c.mustBegin(SENTRY);
    await until("the report", () => stateFile(c, "sandbox.log").includes("has not ended"));
    const { connections } = await inspect(c);
    const busy = connections.find(({ destination }) => destination === "/slow")?.busy;
    expect([busy?.name, (busy?.sinceMs ?? 0) > 1000]).toEqual(["READ", true]);
    await c.outputMatching(/late\ndone/);
    const name = connections.find(({ destination }) => destination === "/slow")?.name ?? "";
    const during = `level=warning msg="gofer: READ in ${name} for task ${busy?.sandboxPid} has not ended after`;
    const after = `level=warning msg="gofer: READ in ${name} for task ${busy?.sandboxPid} took`;
    expect(lines(stateFile(c, "sandbox.log"))).toEqual([expect.stringMatching(new RegExp(`^${during} [1-5]\\d{3} ms"$`)), expect.stringMatching(new RegExp(`^${after} ([5-9]|1\\d)\\d{3} ms"$`))]);
  });

  test("the gofer reports a sentry that hangs, and the sentry itself how long it took", async () => {
    await using c = make({ args: ["/uname-times", "1000000000"] });
    installGuest(c, "uname-times");
    await c.mustBegin(SENTRY);
    const { sentry } = await inspect(c);
    // Its handlers do not wait for anything: it is stopped in one, which takes many attempts on a busy machine.
    await until("a stop within a handler", async () => {
      process.kill(sentry.pid, "SIGSTOP");
      await until("the stop", () => /^State:\tT/m.test(readFileSync(`/proc/${sentry.pid}/status`, "latin1")));
      const { busy } = callsIn(new Uint8Array(readFileSync(join(c.stateRoot, c.id, "calls"))));
      if (busy === undefined) process.kill(sentry.pid, "SIGCONT");
      return busy !== undefined;
    }, 15_000);
    try {
      expect((await inspect(c)).busy?.name).toBe("uname");
      await until("the gofer's report", () => stateFile(c, "sandbox.log").includes("has not ended"));
    } finally {
      process.kill(sentry.pid, "SIGCONT");
    }
    await until("the sentry's report", () => stateFile(c, "sandbox.log").includes("took"));
    expect(lines(stateFile(c, "sandbox.log"))).toEqual([
      expect.stringMatching(/^level=warning msg="sentry: uname of task \d+ has not ended after [1-9]\d{3} ms"$/),
      expect.stringMatching(/^level=warning msg="sentry: uname of task \d+ took \d{4,5} ms"$/),
    ]);
  });

  test("a gofer of a container that has joined a sandbox is watched too, and told of in that one's log", async () => {
    await using first = make({ args: ["sleep", "1000"] });
    await first.mustBegin(SENTRY);
    await using c = make(joining(first, { args: ["sh", "-c", "cat /slow/late; sleep 1022"] }));
    const slow = await slowDirectory(c, 4500);
    c.spec.mounts.push({ destination: "/slow", type: "bind", source: slow, options: ["bind"] });
    c.bundle.write();
    await c.mustBegin(SENTRY);
    await until("the report", () => stateFile(c, "sandbox.log").includes("has not ended"));
    expect(lines(stateFile(c, "sandbox.log"))[0]).toMatch(/^level=warning msg="gofer: READ in volume \d+ for task \d+ has not ended after [1-9]\d{3} ms"$/);
    expect(stateFile(first, "sandbox.log")).toBe("");
    await c.outputMatching(/late/);
  });

  test("what is quick is not reported", async () => {
    await using c = make({ args: ["sh", "-c", "uname; sleep 3; cat /etc/passwd >/dev/null; uname"] });
    expect(await c.run({ ...SENTRY, flags: ["--keep"] })).toMatchObject({ code: 0 });
    expect(stateFile(c, "sandbox.log")).toBe("");
  });
});
