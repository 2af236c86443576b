/** What a process is born with, and what may be done to one of ours on its way into the sandbox. */
import { closeSync, openSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { removeWorkDir } from "../../support/paths.ts";
import { attempt, expectAnswers, hostile, sandboxOf } from "../support.ts";

afterAll(removeWorkDir);

test("the first process, and one of exec, have nothing but their standard streams", async () => {
  await using first = hostile({ args: ["/try", "descriptors"] });
  expect(await first.mustRun()).toBe("none\n");
  await using c = hostile();
  await c.mustBegin();
  expect(await c.mustExec(["/try", "descriptors"])).toBe("none\n");
});

test("processes that enter by exec cannot be traced, nor their files, memory or root be opened, before they are the program", async () => {
  await using c = hostile({ args: ["/try", "hunt", "4"] });
  await c.mustBegin();
  const record = sandboxOf(c);
  for (let i = 0; i < 12; i++) await c.exec(["/bin/true"]);
  const found = await c.outputMatching(/hunted \d+/);
  // The programs themselves are the guest's, and may be looked into; so may the stub that becomes them, which has the guest's rights by then.
  expect(found.split("\n").filter((line) => line !== "" && !/^(exe|fd|root|cwd|traced) (\/bin\/busybox|\/try|\/memfd:tssandbox-exec \(deleted\)|\/dev\/null|\/|pipe:.*|\/.*\.(out|err|in)|socket:.*)$|^hunted/.test(line))).toEqual([]);
  expect(Number(/hunted (\d+)/.exec(found)?.[1])).toBeGreaterThan(100);
  await expectAnswers(c, record);
});

test("a directory of the host's among the descriptors, by which `..` would lead out, is refused", async () => {
  await using c = hostile({ args: ["/try", "fchdir", "0", ".."] });
  const fd = openSync("/etc", "r");
  const created = await c.create({ input: { fd } });
  await using running = hostile();
  await running.mustBegin();
  const byExec = await running.exec(["/try", "fchdir", "0", "../proc/version"], { input: { fd } });
  const preserved = await running.exec(["/try", "fchdir", "3", "../proc/version"], { flags: ["--preserve-fds", "1"], extraFds: [fd] });
  closeSync(fd);
  for (const { code, stdout, stderr } of [created, byExec, preserved]) {
    expect({ failed: code !== 0, stdout }).toEqual({ failed: true, stdout: "" });
    expect(stderr).toMatch(/^tssandbox: descriptor [03] is a directory of the host's[^\n]*\n$/);
  }
});

test("set-user-ID programs make nobody more than the guest's root, who is nobody on the host", async () => {
  await using c = hostile();
  await c.mustBegin();
  await c.mustExec(["sh", "-c", "cp /try /tmp/setuid && chmod 4755 /tmp/setuid"]);
  const result = await c.exec([], { process: { args: ["/tmp/setuid", "uid"], user: { uid: 1000, gid: 1000 }, noNewPrivileges: false } });
  expect(["1000,0\n", "1000,1000\n"]).toContain(result.stdout);
  const { ids } = sandboxOf(c);
  expect(ids.guest[0]!.hostID).toBeGreaterThan(100_000);
  expect(await attempt(c, ["uid"])).toEqual({ uid: "0,0" });
});
