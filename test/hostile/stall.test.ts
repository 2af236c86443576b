/** File systems below a volume that do not answer, and a gofer that does not. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import type { Container } from "../support/container.ts";
import { isAlive } from "../support/host.ts";
import { removeWorkDir } from "../support/paths.ts";
import { until } from "../support/until.ts";
import { expectAnswers, expectGoneAfterDelete, hostile, hostileProgram, processesWithIds, sandboxOf, volume } from "./support.ts";

afterAll(removeWorkDir);

interface SlowVolume extends AsyncDisposable {
  readonly c: Container;
  /** Has a program of the guest's wait for it. */
  wait(): Promise<void>;
  /** Ends what hangs. */
  end(): Promise<void>;
}

/** A container with a volume that hangs when a name is looked up in it, and one that does not. */
async function withSlowVolume(): Promise<SlowVolume> {
  let mountPoint = "";
  const c = hostile({ edit: (spec, bundle) => {
    mountPoint = bundle.path("slow");
    for (const name of ["slow", "volume"]) {
      mkdirSync(bundle.path(name));
      mkdirSync(`${bundle.rootfs}/${name}`);
      spec.mounts.push(volume(bundle.path(name), `/${name}`));
    }
    writeFileSync(bundle.path("volume/file"), "quick");
  } });
  const server = spawn(hostileProgram("slow"), [mountPoint], { stdio: ["ignore", "pipe", "inherit"] });
  await once(server.stdout, "data");
  const wait = async () => {
    c.startExec(["cat", "/slow/name"], { timeout: 60_000 }).ended.catch(() => {});
    await until("a gofer that hangs", () => sandboxOf(c).gofers.some(({ pid }) => readFileSync(`/proc/${pid}/wchan`, "latin1") === "request_wait_answer"));
  };
  const end = async () => {
    if (server.exitCode !== null || server.signalCode !== null) return;
    server.kill("SIGKILL");
    await once(server, "exit");
    execFileSync("umount", ["-l", mountPoint]);
  };
  const dispose = async () => {
    await end();
    await c[Symbol.asyncDispose]();
  };
  return { c, wait, end, [Symbol.asyncDispose]: dispose };
}

test("a volume that hangs does not stall the other mounts", async () => {
  await using slow = await withSlowVolume();
  const { c } = slow;
  await c.mustBegin();
  expect(await c.mustExec(["cat", "/volume/file"])).toBe("quick");
  await slow.wait();
  for (const name of ["/volume/another", "/another", "/proc/another"]) {
    expect((await c.exec(["ls", name], { timeout: 30_000 })).stderr).toMatch(/No such file/);
  }
});

/** Not even SIGKILL ends whoever waits within a FUSE request that has been read: the guest is freed of the gofer, the gofer is told of. */
describe("while a program waits for a volume that hangs", () => {
  const HELD = /^tssandbox: warning: of the sandbox of \S+ are left, killed, until a file system of the host's answers: the sentry \(pid \d+\), the gofer of volume \d+ \(pid \d+\)\n$/m;

  async function expectDeleted({ c, end }: SlowVolume): Promise<void> {
    const record = sandboxOf(c);
    const { pid } = c;
    const { code, stderr } = await c.delete("--force");
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringMatching(HELD) as string });
    expect({ init: isAlive(pid), left: processesWithIds(record) }).toEqual({ init: false, left: [record.sentry.pid] });
    await end();
    await until("the end of what was left", () => ![record.sentry, ...record.gofers].some((one) => isAlive(one.pid)));
    await c.expectNothingLeft();
  }

  test("it can be deleted", async () => {
    await using slow = await withSlowVolume();
    await slow.c.mustBegin();
    await slow.wait();
    await expectDeleted(slow);
  });

  test("it can be killed", async () => {
    await using slow = await withSlowVolume();
    await slow.c.mustBegin();
    await slow.wait();
    await slow.c.mustCommand("kill", ["KILL"]);
    expect(await slow.c.status()).toBe("stopped");
    await expectDeleted(slow);
  });

  test("the sentry dies, and it can be deleted", async () => {
    await using slow = await withSlowVolume();
    await slow.c.mustBegin();
    await slow.wait();
    process.kill(sandboxOf(slow.c).sentry.pid, "SIGKILL");
    await expectDeleted(slow);
  });
});

test("a gofer that is stopped stalls what asks it, not the sentry; it goes on where it was", async () => {
  await using c = hostile({ args: ["sh", "-c", "while :; do uname -r; done | while read x; do i=$((i+1)); echo $i; done"] });
  await c.mustBegin();
  const record = sandboxOf(c);
  await c.outputMatching(/\n20\n/);
  process.kill(record.gofers[0]!.pid, "SIGSTOP");
  // Its programs are in the kernel's caches, for as long as the root is the container's alone.
  const before = c.stdout.length;
  await until("further calls", () => c.stdout.length > before + 20);
  const call = c.startExec(["ls", "/a-name-never-seen"]);
  await new Promise((resolve) => setTimeout(resolve, 300));
  process.kill(record.gofers[0]!.pid, "SIGCONT");
  expect((await call.ended).code).not.toBe(0);
  await expectAnswers(c, record);
});

test("a sandbox with a stopped gofer, or a stopped sentry, can be deleted", async () => {
  for (const victim of ["gofers", "sentry"] as const) {
    await using c = hostile();
    await c.mustBegin();
    for (const { pid } of [sandboxOf(c)[victim]].flat()) process.kill(pid, "SIGSTOP");
    await expectGoneAfterDelete(c, /^(tssandbox: warning: [^\n]*\n)?$/);
  }
});
