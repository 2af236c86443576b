/** The end of a sandbox's own processes, at any moment, is the end of the sandbox: soon, told, and with nothing left. */
import { mkdirSync, readFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { type Container } from "../support/container.ts";
import { ignoreGone, isAlive, processesOf } from "../support/host.ts";
import { removeWorkDir } from "../support/paths.ts";
import { until } from "../support/until.ts";
import { attempt, expectAnswers, expectGoneAfterDelete, hostile, sandboxOf, volume, type HostileOptions } from "./support.ts";

afterAll(removeWorkDir);

const END_MS = 15_000;
const LOAD = "while :; do uname -r; cat /etc/passwd; echo x > /tmp/x; rm /tmp/x; echo x > /volume/x; done > /dev/null & while :; do /bin/true; done & wait";

const FAILED = /^tssandbox: warning: the sandbox of \S+ had failed: (sentry: )?the (sentry|gofer of [^\n]+) has ended[^\n]*\n$/;

const VICTIMS = ["sentry", "root's gofer", "volume's gofer"] as const;
type Victim = (typeof VICTIMS)[number];

function pidOf(c: Container, victim: Victim): number {
  const { sentry, gofers: [roots, volumes] } = sandboxOf(c);
  return { sentry, "root's gofer": roots, "volume's gofer": volumes }[victim]!.pid;
}

/** With a volume, whose gofer is another than the root's. */
const withVolume = (options: HostileOptions = {}): Container =>
  hostile({ ...options, edit: (spec, bundle) => {
    mkdirSync(bundle.path("volume"));
    spec.mounts.push(volume(bundle.path("volume"), "/volume"));
  } });

async function kill(c: Container, victim: Victim): Promise<void> {
  process.kill(pidOf(c, victim), "SIGKILL");
  await until(`${victim} killed: the end of all others`, () => !isAlive(c.pid) && processesOf(c.id).filter((line) => !/--root/.test(line)).length === 0, END_MS);
}

async function expectEnd(c: Container): Promise<void> {
  expect(await c.status()).toBe("stopped");
  await expectGoneAfterDelete(c, FAILED);
}

describe.each(VICTIMS)("the %s is killed", (victim) => {
  test("before the start", async () => {
    await using c = withVolume();
    await c.mustCreate();
    await kill(c, victim);
    expect((await c.start()).code).not.toBe(0);
    await expectEnd(c);
  });

  test("while nothing happens", async () => {
    await using c = withVolume();
    await c.mustBegin();
    await kill(c, victim);
    await expectEnd(c);
  });

  test.each([0, 30, 100, 300])("under load, after %d ms", async (ms) => {
    await using c = withVolume({ args: ["sh", "-c", LOAD] });
    await c.mustBegin();
    await new Promise((resolve) => setTimeout(resolve, ms));
    await kill(c, victim);
    await expectEnd(c);
  });

  test.each([0, 20, 60, 150])("during exec, %d ms after its beginning", async (ms) => {
    await using c = withVolume();
    await c.mustBegin();
    const call = c.startExec(["sleep", "100"]);
    await new Promise((resolve) => setTimeout(resolve, ms));
    await kill(c, victim);
    expect((await call.ended).code).not.toBe(0);
    await expectEnd(c);
  });

  test("in the foreground: run fails, and says why", async () => {
    await using c = withVolume({ args: ["sh", "-c", "echo up; sleep 100"] });
    const call = c.startRun();
    await until("the program", () => call.stdout.includes("up"));
    process.kill(pidOf(c, victim), "SIGKILL");
    const { code, stderr } = await call.result();
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/^tssandbox: .*(sentry|gofer)[^\n]*\n$/);
    await c.expectNothingLeft();
  });

  test("while it is paused", async () => {
    await using c = withVolume();
    await c.mustBegin();
    await c.mustCommand("pause");
    process.kill(pidOf(c, victim), "SIGKILL");
    // Frozen tasks end when delete has thawed them: who has died first is not told in every case.
    await expectGoneAfterDelete(c, /^(tssandbox: warning: [^\n]*\n)?$/);
  });
});

/**
 * Its steps cannot be told from outside (a jailed process writes no file), so it is by time, from the moment at which there is a sentry. The last
 * to be born is the stage, init or a gofer.
 */
test.each(["the sentry", "the last to be born"])("%s is killed during create, and nothing is left", async (victim) => {
  let failed = 0;
  for (const ms of [0, 1, 2, 4, 6, 9, 13, 18, 25, 40]) {
    await using c = withVolume();
    const call = c.call("create", [c.id], { flags: ["--bundle", c.bundle.dir] });
    const pid = await call.pid;
    let ended = false;
    void call.ended.then(() => (ended = true));
    // It may come and go between two looks.
    const sentry = await until("a sentry", () => childrenOf(pid).find(isSentry) ?? (ended ? 0 : undefined));
    await new Promise((resolve) => setTimeout(resolve, ms));
    if (sentry !== 0) ignoreGone(() => process.kill(victim === "the sentry" ? sentry : (childrenOf(pid).at(-1) ?? sentry), "SIGKILL"));
    const { code, stderr } = await call.result();
    if (code !== 0) {
      failed++;
      expect(stderr).toMatch(/^tssandbox: [^\n]+\n$/);
      await c.expectNothingLeft();
    }
    await c.delete("--force");
    await c.expectNothingLeft();
  }
  expect(failed).toBeGreaterThan(2);
});

/** In the order of their birth, those reaped left out. */
function childrenOf(pid: number): number[] {
  const children = ignoreGone(() => readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")) ?? "";
  return children.split(" ").filter(Boolean).map(Number);
}

function isSentry(pid: number): boolean {
  const text = ignoreGone(() => readFileSync(`/proc/${pid}/status`, "utf8")) ?? "";
  const [, inner = ""] = /NSpid:\t\d+\t(\d+)\n/.exec(text) ?? [];
  return inner === "1";
}

test("freezing works with traps pending, and what has been frozen goes on", async () => {
  await using c = hostile({ args: ["sh", "-c", "i=0; while :; do uname -r > /dev/null; i=$((i+1)); echo $i > /tmp/count; done"] });
  await c.mustBegin();
  const record = sandboxOf(c);
  const count = async () => Number((await attempt(c, ["cat /tmp/count"]))["cat /tmp/count"]);
  for (let i = 0; i < 4; i++) {
    await c.mustCommand("pause");
    expect(await c.status()).toBe("paused");
    await c.mustCommand("resume");
    const before = await count();
    await until("further calls", async () => (await count()) > before);
  }
  await expectAnswers(c, record);
});
