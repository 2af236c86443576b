/** Volumes: what the guest, or whoever else writes to them on the host, may do to lead the gofer astray; and what they might carry between sandboxes. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { afterAll, expect, test } from "vitest";
import type { Bundle } from "../../support/bundle.ts";
import { removeWorkDir } from "../../support/paths.ts";
import type { Spec } from "../../support/spec.ts";
import { until } from "../../support/until.ts";
import { attempt, hostile, volume } from "../support.ts";

afterAll(removeWorkDir);

const SECRET = "of the host";

/** /volume, and beside it, on the host, a secret. */
function lend(...options: string[]) {
  return (spec: Spec, bundle: Bundle) => {
    for (const name of ["volume", "volume/dir", "outside"]) mkdirSync(bundle.path(name));
    writeFileSync(bundle.path("volume/dir/file"), "of the volume");
    for (const path of ["outside/file", "secret"]) writeFileSync(bundle.path(path), SECRET);
    mkdirSync(`${bundle.rootfs}/volume`);
    spec.mounts.push(volume(bundle.path("volume"), "/volume", ...options));
  };
}

test("links in a volume lead into the guest's own root, whoever has made them", async () => {
  await using c = hostile({ edit: lend() });
  await c.mustBegin();
  symlinkSync(c.bundle.path("secret"), c.bundle.path("volume/absolute"));
  symlinkSync("../secret", c.bundle.path("volume/relative"));
  symlinkSync("/proc/self/root/etc/hostname", c.bundle.path("volume/magic"));
  symlinkSync("/etc/hostname", c.bundle.path("volume/hostname"));
  expect(await attempt(c, ["cat /volume/absolute", "cat /volume/relative", "cat /volume/magic", "cat /volume/hostname", "cat /volume/../secret", "cat /volume/dir/../../secret"])).toEqual({
    "cat /volume/absolute": "ENOENT", "cat /volume/relative": "ENOENT", "cat /volume/magic": "rootfs", "cat /volume/hostname": "rootfs", "cat /volume/../secret": "ENOENT", "cat /volume/dir/../../secret": "ENOENT",
  });
});

test("a directory that the host swaps with a link to elsewhere, again and again, is never left by it", async () => {
  await using c = hostile({ edit: lend(), args: ["sh", "-c", "while :; do cat /volume/dir/file /volume/dir/../dir/file; ls /volume/dir/..; echo x > /volume/dir/new; done > /tmp/out 2> /dev/null"] });
  await c.mustBegin();
  const [dir, link, old] = ["volume/dir", "volume/link", "volume/old"].map((name) => c.bundle.path(name)) as [string, string, string];
  const end = performance.now() + 3000;
  let swaps = 0;
  for (; performance.now() < end; swaps++) {
    symlinkSync(c.bundle.path("outside"), link);
    renameSync(dir, old);
    renameSync(link, dir);
    await new Promise((resolve) => setImmediate(resolve));
    rmSync(dir);
    renameSync(old, dir);
  }
  expect(swaps).toBeGreaterThan(100);
  const seen = await c.mustExec(["sh", "-c", "sort /tmp/out | uniq -c"]);
  expect(seen).toContain("of the volume");
  expect(seen).not.toContain(SECRET);
  expect(execFileSync("ls", [c.bundle.path("outside")], { encoding: "utf8" })).toBe("file\n");
});

test("a directory that the host moves out of the volume takes nobody along", async () => {
  await using c = hostile({ edit: lend(), args: ["sh", "-c", "cd /volume/dir; echo in; while [ ! -e /tmp/go ]; do :; done; cat ../secret ../../secret ../outside/file; ls ..; echo done"] });
  await c.mustBegin();
  await c.outputMatching(/in/);
  renameSync(c.bundle.path("volume/dir"), c.bundle.path("dir"));
  await c.mustExec(["touch", "/tmp/go"]);
  expect(await c.outputMatching(/done/)).not.toContain(SECRET);
  expect(c.stdout).not.toContain("outside");
});

async function listen(path: string): Promise<Server> {
  const server = createServer((socket) => socket.end(SECRET));
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return server;
}

test("a socket of the host's in a volume has nobody behind it, and neither has one of another container's: no descriptor passes", async () => {
  await using c = hostile({ edit: lend() });
  await c.mustBegin();
  const shared = c.bundle.path("volume");
  await using other = hostile({ args: ["/try", "unix", "wait", "/volume/other"], edit: (spec, bundle) => {
    mkdirSync(`${bundle.rootfs}/volume`);
    spec.mounts.push(volume(shared, "/volume"));
  } });
  await other.mustBegin();
  const server = await listen(c.bundle.path("volume/host"));
  await until("the other's socket", () => statSync(`${shared}/other`, { throwIfNoEntry: false }) !== undefined);
  expect(await attempt(c, ["unix connect /volume/host", "unix connect /volume/other"])).toEqual({ "unix connect /volume/host": "ECONNREFUSED", "unix connect /volume/other": "ECONNREFUSED" });
  // Within one container it works, or nothing would be shown.
  expect(await other.mustExec(["/try", "unix", "connect", "/volume/other"])).toBe("ok\n");
  server.close();
});

test("abstract sockets of the host are out of reach in a network namespace of its own", async () => {
  const server = await listen("\0tssandbox-hostile");
  await using c = hostile();
  await c.mustBegin();
  expect(await attempt(c, ["unix connect @tssandbox-hostile"])).toEqual({ "unix connect @tssandbox-hostile": "ECONNREFUSED" });
  server.close();
});

test("a socket of the host's as a mount of its own is refused at create", async () => {
  await using c = hostile({ edit: (spec, bundle) => spec.mounts.push(volume(bundle.path("socket"), "/socket")) });
  const server = await listen(c.bundle.path("socket"));
  const { code, stderr } = await c.create();
  expect(code).not.toBe(0);
  expect(stderr).toMatch(/is a socket or FIFO of the host's/);
  server.close();
});

test("a device node in a volume is no device", async () => {
  await using c = hostile({ edit: lend() });
  await c.mustBegin();
  execFileSync("mknod", ["-m", "666", c.bundle.path("volume/zero"), "c", "1", "5"]);
  expect(await attempt(c, ["open /volume/zero", "mknod /volume/mine 020666 261"])).toEqual({ "open /volume/zero": "EACCES", "mknod /volume/mine 020666 261": "EPERM" });
});

test("a read-only volume stays as it is", async () => {
  await using c = hostile({ edit: lend("ro") });
  await c.mustBegin();
  expect(new Set(Object.values(await attempt(c, ["open /volume/dir/file w x", "chmod /volume/dir/file 0777", "mknod /volume/new 0100644 0", "chown /volume/dir 1 1"])))).toEqual(new Set(["EROFS"]));
  expect(readFileSync(c.bundle.path("volume/dir/file"), "utf8")).toBe("of the volume");
});

test("what the root writes does not reach the image", async () => {
  await using c = hostile({ edit: (_spec, bundle) => bundle.file("etc/kept", "kept") });
  await c.mustBegin();
  await c.mustExec(["sh", "-c", "echo changed > /etc/kept; rm /bin/ls; mkdir /new"]);
  expect([c.bundle.read("etc/kept"), statSync(`${c.rootfs}/new`, { throwIfNoEntry: false })]).toEqual(["kept", undefined]);
});

