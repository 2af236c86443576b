// The systemd driver, with a real systemd as PID 1.
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openCgroup, planCgroup, type Cgroup, type CgroupPlan } from "../../../runtime/cgroups/index.ts";

const sigkill = 9;
const megabyte = 1 << 20;

let plan: CgroupPlan;
let cgroup: Cgroup;
let counter = 0;
let pid: number;
const children: ChildProcess[] = [];

const unit = (): string => plan.unit?.name as string;
const path = (): string => plan.paths[""] as string;
const read = (file: string): string => readFileSync(`${path()}/${file}`, "utf8").trim();

function show(property: string): string {
  return spawnSync("systemctl", ["show", "--value", "-p", property, unit()], { encoding: "utf8" }).stdout.trim();
}

/** What a process in the cgroup gets from one shell command. */
function inside(command: string): string {
  const { stdout, stderr } = spawnSync("sh", ["-c", `echo $$ > ${path()}/cgroup.procs; ${command}`]);
  return `${stdout}${stderr}`.trim();
}

function start(): number {
  const child = spawn("sleep", ["600"], { stdio: "ignore" });
  children.push(child);
  return child.pid as number;
}

beforeEach(() => {
  plan = planCgroup({
    cgroupsPath: `tsstest-inner.slice:box:${process.pid}-${counter++}`, id: "unused", systemd: true, rootless: false,
    annotations: { "org.systemd.property.TimeoutStopUSec": "uint64 5000000" },
  });
  cgroup = openCgroup(plan);
  pid = start();
});

afterEach(() => {
  cgroup.kill(sigkill);
  cgroup.destroy();
  for (const child of children.splice(0)) child.kill("SIGKILL");
  expect(existsSync(path())).toBe(false);
  expect(show("LoadState")).toBe("not-found");
});

describe("the systemd driver", () => {
  it("starts a delegated scope in its slice, with the process in it", () => {
    cgroup.create({});
    cgroup.addProcess(pid);
    cgroup.set({});
    expect(path()).toMatch(/\/tsstest\.slice\/tsstest-inner\.slice\/box-[\d-]+\.scope$/);
    expect(readFileSync(`/proc/${pid}/cgroup`, "utf8").trim()).toBe(`0::${path().slice("/sys/fs/cgroup".length)}`);
    expect([show("ActiveState"), show("Delegate"), show("Slice"), show("TimeoutStopUSec")]).toEqual(["active", "yes", "tsstest-inner.slice", "5s"]);
    expect(cgroup.pids()).toEqual([pid]);
  });

  it("tells systemd the limits, and writes the exact ones", () => {
    const resources = {
      memory: { limit: 64 * megabyte, reservation: 32 * megabyte, swap: 96 * megabyte }, cpu: { shares: 2048, quota: 12_345, period: 100_000, cpus: "0", mems: "0" },
      pids: { limit: 33 }, unified: { "memory.high": String(60 * megabyte), "hugetlb.2MB.max": String(2 * megabyte) },
    };
    cgroup.create(resources);
    cgroup.addProcess(pid);
    cgroup.set(resources);
    expect(["MemoryMax", "MemoryLow", "MemorySwapMax", "MemoryHigh", "TasksMax", "AllowedCPUs", "CPUQuotaPerSecUSec"].map(show)).toEqual(
      [64 * megabyte, 32 * megabyte, 32 * megabyte, 60 * megabyte, 33, 0, "130ms"].map(String),
    );
    expect([read("memory.max"), read("memory.swap.max"), read("cpu.max"), read("pids.max")]).toEqual([64 * megabyte, 32 * megabyte, "12345 100000", 33].map(String));
    expect(show("CPUWeight")).toBe(read("cpu.weight"));
    expect(read("hugetlb.2MB.max")).toBe(String(2 * megabyte));
  });

  it("keeps its limits over a reload of systemd", () => {
    cgroup.create({ pids: { limit: 33 }, memory: { limit: 64 * megabyte } });
    cgroup.addProcess(pid);
    cgroup.set({ pids: { limit: 33 }, memory: { limit: 64 * megabyte } });
    cgroup.update({ pids: { limit: 44 } });
    expect(spawnSync("systemctl", ["daemon-reload"]).status).toBe(0);
    expect([show("TasksMax"), read("pids.max"), read("memory.max")]).toEqual(["44", "44", String(64 * megabyte)]);
  });

  it("restricts devices", () => {
    const resources = { devices: [{ allow: true, type: "c", major: 1, minor: 11, access: "r" }] };
    cgroup.create(resources);
    cgroup.addProcess(pid);
    cgroup.set(resources);
    expect(show("DevicePolicy")).toBe("strict");
    expect(inside("head -c1 /dev/zero | wc -c")).toBe("1");
    expect(inside("exec 3< /dev/kmsg && echo ok")).toBe("ok");
    expect(inside("exec 3> /dev/kmsg")).toContain("not permitted");
    cgroup.update({ devices: [{ allow: true, type: "a", access: "rwm" }] });
    expect(inside("exec 3<> /dev/kmsg && echo ok")).toBe("ok");
  });

  it("adds a second process, freezes, thaws and kills", () => {
    cgroup.create({});
    cgroup.addProcess(pid);
    const second = start();
    openCgroup(JSON.parse(JSON.stringify(plan)) as CgroupPlan).addProcess(second);
    expect(cgroup.pids().sort()).toEqual([pid, second].sort());
    cgroup.freeze();
    expect(cgroup.isFrozen()).toBe(true);
    cgroup.kill(sigkill);
    expect(cgroup.pids()).toEqual([]);
  });

  it("removes cgroups that the container made, and the unit, by the plan alone", () => {
    cgroup.create({});
    cgroup.addProcess(pid);
    mkdirSync(`${path()}/inner/deeper`, { recursive: true });
    const reopened = openCgroup(JSON.parse(JSON.stringify(plan)) as CgroupPlan);
    reopened.kill(sigkill);
    reopened.destroy();
    expect(existsSync(path())).toBe(false);
  });

  it("has nothing to remove before it was started", () => {
    cgroup.create({});
    cgroup.destroy();
  });

  it("names the unit that cannot be started", () => {
    cgroup.create({});
    expect(() => cgroup.addProcess(4_000_000)).toThrow(new RegExp(`^systemd: StartTransientUnit ${unit()}: `));
  });
});
