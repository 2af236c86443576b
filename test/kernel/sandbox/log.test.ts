// What a sandbox's own processes have to say: where it goes, and that it never goes to the workload's streams.
import { readFileSync, readlinkSync } from "node:fs";
import { expect } from "vitest";
import { describeRuntime } from "../../support/contract.ts";
import { until } from "../../support/until.ts";
import { inspect, SENTRY, stateFile } from "./support.ts";

const kill = (pid: number) => process.kill(pid, "SIGKILL");

describeRuntime("a sandbox's log", ({ test, make }) => {
  test("sentry and gofer hold no stream of the container", async () => {
    await using c = make({ args: ["sleep", "1011"] });
    await c.mustBegin(SENTRY);
    const { sentry, gofers } = await inspect(c);
    for (const { pid } of [sentry, ...gofers]) {
      const streams = [0, 1, 2].map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
      // As seen from the root of each; the gofer has a file of its own for nothing.
      expect(streams).toEqual([expect.stringMatching(/^(\/dev)?\/null$|^\/memfd:gofer-null /), streams[0], `${c.stateRoot}/${c.id}/sandbox.log`]);
    }
  });

  test("run tells of a gofer that has died; the workload's output is its own", async () => {
    await using c = make({ args: ["sh", "-c", "echo out; echo err >&2; sleep 1012"] });
    const log = c.bundle.path("log.json");
    const run = c.startRun({ global: ["--mode", "sentry", "--log", log, "--log-format", "json"] });
    await until("output", () => run.stdout.includes("out"));
    kill((await inspect(c)).gofers[0]!.pid);
    const { code, stdout, stderr } = await run.result();
    expect([code, stdout, stderr]).toEqual([137, "out\n", "err\ntssandbox: the sandbox has failed: sentry: the gofer of root, system has ended\n"]);
    const lines = readFileSync(log, "utf8").trim().split("\n").map((line) => JSON.parse(line) as { level: string; msg: string; time: string });
    expect(lines.map(({ level, msg }) => [level, msg])).toEqual([["error", "sentry: the gofer of root, system has ended"], ["error", "the sandbox has failed: sentry: the gofer of root, system has ended"]]);
    await c.expectNothingLeft();
  });

  test("state and delete tell why a container's sandbox has ended", async () => {
    await using c = make({ args: ["sleep", "1013"] });
    await c.mustBegin(SENTRY);
    kill((await inspect(c)).gofers[0]!.pid);
    await until("the end", async () => (await c.status()) === "stopped");
    expect(stateFile(c, "sandbox.log")).toMatch(/^time="[^"]+" level=error msg="sentry: the gofer of root, system has ended"\n$/);
    expect(await c.state()).toMatchObject({ status: "stopped", pid: 0, sandboxFailure: "sentry: the gofer of root, system has ended" });
    expect((await inspect(c)).lastWords).toBe("sentry: the gofer of root, system has ended");
    expect(await c.delete()).toMatchObject({ code: 0, stderr: `tssandbox: warning: the sandbox of ${c.id} had failed: sentry: the gofer of root, system has ended\n` });
  });

  test("a sentry that was killed could not say why", async () => {
    await using c = make({ args: ["sleep", "1014"] });
    await c.mustBegin(SENTRY);
    kill((await inspect(c)).sentry.pid);
    await until("the end", async () => (await c.status()) === "stopped");
    expect(await c.state()).toMatchObject({ sandboxFailure: "the sentry has ended without a word: it was killed" });
  });

  test("an ordinary end, and a guest that is killed, are no failures", async () => {
    await using ended = make({ args: ["true"] });
    expect(await ended.run({ ...SENTRY, flags: ["--keep"] })).toMatchObject({ code: 0, stderr: "" });
    expect(await ended.state()).not.toHaveProperty("sandboxFailure");
    await using killed = make({ args: ["sh", "-c", "kill -9 $$; sleep 0.1; exit 3"] });
    expect(await killed.run(SENTRY)).toMatchObject({ code: 3, stderr: "" });
    await using outside = make({ args: ["sleep", "1015"] });
    const run = outside.startRun({ ...SENTRY, flags: ["--keep"] });
    await until("the start", async () => (await outside.status()) === "running");
    await outside.kill("KILL");
    expect(await run.result()).toMatchObject({ code: 137, stderr: "" });
    expect(stateFile(outside, "sandbox.log")).toBe("");
  });
});
