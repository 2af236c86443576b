// bench/host/hold.c: what a command has said and how it ended, and that nothing of it stays.
import { existsSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { hold, holdStaying } from "../../../bench/hold.ts";
import { removeWorkDirectory } from "../../../bench/work.ts";

afterAll(removeWorkDirectory);

const inShell = (text: string) => ["sh", "-c", text];
const limits = { seconds: 30 };
const isThere = (pid: string) => existsSync(`/proc/${pid.trim()}`);

test("output, exit code and times are the command's", async () => {
  const run = await hold(inShell("sleep 0.2; echo out; echo err >&2; sleep 0.3; exit 3"), limits);
  expect(run).toMatchObject({ kind: "ended", code: 3, stdout: "out\n", stderr: "err\n" });
  if (run.kind !== "ended") return;
  expect(run.firstOutput).toBeGreaterThanOrEqual(200);
  expect(run.milliseconds - (run.firstOutput ?? Infinity)).toBeGreaterThanOrEqual(250);
});

test("one that a signal ends has a shell's code, one that says nothing no first output", async () => {
  const run = await hold(inShell("kill -9 $$"), limits);
  expect(run).toMatchObject({ kind: "ended", code: 137, stdout: "" });
  expect(run).not.toHaveProperty("firstOutput");
});

test("a program that is missing is told of", async () => {
  expect(await hold(["/does/not/exist"], limits)).toMatchObject({ kind: "failed", why: "/does/not/exist: ENOENT" });
});

test("what it leaves behind is ended, a session of its own or not", async () => {
  const run = await hold(inShell("setsid sleep 1000 & (setsid sh -c 'sleep 1000 & wait' &) ; echo $!; sleep 0.2"), limits);
  expect(run.kind).toBe("ended");
  expect(run.stdout.trim()).toMatch(/^\d+$/);
  expect(isThere(run.stdout)).toBe(false);
});

test("one that takes too long is ended with all that it has started, and what it has said counts", async () => {
  const run = await hold(inShell("setsid sleep 1000 & echo $!; trap '' TERM INT HUP; while :; do sleep 1; done"), { seconds: 1 });
  expect(run).toMatchObject({ kind: "failed", why: "timed out after 1 s" });
  expect(run.stdout.trim()).toMatch(/^\d+$/);
  expect(isThere(run.stdout)).toBe(false);
});

test("one that stays is there with its processes until it is stopped", async () => {
  let cleanedUp = 0;
  const start = await holdStaying(inShell("setsid sleep 1000 & echo up; exit 0"), { ...limits, ready: "up", detaches: true, cleanUp: async () => void cleanedUp++ });
  if (start.kind === "failed") throw new Error(start.why);
  const pids = start.running.pids();
  expect(pids).toHaveLength(1);
  await start.running.stop();
  expect(pids.filter((pid) => isThere(String(pid)))).toEqual([]);
  expect(cleanedUp).toBe(1);
});

test("one that does not come up is ended, and the reason told", async () => {
  const stay = { ready: "up", detaches: false, cleanUp: async () => undefined };
  expect(await holdStaying(inShell("echo no >&2; exit 4"), { ...limits, ...stay })).toEqual({ kind: "failed", why: "exit code 4: no" });
  expect(await holdStaying(["sleep", "1000"], { seconds: 1, ...stay })).toEqual({ kind: "failed", why: "not up after 1 s" });
});
