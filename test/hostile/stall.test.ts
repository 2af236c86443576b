/** File systems below a volume that do not answer, and a gofer that does not. */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import type { Container } from "../support/container.ts";
import { removeWorkDir } from "../support/paths.ts";
import { until } from "../support/until.ts";
import { expectAnswers, expectGoneAfterDelete, hostile, hostileProgram, sandboxOf, volume } from "./support.ts";

afterAll(removeWorkDir);

/** A container with a volume that hangs when a name is looked up in it, and one that does not. Disposing of it ends the hanging first. */
async function withSlowVolume(): Promise<{ readonly c: Container } & AsyncDisposable> {
  let server: ChildProcess | undefined;
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
  server = spawn(hostileProgram("slow"), [mountPoint], { stdio: ["ignore", "pipe", "inherit"] });
  await once(server.stdout!, "data");
  const dispose = async () => {
    server.kill("SIGKILL");
    await once(server, "exit");
    execFileSync("umount", ["-l", mountPoint]);
    await c[Symbol.asyncDispose]();
  };
  return { c, [Symbol.asyncDispose]: dispose };
}

test("a volume that hangs does not stall the other mounts", async () => {
  await using slow = await withSlowVolume();
  const { c } = slow;
  await c.mustBegin();
  expect(await c.mustExec(["cat", "/volume/file"])).toBe("quick");
  c.startExec(["cat", "/slow/name"], { timeout: 10_000 }).ended.catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, 500));
  for (const name of ["/volume/another", "/another", "/proc/another"]) {
    expect((await c.exec(["ls", name], { timeout: 5000 })).stderr).toMatch(/No such file/);
  }
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
