import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";
import { runCase } from "../../support/forked.ts";
import { mountsBelow } from "../../support/host.ts";
import { uniqueId, workDir } from "../../support/paths.ts";

const script = fileURLToPath(new URL("scripts/mounts.ts", import.meta.url));

function run(name: string): unknown {
  const dir = join(workDir, uniqueId());
  mkdirSync(dir);
  return runCase(script, name, dir);
}

afterEach(() => {
  expect(mountsBelow(workDir)).toEqual([]);
});

test("a bind mount made read-only by a remount leaves the original writable", () => {
  expect(run("by path")).toEqual({
    top: expect.stringMatching(/^rw,nodev,relatime rw,size=1024k/) as string,
    bound: { options: expect.stringMatching(/^ro,nosuid/) as string, write: "EROFS", original: "ok" },
    after: null,
    again: "EINVAL",
  });
});

test("mounts made, copied and attached by descriptor, with their attributes set on the whole tree", () => {
  expect(run("by descriptor")).toEqual({
    lists: { shallow: [], deep: ["inner"] },
    sub: expect.stringMatching(/^rw,noexec,relatime rw,size=64k,mode=711/) as string,
    mode: 0o711,
    copy: [expect.stringMatching(/^ro,nodev/), expect.stringMatching(/^ro,noexec/)],
    write: ["EROFS", "EROFS", "ok"],
  });
});

test("attributes are set and cleared, and propagation changed", () => {
  expect(run("attributes")).toEqual({ first: expect.stringMatching(/^rw,nosuid,noatime rw/) as string, shared: true });
});

test("a refusal names the file system, the parameter or the target", () => {
  expect(run("refusals")).toEqual({
    type: "fsopen nofs: no such device (ENODEV)",
    parameter: "fsconfig tmpfs nonsense=1: invalid argument (EINVAL)",
    flag: "fsconfig tmpfs nonsense: invalid argument (EINVAL)",
    target: "mount /nowhere: no such file or directory (ENOENT)",
    link: "EINVAL",
    attribute: "EINVAL",
  });
});

test("after pivot_root onto the same directory and a detached unmount nothing of the host is left", () => {
  expect(run("pivot")).toEqual({ names: ["a", "b"], host: "ENOENT" });
});

test("chroot", () => {
  expect(run("chroot")).toEqual(["only", "sub"]);
});

test("a namespace is joined by descriptor, of the right kind only", () => {
  const before = readFileSync("/proc/sys/kernel/hostname", "utf8");
  expect(run("join")).toEqual({ inside: "inside", wrongKind: "EINVAL", back: true });
  expect(readFileSync("/proc/sys/kernel/hostname", "utf8")).toBe(before);
});
