import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { findResctrl, joinRdt, planRdt, removeRdt, schemaHolds, schemataOf, setSchemata, type RdtPlan } from "./intel-rdt.ts";

// A plain directory: it shows which files are looked at and written, and not what a kernel says to it. test/kernel/oci/intel-rdt.test.ts has
// a file system in which a new group gets its files.

const root = mkdtempSync(join(tmpdir(), "resctrl-"));
afterAll(() => rmSync(root, { recursive: true }));

function makeGroup(path: string, schemata: string): void {
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, "schemata"), schemata);
  writeFileSync(join(path, "tasks"), "");
}

beforeEach(() => {
  rmSync(root, { recursive: true });
  makeGroup(root, "    MB:0=100;1=100\n    L3:0=7ff;1=7ff\n");
  makeGroup(join(root, "gold"), "    MB:0= 20;1= 70\n    L3:0=7f0;1=01f\n");
});

describe("findResctrl", () => {
  const others = "22 1 0:21 / /proc rw,relatime - proc proc rw\n23 1 0:22 / /sys/resctrl rw - tmpfs resctrl rw\n";
  test("takes the first mount of the type, wherever it is", () => {
    expect(findResctrl(`${others}30 23 0:30 / /sys/fs/res\\040ctrl rw,relatime shared:9 - resctrl resctrl rw,mba_MBps\n31 1 0:30 / /other rw - resctrl resctrl rw\n`)).toBe("/sys/fs/res ctrl");
  });
  test("finds none where none is", () => {
    expect(findResctrl(others)).toBeUndefined();
  });
});

describe("planRdt", () => {
  test("no intelRdt, no plan", () => {
    expect(planRdt(undefined, "id", root)).toBeUndefined();
  });
  test("without closID the group is named after the container and its own", () => {
    expect(planRdt({}, "id", root)).toEqual({ root, group: `${root}/id`, own: true });
  });
  test("a group of the container's name that is there already is not its own", () => {
    makeGroup(join(root, "id"), "");
    expect(planRdt({}, "id", root)).toMatchObject({ own: false });
  });
  test("a class is never the container's own, whether it has to be made or not", () => {
    expect(planRdt({ closID: "gold" }, "id", root)).toEqual({ root, group: `${root}/gold`, own: false });
    expect(planRdt({ closID: "new", schemata: ["L3:0=f"] }, "id", root)).toEqual({ root, group: `${root}/new`, own: false });
  });
  test("closID / is the root", () => {
    expect(planRdt({ closID: "/", enableMonitoring: true }, "id", root)).toEqual({ root, group: root, own: false, monitor: `${root}/mon_groups/id` });
  });
  test("a class that is not there and has no schemata is refused", () => {
    expect(() => planRdt({ closID: "new" }, "id", root)).toThrow(`linux.intelRdt.closID: there is no group "new" in ${root}`);
  });
  test("a class that is there with the values is taken, with others refused", () => {
    expect(planRdt({ closID: "gold", l3CacheSchema: "L3:0=7F0;1=1f", memBwSchema: "MB:1=70" }, "id", root)).toMatchObject({ own: false });
    expect(() => planRdt({ closID: "gold", l3CacheSchema: "L3:0=7f0;1=f" }, "id", root)).toThrow('linux.intelRdt.l3CacheSchema: group "gold" exists with other values than "L3:0=7f0;1=f"');
    expect(() => planRdt({ closID: "gold", memBwSchema: "MB:0=30" }, "id", root)).toThrow("linux.intelRdt.memBwSchema");
  });
});

describe("schemaHolds", () => {
  const shown = "    MB:0= 20;1=100\n    L3:0=00f;1=7ff\n";
  test.each([
    ["", 1, true], ["L3:0=f", 1, true], ["L3:0=0f;1=7FF", 1, true], ["L3:1=7fe", 1, false], ["L3:2=f", 1, false], ["L2:0=f", 1, false],
    ["MB:0=20", 1, true], ["MB:0=15", 10, true], ["MB:0=15", 1, false], ["MB:0=10", 10, false],
  ])("%j, bandwidth in steps of %i: %s", (wanted, granularity, holds) => {
    expect(schemaHolds(wanted, shown, granularity)).toBe(holds);
  });
  test("the host's own steps count", () => {
    mkdirSync(join(root, "info/MB"), { recursive: true });
    writeFileSync(join(root, "info/MB/bandwidth_gran"), "10\n");
    expect(planRdt({ closID: "gold", memBwSchema: "MB:0=11" }, "id", root)).toBeDefined();
  });
});

test("schemata come in the order of the specification", () => {
  expect(schemataOf({ schemata: ["L2:0=f", "MB:0=50"], memBwSchema: "MB:0=20", l3CacheSchema: "L3:0=f" })).toEqual(["L3:0=f", "MB:0=20", "L2:0=f", "MB:0=50"]);
});

describe("writing", () => {
  const plan: RdtPlan = { root, group: join(root, "gold"), own: true, monitor: join(root, "gold/mon_groups/id") };

  test("the schemata are one write that ends a line", () => {
    writeFileSync(join(root, "gold/schemata"), "");
    setSchemata(plan, ["L3:0=f", "MB:0=20"]);
    expect(readFileSync(join(root, "gold/schemata"), "utf8")).toBe("L3:0=f\nMB:0=20\n");
  });
  test("a task goes into both groups", () => {
    makeGroup(plan.monitor!, "");
    joinRdt(plan, [42]);
    for (const group of ["gold", "gold/mon_groups/id"]) expect(readFileSync(join(root, group, "tasks"), "utf8")).toBe("42");
  });
  test("an error has the reason that the file system keeps", () => {
    mkdirSync(join(root, "info"));
    writeFileSync(join(root, "info/last_cmd_status"), "Unknown schema\n");
    expect(() => setSchemata({ ...plan, group: join(root, "nosuch") }, ["X:"])).toThrow(/^resctrl: write .*nosuch\/schemata: .*ENOENT\); Unknown schema$/);
  });
  test("removing what is gone already is no error", () => {
    removeRdt({ root, group: join(root, "nosuch"), own: true, monitor: join(root, "nosuch/mon_groups/id") });
  });
});
