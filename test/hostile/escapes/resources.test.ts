/** Taking all there is: tasks, memory, storage. The guest's own processes pay, and the sandbox's own live. */
import { readFileSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import type { Container } from "../../support/container.ts";
import { cgroupsOf, processesOf } from "../../support/host.ts";
import { removeWorkDir } from "../../support/paths.ts";
import type { Spec } from "../../support/spec.ts";
import { until } from "../../support/until.ts";
import { expectAnswers, expectGoneAfterDelete, hostile, IS_STRICT, sandboxOf } from "../support.ts";

afterAll(removeWorkDir);

const MIB = 1 << 20;
/** By the shell itself; under strict, where a shell takes a minute to read as much, by a program that needs no reading. */
const TAKE_200_MIB = IS_STRICT ? `exec awk 'BEGIN { s = "x"; while (length(s) < 200000000) s = s s }'` : "x=$(dd if=/dev/zero bs=1M count=200 2> /dev/null | tr '\\0' x)";
/** Forty programs that keep 2 MiB each for a while. */
const TAKE_2_MIB_EACH = IS_STRICT
  ? "mkfifo /p; exec 3<>/p; i=0; while [ $i -lt 40 ]; do dd if=/dev/zero of=/p bs=2M count=1 2> /dev/null 3>&- & i=$((i+1)); done; sleep 2; exec 3>&-; wait; true"
  : "i=0; while [ $i -lt 40 ]; do (x=$(dd if=/dev/zero bs=1M count=2 2> /dev/null | tr '\\0' x); sleep 2) & i=$((i+1)); done; wait; true";

const limited = (resources: object) => (spec: Spec) => {
  spec.linux.resources = { ...spec.linux.resources, ...resources };
};

/** Tasks in the container's cgroup. */
function tasksOf(c: Container): number {
  const directory = cgroupsOf(c.id).find((path) => path.includes("/pids/")) ?? cgroupsOf(c.id)[0] ?? "";
  return Number(readFileSync(`${directory}/pids.current`, "utf8"));
}

test("a fork bomb stays within its limit, and is gone with the container", async () => {
  await using c = hostile({ args: ["/try", "fork-bomb"], edit: limited({ pids: { limit: 100 } }) });
  await c.mustBegin();
  const record = sandboxOf(c);
  let most = 0;
  await until("a full cgroup", () => (most = Math.max(most, tasksOf(c))) > 90);
  expect(most).toBeLessThanOrEqual(100);
  // The sandbox's own processes are not in its cgroup, and take nothing from the limit.
  const paths = [record.sentry, ...record.gofers].map(({ pid }) => readFileSync(`/proc/${pid}/cgroup`, "utf8"));
  expect(paths.filter((text) => text.includes(c.id))).toEqual([]);
  await expectGoneAfterDelete(c);
});

test("one process that takes too much memory is killed, and events tell of it; the sandbox goes on", async () => {
  await using c = hostile({ edit: limited({ memory: { limit: 64 * MIB, swap: 64 * MIB } }) });
  await c.mustBegin();
  const record = sandboxOf(c);
  const events = c.call("events", [c.id], { flags: ["--interval", "1s"] });
  await until("the first event", () => events.stdout !== "");
  const result = await c.exec(["sh", "-c", `${TAKE_200_MIB}; echo survived`]);
  expect({ survived: result.stdout.includes("survived"), failed: result.code !== 0 }).toEqual({ survived: false, failed: true });
  await until("an event", () => /"type":"oom"/.test(events.stdout));
  await expectAnswers(c, record);
  process.kill(await events.pid, "SIGTERM");
  await events.ended;
});

test("many small processes take too much memory: it is they who die, not the sentry or the gofer", async () => {
  await using c = hostile({ edit: limited({ memory: { limit: 48 * MIB, swap: 48 * MIB }, pids: { limit: 300 } }) });
  await c.mustBegin();
  const record = sandboxOf(c);
  await c.exec(["sh", "-c", TAKE_2_MIB_EACH]);
  const directory = cgroupsOf(c.id).find((path) => path.includes("/memory/")) ?? "";
  expect(Number(/oom_kill (\d+)/.exec(readFileSync(`${directory}/memory.oom_control`, "utf8"))?.[1])).toBeGreaterThan(3);
  await expectAnswers(c, record);
});

test("a full root file system is ENOSPC: by size, half of the memory limit unless told otherwise, and by number of files", async () => {
  await using c = hostile({ edit: limited({ memory: { limit: 128 * MIB, swap: 128 * MIB } }) });
  await c.mustBegin();
  const record = sandboxOf(c);
  const full = await c.exec(["sh", "-c", "dd if=/dev/zero of=/big bs=1M count=100; stat -c %s /big"]);
  expect(full.stderr).toMatch(/No space left on device/);
  const written = Number(full.stdout);
  expect([written > 60 * MIB, written <= 64 * MIB]).toEqual([true, true]);
  expect((await c.exec(["sh", "-c", "rm /big && echo x >/small && cat /small"])).stdout).toBe("x\n");
  await expectAnswers(c, record);
  await expectGoneAfterDelete(c);
  await using d = hostile({ edit: (spec) => void (spec.annotations = { "dev.tssandbox.root-size": "2m" }) });
  await d.mustBegin();
  const many = await d.exec(["sh", "-c", "mkdir /many; i=0; while echo >/many/$i; do i=$((i+1)); done; echo $i"]);
  expect(many.stderr).toMatch(/No space left on device/);
  const files = Number(many.stdout);
  expect([files > 200, files <= 1024]).toEqual([true, true]);
  await expectGoneAfterDelete(d);
});

test("files in memory, of no file system that the guest has, are paid for by the container's cgroup", async () => {
  await using c = hostile({ edit: limited({ memory: { limit: 64 * MIB, swap: 64 * MIB } }) });
  await c.mustBegin();
  const record = sandboxOf(c);
  expect(await c.mustExec(["/try", "memfd-fill", "20"])).toBe("ok\n");
  const { code, stdout } = await c.exec(["/try", "memfd-fill", "200"]);
  expect({ failed: code !== 0, stdout }).toEqual({ failed: true, stdout: "" });
  await expectAnswers(c, record);
});

test("filling a root file system that is larger than the memory limit is paid for by the container's cgroup", async () => {
  const larger = (spec: Spec) => {
    limited({ memory: { limit: 64 * MIB, swap: 64 * MIB } })(spec);
    spec.annotations = { "dev.tssandbox.root-size": "1g" };
  };
  await using c = hostile({ edit: larger });
  await c.mustBegin();
  const record = sandboxOf(c);
  const result = await c.exec(["sh", "-c", "dd if=/dev/zero of=/big bs=1M count=500; echo $?"]);
  expect(result.stdout).not.toBe("0\n");
  const directory = cgroupsOf(c.id).find((path) => path.includes("/memory/")) ?? "";
  expect(Number(readFileSync(`${directory}/memory.usage_in_bytes`, "utf8"))).toBeLessThanOrEqual(64 * MIB);
  await c.exec(["rm", "-f", "/big"]);
  expect(processesOf(c.id).length).toBeGreaterThan(0);
  // The first process may have been what the kernel killed: then the container has ended in good order.
  if ((await c.status()) === "running") await expectAnswers(c, record);
  await expectGoneAfterDelete(c);
});
