/** A host that does not play along: full or read-only state, unusable cgroups. In a private mount namespace each, made for the test. */
import { writeFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import type { Container } from "../../support/container.ts";
import { removeWorkDir } from "../../support/paths.ts";
import type { Result } from "../../support/runtime.ts";
import { expectOneLine, forceDelete, make } from "./own.ts";

afterAll(removeWorkDir);

/** Runs the runtime after `prepare`, a shell script with $STATE; what is in the state directory afterwards goes to standard output. */
async function createAfter(c: Container, prepare: string): Promise<Result> {
  const script = `set -e; ${prepare}; set +e; "$@"; code=$?; ls -A "$STATE"; [ $code = 0 ] && "$1" --root "$STATE" delete --force ${c.id}; exit $code`;
  return await c.create({ prefix: ["env", `STATE=${c.stateRoot}`, "unshare", "-m", "sh", "-c", script, "sh"] });
}

/** More and more room, until it is enough. @returns what the failures said. */
async function untilItFits(mountOptions: (room: number) => string): Promise<string[]> {
  const failures: string[] = [];
  for (let room = 1; room < 40; room++) {
    await using c = make({ args: ["sleep", "100"] });
    const result = await createAfter(c, `mount -t tmpfs -o ${mountOptions(room)} tmpfs "$STATE"`);
    if (result.code === 0) {
      expect(result.stdout).toBe(`${c.id}\n`);
      return failures;
    }
    expectOneLine(result, 1);
    expect(result.stderr).toMatch(/ENOSPC/);
    await c.expectNothingLeft();
    failures.push(result.stderr);
  }
  throw new Error("it never fits");
}

describe("the state directory", () => {
  test("runs out of inodes at each of its files in turn", async () => {
    const failures = await untilItFits((room) => `size=1m,nr_inodes=${room}`);
    expect(failures.length).toBeGreaterThanOrEqual(5);
    expect(new Set(failures.map((text) => text.split(": ")[1])).size).toBeGreaterThanOrEqual(3);
  });

  test("runs out of space at each of its files in turn", async () => {
    const failures = await untilItFits((room) => `size=${4 * room}k`);
    expect(failures.length).toBeGreaterThanOrEqual(2);
  });

  test("is on a read-only file system", async () => {
    await using c = make();
    const result = await createAfter(c, 'mount -t tmpfs -o ro tmpfs "$STATE"');
    expectOneLine(result, 1);
    expect(result.stderr).toMatch(/state directory: mkdir .*EROFS/);
    await c.expectNothingLeft();
  });

  test("cannot be made", async () => {
    await using c = make();
    writeFileSync(c.bundle.path("file"), "");
    const result = await c.create({ global: ["--root", c.bundle.path("file", "state")] });
    expectOneLine(result, 1);
    expect(result.stderr).toMatch(/state directory: mkdir .*ENOTDIR/);
    await c.expectNothingLeft();
  });
});

const eachCgroup = (command: string): string => `for m in $(awk '$5 ~ "^/sys/fs/cgroup/" {print $5}' /proc/self/mountinfo); do ${command}; done`;

describe("cgroups", () => {
  test("are mounted read-only", async () => {
    await using c = make();
    const result = await createAfter(c, eachCgroup('mount -o remount,bind,ro "$m"'));
    expectOneLine(result, 1);
    expect(result.stderr).toMatch(/cgroup: mkdir .*EROFS/);
    await c.expectNothingLeft();
  });

  for (const controller of ["memory", "devices", "pids", "freezer"]) {
    test(`are read-only for ${controller} alone: the others are removed again`, async () => {
      await using c = make();
      const result = await createAfter(c, `mount -o remount,bind,ro /sys/fs/cgroup/${controller}`);
      expectOneLine(result, 1);
      expect(result.stderr).toMatch(new RegExp(`cgroup.*/${controller}/.*EROFS`));
      await c.expectNothingLeft();
    });
  }

  test("are not mounted", async () => {
    await using c = make();
    const result = await createAfter(c, "mount -t tmpfs tmpfs /sys/fs/cgroup");
    expectOneLine(result, 1);
    expect(result.stderr).toMatch(/cgroup/);
    await c.expectNothingLeft();
  });

  test("refuse a limit", async () => {
    await using c = make({ edit: (spec) => { Object.assign(spec.linux.resources!, { cpu: { cpus: "900" } }); } });
    const result = await c.create();
    expectOneLine(result, 1);
    expect(result.stderr).toMatch(/cpuset/);
    await c.expectNothingLeft();
  });
});

describe("descriptors", () => {
  test("run out wherever they may", async () => {
    let failed = 0;
    for (let limit = 22; limit < 70; limit += 2) {
      await using c = make({ args: ["sleep", "100"] });
      const result = await c.create({ prefix: ["prlimit", `--nofile=${limit}:${limit}`, "--"] });
      if (result.code === 0) break;
      failed++;
      expectOneLine(result, 1);
      expect(result.stderr, String(limit)).toMatch(/EMFILE/);
      // Looking into cgroups takes descriptors as well: then it says that something is left.
      if (/cleaning up failed: .*; use: delete --force/.test(result.stderr)) await forceDelete(c);
      await c.expectNothingLeft();
    }
    expect(failed).toBeGreaterThanOrEqual(5);
  });
});
