/** Two commands at once on one container, the one held at a step of its own while the other runs. */
import { existsSync, readdirSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import type { Container } from "../../support/container.ts";
import { isAlive, processesOf, statusField } from "../../support/host.ts";
import { removeWorkDir } from "../../support/paths.ts";
import type { Call, Result } from "../../support/runtime.ts";
import { until } from "../../support/until.ts";
import { Fault } from "./faults.ts";
import { expectOneLine, forceDelete, make } from "./own.ts";

afterAll(removeWorkDir);

/** A create that waits at a step of the runtime, or of init. */
async function heldCreate(c: Container, point: string): Promise<{ fault: Fault; call: Call }> {
  const fault = new Fault(c.bundle.path("fault"), "hold", point);
  const call = c.call("create", [c.id], { env: fault.env, flags: ["--bundle", c.bundle.dir, "--pid-file", c.pidFile] });
  await fault.reached(point);
  return { fault, call };
}

const settle = async (): Promise<void> => await new Promise((done) => setTimeout(done, 100));

describe("create", () => {
  test("of one id several times at once: one of them wins, the others say that it is taken", async () => {
    await using c = make({ args: ["sleep", "100"] });
    const calls = Array.from({ length: 5 }, () => c.call("create", [c.id], { flags: ["--bundle", c.bundle.dir] }));
    const results = await Promise.all(calls.map((call) => call.result()));
    expect(results.filter(({ code }) => code === 0)).toHaveLength(1);
    for (const result of results.filter(({ code }) => code !== 0)) {
      expectOneLine(result, 1);
      expect(result.stderr).toMatch(/already exists|has \d+ processes already/);
    }
    expect(await c.status()).toBe("created");
    await forceDelete(c);
  });

  test("goes on where delete --force came before there was a container", async () => {
    await using c = make({ args: ["sleep", "100"] });
    const { fault, call } = await heldCreate(c, "state directory:1");
    expect(await c.delete("--force")).toMatchObject({ code: 0, stdout: "", stderr: "" });
    fault.release();
    expect((await call.result()).code).toBe(0);
    await forceDelete(c);
  });

  for (const point of ["cgroup:2", "fork:1", "message hooks:1", "state.json:1", "message go:3"]) {
    test(`and delete --force at "${point}": both end, nothing is left`, async () => {
      await using c = make({ args: ["sleep", "100"] });
      const { fault, call } = await heldCreate(c, point);
      const deletion = c.call("delete", [c.id], { flags: ["--force"] });
      await settle();
      fault.release();
      const [created, deleted] = await Promise.all([call.result(), deletion.result()]);
      expect(deleted).toMatchObject({ code: 0, stdout: "", stderr: "" });
      if (created.code !== 0) expectOneLine(created, 1);
      await c.expectNothingLeft();
      if (created.code !== 0) expect(existsSync(c.pidFile)).toBe(false);
    });
  }

  test("delete without --force refuses a container that is being created, kill finds nobody, state tells", async () => {
    await using c = make({ args: ["sleep", "100"] });
    const { fault, call } = await heldCreate(c, "state.json:1");
    expect(await c.status()).toBe("creating");
    const deletion = await c.delete();
    expectOneLine(deletion, 1);
    expect(deletion.stderr).toMatch(/not stopped: creating/);
    const kill = await c.kill("KILL");
    expectOneLine(kill, 1);
    expect(kill.stderr).toMatch(/container not running/);
    for (const command of ["start", "exec", "pause"]) expectOneLine(await c.command(command, command === "exec" ? ["true"] : []), command === "exec" ? 255 : 1);
    fault.release();
    expect((await call.result()).code).toBe(0);
    expect(await c.status()).toBe("created");
    await forceDelete(c);
  });

  test("hangs in a hook of the container: delete --force ends it", async () => {
    await using c = make({ edit: (spec) => { spec.hooks = { createContainer: [{ path: "/bin/sleep", args: ["sleep", "77"] }] }; } });
    const call = c.call("create", [c.id], { flags: ["--bundle", c.bundle.dir] });
    await until("the hook", () => processesOf(c.id).some((line) => line.endsWith("sleep 77")));
    const deleted = await c.delete("--force");
    expect(deleted).toMatchObject({ code: 0, stderr: "" });
    expectOneLine(await call.result(), 1);
    await c.expectNothingLeft();
  });

  test("was killed in a hook that goes on: delete --force does not wait for it", async () => {
    await using c = make({ edit: (spec) => { spec.hooks = { createRuntime: [{ path: "/bin/sleep", args: ["sleep", "300"] }] }; } });
    const call = c.call("create", [c.id], { flags: ["--bundle", c.bundle.dir] });
    const pid = await call.pid;
    const hook = await until("the hook", () => readdirSync("/proc").find((name) => /^\d+$/.test(name) && isHookOf(Number(name), pid)));
    process.kill(pid, "SIGKILL");
    await until("init's end", () => processesOf(c.id).length === 0);
    await forceDelete(c);
    expect(isAlive(Number(hook))).toBe(true);
    process.kill(Number(hook), "SIGKILL");
  });
});

describe("start", () => {
  test("several times at once: one of them starts it, the others say so", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustCreate();
    const results = await Promise.all(Array.from({ length: 4 }, () => c.start()));
    expect(results.filter(({ code }) => code === 0)).toHaveLength(1);
    for (const result of results.filter(({ code }) => code !== 0)) expectRefusedStart(result);
    expect(await c.status()).toBe("running");
    await forceDelete(c);
  });

  test("a second time while the first waits for a hook", async () => {
    await using c = make({ args: ["sleep", "100"], edit: (spec) => { spec.hooks = { startContainer: [{ path: "/bin/sleep", args: ["sleep", "0.3"] }] }; } });
    await c.mustCreate();
    const [first, second] = await Promise.all([c.start(), c.start()]);
    expect([first.code, second.code].toSorted()).toEqual([0, 1]);
    expectRefusedStart(first.code === 0 ? second : first);
    expect(await c.status()).toBe("running");
  });

  test("and delete --force at once: both end, nothing is left", async () => {
    for (let i = 0; i < 5; i++) {
      await using c = make({ args: ["sleep", "100"] });
      await c.mustCreate();
      const [started, deleted] = await Promise.all([c.start(), c.delete("--force")]);
      expect(deleted).toMatchObject({ code: 0, stderr: "" });
      if (started.code !== 0) expectOneLine(started, 1);
      await c.expectNothingLeft();
    }
  });
});

describe("delete", () => {
  test("several times at once: all with --force succeed, one without does", async () => {
    for (const [flags, successes] of [[["--force"], 4], [[], 1]] as const) {
      await using c = make({ args: ["sleep", "100"] });
      await c.mustCreate();
      const results = await Promise.all(Array.from({ length: 4 }, () => c.delete(...flags)));
      expect(results.filter(({ code }) => code === 0), results.map(({ stderr }) => stderr).join()).toHaveLength(successes);
      for (const result of results.filter(({ code }) => code !== 0)) {
        expectOneLine(result, 1);
        // The one that deletes it freezes and kills it meanwhile.
        expect(result.stderr).toMatch(/does not exist|not stopped: (paused|running)/);
      }
      await c.expectNothingLeft();
    }
  });
});

function isHookOf(pid: number, parent: number): boolean {
  return statusField(pid, "PPid") === String(parent) && statusField(pid, "Name") === "sleep";
}

function expectRefusedStart(result: Result): void {
  expectOneLine(result, 1);
  expect(result.stderr).toMatch(/cannot start a container that is running|has been started by somebody else/);
}
