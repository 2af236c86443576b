/** exec --cgroup: a process in a cgroup below the container's. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect } from "vitest";
import { cgroupDir, cgroupVersion } from "../../support/cgroup.ts";
import type { Container } from "../../support/container.ts";
import { describeRuntime } from "../../support/contract.ts";

beforeAll(() => {
  if (cgroupVersion() !== 1) throw new Error("these tests are for v1 hierarchies");
});

const controllers = ["memory", "cpu", "cpuacct", "cpuset", "pids", "devices", "freezer", "blkio", "systemd"];

function makeBelow(c: Container, name: string, ...wanted: string[]): void {
  for (const controller of wanted) mkdirSync(join(cgroupDir(c.id, controller), name));
}

/** The path of a process in each hierarchy, without the container's own. */
const placesOf = (c: Container, text: string) => Object.fromEntries(text.trim().split("\n").map((line) => line.split(":")).map(([, name = "", path = ""]) => [name.replace("name=", ""), path.replace(`/${c.id}`, "") || "/"]));
const old = { cannot: { "runc 1.1": "wants the cgroup in the hierarchies that it does not use" } };
const readOwn = ["cat", "/proc/self/cgroup"];

describeRuntime("exec --cgroup", ({ test, make }) => {
  test("a path alone is for every controller", old, async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    makeBelow(c, "job", ...controllers);
    for (const file of ["cpuset.cpus", "cpuset.mems"]) copyDown(c, file);
    const places = placesOf(c, await c.mustExec(readOwn, { flags: ["--cgroup", "job"] }));
    for (const controller of controllers) expect(places[controller], controller).toBe("/job");
    expect(readFileSync(`/proc/${c.pid}/cgroup`, "utf8")).not.toMatch(/job/);
  });

  test("with controllers it is for these, and the others stay the container's", old, async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    makeBelow(c, "a", "pids", "memory");
    makeBelow(c, "b", "freezer");
    const places = placesOf(c, await c.mustExec(readOwn, { flags: ["--cgroup", "pids,memory:a", "--cgroup=freezer:/b"] }));
    expect(places).toMatchObject({ pids: "/a", memory: "/a", freezer: "/b", cpu: "/", devices: "/" });
  });

  test("/ is the container's own", old, async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    expect(placesOf(c, await c.mustExec(readOwn, { flags: ["--cgroup", "/"] }))).toMatchObject({ pids: "/", cpu: "/" });
  });

  const bad: [string, readonly string[], RegExp][] = [
    ["one that does not exist", ["--cgroup", "nosuch"], /--cgroup: .*nosuch does not exist/],
    ["one outside of the container's", ["--cgroup", "../.."], /--cgroup: .* leads out/],
    ["a controller that there is not", ["--cgroup", "nosuch:/"], /--cgroup: .* names a controller/],
    ["a path for all of them beside another", ["--cgroup", "/", "--cgroup", "pids:/"], /--cgroup: .* without a controller/],
  ];
  for (const [what, flags, words] of bad) {
    test(`${what} ends with 255`, { cannot: { "runc 1": "has other words" } }, async () => {
      await using c = make({ args: ["sleep", "100"] });
      await c.mustBegin();
      expect(await c.exec(["true"], { flags })).toMatchObject({ code: 255, stdout: "", stderr: expect.stringMatching(words) as string });
    });
  }
});

/** A new cpuset takes no process before it has CPUs and memory. */
function copyDown(c: Container, file: string): void {
  const dir = cgroupDir(c.id, "cpuset");
  writeFileSync(join(dir, "job", file), readFileSync(join(dir, file)));
}
