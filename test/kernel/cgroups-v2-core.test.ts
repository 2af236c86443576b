// What every v2 mount has, whatever its controllers: also the one of a hybrid host.
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { queryDevicePrograms } from "../../linux/bpf.ts";
import { O_DIRECTORY } from "../../linux/abi/fcntl.ts";
import { open } from "../../linux/file.ts";
import { createCgroup, openCgroup, planCgroup, readHost, type Cgroup, type CgroupPlan } from "../../runtime/cgroups/index.ts";

const { v2 } = readHost();
if (v2 === undefined) throw new Error("this test needs a cgroup v2 mount");
const host = { layout: "v2", v1: [], v2 } as const;
const sigkill = 9;

let plan: CgroupPlan;
let cgroup: Cgroup;
let path: string;
let counter = 0;
const children: ChildProcess[] = [];

const top = `/tssandbox-test-${process.pid}`;
const read = (file: string): string => readFileSync(`${path}/${file}`, "utf8").trim();

function start(command: string, ...args: string[]): number {
  const child = spawn(command, args, { stdio: "ignore" });
  children.push(child);
  return child.pid as number;
}

/** What a process in the cgroup gets from one shell command. */
function inside(command: string): string {
  const { stdout, stderr } = spawnSync("sh", ["-c", `echo $$ > ${path}/cgroup.procs; ${command}`]);
  return `${stdout}${stderr}`.trim();
}

function programs(): number[] {
  using directory = open(path, O_DIRECTORY);
  return queryDevicePrograms(directory);
}

beforeEach(() => {
  plan = planCgroup({ cgroupsPath: `${top}/case-${counter++}`, id: "unused", systemd: false, rootless: false, host });
  cgroup = openCgroup(plan);
  path = plan.paths[""] as string;
});

afterEach(() => {
  cgroup.kill(sigkill);
  cgroup.destroy();
  for (const child of children.splice(0)) child.kill("SIGKILL");
  for (const made of [path, ...plan.parents]) expect(existsSync(made), `${made} is left behind`).toBe(false);
});

describe("cgroup v2", () => {
  it("hands the root's controllers down to a new cgroup", () => {
    cgroup.create({});
    expect(read("cgroup.controllers").split(" ").filter(Boolean).sort()).toEqual([...v2.controllers].sort());
  });

  it("joins, freezes, thaws and kills a process", () => {
    cgroup.create({});
    const pid = start("sleep", "60");
    cgroup.addProcess(pid);
    expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toContain(`0::${top}/`);
    cgroup.freeze();
    expect(cgroup.isFrozen()).toBe(true);
    expect(read("cgroup.events")).toContain("frozen 1");
    cgroup.thaw();
    expect(cgroup.isFrozen()).toBe(false);
    expect(cgroup.pids()).toEqual([pid]);
    cgroup.freeze();
    cgroup.kill(sigkill);
    expect(cgroup.pids()).toEqual([]);
  });

  it("kills a whole tree of cgroups with one write", () => {
    cgroup.create({});
    mkdirSync(`${path}/inner`);
    const pid = start("sleep", "60");
    writeFileSync(`${path}/inner/cgroup.procs`, String(pid));
    expect(cgroup.pids()).toEqual([pid]);
    cgroup.kill(sigkill);
    expect(cgroup.pids()).toEqual([]);
  });

  it("attaches a program that lets through the default devices and the config's", () => {
    cgroup.create({});
    cgroup.set({ devices: [{ allow: true, type: "c", major: 1, minor: 11, access: "r" }] });
    expect(programs()).toHaveLength(1);
    expect(inside("head -c1 /dev/zero | wc -c")).toBe("1");
    expect(inside("echo > /dev/null && echo ok")).toBe("ok");
    expect(inside("exec 3< /dev/kmsg && echo ok")).toBe("ok");
    expect(inside("exec 3> /dev/kmsg")).toContain("not permitted");
    expect(inside("exec 3< /dev/fuse")).toContain("not permitted");
  });

  it("replaces its own program on update, and no other", () => {
    cgroup.create({});
    cgroup.set({});
    const [first] = programs();
    cgroup.update({ devices: [{ allow: true, type: "a", access: "rwm" }] });
    const [second, ...rest] = programs();
    expect(rest).toEqual([]);
    expect(second).not.toBe(first);
    expect(inside("exec 3< /dev/kmsg && echo ok")).toBe("ok");
    cgroup.update({ pids: {} });
    expect(programs()).toEqual([second]);
  });

  it("refuses a controller that the host does not have, by name", () => {
    cgroup.create({});
    expect(() => cgroup.set({ network: { classID: 1 } })).toThrow(/^linux.resources.network.classID: no net_cls controller can be used/);
    expect(() => cgroup.set({ unified: { "nonsense.max": "1" } })).toThrow('linux.resources.unified["nonsense.max"]: controller nonsense is not available here');
    expect(() => cgroup.set({ unified: { "../cgroup.procs": "1" } })).toThrow("must be of the form CONTROLLER.PARAMETER");
    expect(() => cgroup.set({ unified: { "cgroup.procs": "1" } })).toThrow("only cgroup.max.depth and cgroup.max.descendants");
  });

  it("sets what unified names", () => {
    cgroup.create({});
    cgroup.set({ unified: { "cgroup.max.descendants": "3" } });
    expect(read("cgroup.max.descendants")).toBe("3");
  });

  it("says who is in the way where a parent has processes", () => {
    const parent = `${v2.mountPoint}${top}`;
    mkdirSync(parent);
    const pid = start("sleep", "60");
    writeFileSync(`${parent}/cgroup.procs`, String(pid));
    expect(v2.controllers, "the test needs it").toContain("hugetlb");
    const request = { hugepageLimits: [{ pageSize: "2MB", limit: 0 }] };
    expect(() => createCgroup(plan, request)).toThrow(new RegExp(`^cgroup hugetlb: ${parent} has 1 processes of its own`));
    process.kill(pid, "SIGKILL");
    cgroup.destroy();
    for (let tries = 0; existsSync(parent) && tries < 100; tries++) {
      spawnSync("sleep", ["0.02"]);
      try { rmdirSync(parent); } catch { /* it is still exiting */ }
    }
  });

  it("refuses domain controllers below a threaded cgroup, and joins it without", () => {
    const parent = `${v2.mountPoint}${top}`;
    mkdirSync(`${parent}/threads`, { recursive: true });
    writeFileSync(`${parent}/threads/cgroup.type`, "threaded");
    try {
      expect(() => createCgroup(plan, { memory: { limit: 1 << 20 } })).toThrow(/in "domain invalid" mode, where these controllers do not work|in "domain threaded" mode/);
      cgroup.create({});
      expect(read("cgroup.type")).toBe("threaded");
    } finally {
      cgroup.destroy();
      rmdirSync(`${parent}/threads`);
      if (existsSync(parent)) rmdirSync(parent);
    }
  });
});
