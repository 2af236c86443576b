/** What is lent is served by several gofers: one that has been taken over holds what it serves, and nothing of what the others do. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { ignoreGone } from "../support/host.ts";
import { removeWorkDir } from "../support/paths.ts";
import { hostile, hostileProgram, sandboxOf, volume } from "./support.ts";

afterAll(removeWorkDir);

interface Held {
  /** Device and inode number of each file and directory that it has open. */
  readonly files: readonly string[];
  /** How many connections it answers. */
  readonly fuse: number;
}

const FUSE_DEVICE = (10 << 8) | 229;
const identity = (path: string): string => {
  const { dev, ino } = statSync(path);
  return `${dev}:${ino}`;
};

/** A memfd, which the standard streams are, has no name that counts. */
function heldBy(pid: number): Held {
  const paths = readdirSync(`/proc/${pid}/fd`).map((fd) => `/proc/${pid}/fd/${fd}`);
  const stats = paths.flatMap((path) => ignoreGone(() => statSync(path)) ?? []);
  const files = stats.filter((stat) => stat.isDirectory() || (stat.isFile() && stat.nlink > 0)).map(({ dev, ino }) => `${dev}:${ino}`);
  return { files, fuse: stats.filter((stat) => stat.isCharacterDevice() && stat.rdev === FUSE_DEVICE).length };
}

test("a gofer holds what it serves: not the root's files, not another file system's volumes", async () => {
  let at = { one: "", same: "", other: "", rootfs: "" };
  await using c = hostile({ edit: (spec, bundle) => {
    at = { one: bundle.path("one"), same: bundle.path("same"), other: bundle.path("other"), rootfs: bundle.rootfs };
    for (const name of ["one", "same", "other"] as const) {
      mkdirSync(at[name]);
      spec.mounts.push(volume(at[name], `/${name}`));
    }
    writeFileSync(`${at.one}/file`, "lent");
  } });
  const server = spawn(hostileProgram("slow"), [at.other], { stdio: ["ignore", "pipe", "inherit"] });
  await once(server.stdout, "data");
  try {
    await c.mustBegin();
    expect(await c.mustExec(["cat", "/one/file"])).toBe("lent");
    const [roots, first, second] = sandboxOf(c).gofers.map(({ pid }) => heldBy(pid));
    const volumes = [at.one, at.same, at.other].map(identity);
    const ofRoot = [identity(at.rootfs), ...readdirSync(at.rootfs).map((name) => identity(`${at.rootfs}/${name}`))];
    expect([roots!.fuse, first!.fuse, second!.fuse]).toEqual([2, 2, 1]);
    expect(roots!.files).toContain(ofRoot[0]);
    expect(roots!.files.filter((file) => volumes.includes(file))).toEqual([]);
    expect(first!.files).toEqual(expect.arrayContaining(volumes.slice(0, 2)));
    expect(first!.files.filter((file) => file === volumes[2] || ofRoot.includes(file))).toEqual([]);
    expect(second!.files.filter((file) => file === volumes[2])).toEqual([volumes[2]]);
    expect(second!.files.filter((file) => volumes.slice(0, 2).includes(file) || ofRoot.includes(file))).toEqual([]);
  } finally {
    server.kill("SIGKILL");
    await once(server, "exit");
    execFileSync("umount", ["-l", at.other]);
  }
});
