// Limits, statistics, OOM notice and delegation on a host with cgroup v2 alone.
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { poll } from "../../../linux/poll.ts";
import { createCgroup, openCgroup, planCgroup, readHost, type Cgroup, type CgroupPlan } from "../../../runtime/cgroups/index.ts";
import { statsJson } from "../../../runtime/cgroups/stats.ts";
import type { LinuxResources } from "../../../runtime/spec/config-resources.ts";

const host = readHost();
const sigkill = 9;
/** For what a process that was just started comes to: the machine is emulated, and may be busy. */
const PATIENCE = { timeout: 60_000 };
const megabyte = 1 << 20;

let plan: CgroupPlan;
let cgroup: Cgroup;
let path: string;
let directory: string;
let counter = 0;
const children: ChildProcess[] = [];

const read = (file: string): string => readFileSync(`${path}/${file}`, "utf8").trim();

function start(command: string, ...args: string[]): number {
  const child = spawn(command, args, { stdio: "ignore" });
  children.push(child);
  return child.pid as number;
}

/**
 * By effective ids, which is what permissions go by (credentials(7)). Not in a Node of its own: that compiles WebAssembly to strip types, and frees its first tier's code
 * when the second is there; in an emulated machine 1 in 30 was then found to run code that was freed already, and V8 ended it (Runtime_WasmTriggerTierUp: "Check failed:
 * it->second.Size() > offset"). The processor's emulation seems to miss a jump that another processor has changed.
 */
function createdByNobody(cgroupsPath: string | undefined, resources: LinuxResources): Cgroup {
  process.setegid?.(65534);
  process.seteuid?.(65534);
  try {
    const created = createCgroup(planCgroup({ cgroupsPath, id: "box", systemd: false, rootless: true }), resources);
    created.addProcess(process.pid);
    created.set(resources);
    return created;
  } finally {
    process.seteuid?.(0);
    process.setegid?.(0);
  }
}

const newPlan = (): CgroupPlan => planCgroup({ cgroupsPath: `/tssandbox-test-${process.pid}/case-${counter++}`, id: "unused", systemd: false, rootless: false });

beforeEach(() => {
  directory = mkdtempSync(`${tmpdir()}/cgroups-v2-`);
  plan = newPlan();
  cgroup = openCgroup(plan);
  path = plan.paths[""] as string;
});

afterEach(() => {
  rmSync(directory, { recursive: true });
  cgroup.kill(sigkill);
  cgroup.destroy();
  for (const child of children.splice(0)) child.kill("SIGKILL");
  for (const made of [path, ...plan.parents]) expect(existsSync(made), `${made} is left behind`).toBe(false);
});

describe("cgroup v2 alone", () => {
  it("is what this host has", () => {
    expect(host.layout).toBe("v2");
    expect(Object.keys(plan.paths)).toEqual([""]);
  });

  it("writes every limit to its file", () => {
    const device = statSync("/").dev;
    const [major, minor] = [(device >> 8) & 0xfff, (device & 0xff) & ~0xf];
    cgroup.create({});
    cgroup.set({
      memory: { limit: 64 * megabyte, reservation: 32 * megabyte, swap: 96 * megabyte },
      cpu: { shares: 1024, quota: 50_000, period: 200_000, cpus: "0", mems: "0" },
      pids: { limit: 33 },
      blockIO: { weight: 500, throttleReadBpsDevice: [{ major, minor, rate: megabyte }], throttleWriteIOPSDevice: [{ major, minor, rate: 77 }] },
      hugepageLimits: [{ pageSize: "2MB", limit: 4 * megabyte }],
      unified: { "memory.high": String(60 * megabyte), "pids.max": "34" },
    });
    expect(read("memory.max")).toBe(String(64 * megabyte));
    expect(read("memory.low")).toBe(String(32 * megabyte));
    expect(read("memory.swap.max")).toBe(String(32 * megabyte));
    expect(read("memory.high")).toBe(String(60 * megabyte));
    expect(read("cpu.weight")).toBe("100");
    expect(read("cpu.max")).toBe("50000 200000");
    expect(read("cpuset.cpus")).toBe("0");
    expect(read("cpuset.mems")).toBe("0");
    expect(read("pids.max"), "unified wins").toBe("34");
    expect(read("io.max")).toBe(`${major}:${minor} rbps=${megabyte} wbps=max riops=max wiops=77`);
    expect(read(existsSync(`${path}/io.bfq.weight`) ? "io.bfq.weight" : "io.weight")).toMatch(/^(default )?(500|4950)$/);
    expect(read("hugetlb.2MB.max")).toBe(String(4 * megabyte));
  });

  it("updates limits up, down and to none", () => {
    cgroup.create({});
    cgroup.set({ memory: { limit: 64 * megabyte, swap: 64 * megabyte }, cpu: { quota: 50_000, burst: 10_000 } });
    expect(read("memory.swap.max")).toBe("0");
    expect(read("cpu.max.burst")).toBe("10000");
    cgroup.update({ memory: { limit: -1 }, cpu: { quota: -1, burst: 0 }, pids: { limit: -1 } });
    expect([read("memory.max"), read("memory.swap.max"), read("cpu.max"), read("pids.max")]).toEqual(["max", "max", "max 100000", "max"]);
    cgroup.update({ cpu: { idle: 1, shares: 5 } });
    expect(read("cpu.idle")).toBe("1");
  });

  it("checks the usage before an update if told to", async () => {
    cgroup.create({});
    cgroup.addProcess(start("sh", "-c", "x=$(head -c 4m /dev/zero | tr '\\0' a); sleep 60"));
    await vi.waitFor(() => expect(Number(read("memory.current"))).toBeGreaterThan(megabyte), PATIENCE);
    expect(() => cgroup.update({ memory: { limit: 4096, checkBeforeUpdate: true } })).toThrow(/^linux.resources.memory.limit: 4096 is not above the current usage \d+$/);
    expect(read("memory.max")).toBe("max");
  });

  it("refuses what v2 cannot do", () => {
    cgroup.create({});
    expect(() => cgroup.set({ memory: { swappiness: 10 } })).toThrow("linux.resources.memory.swappiness: cgroup v2 has no such setting");
    expect(() => cgroup.set({ unified: { "memory.nonsense": "1" } })).toThrow(/memory.nonsense/);
  });

  it("counts what the processes use", async () => {
    cgroup.create({});
    cgroup.set({ pids: { limit: 5 }, memory: { limit: 64 * megabyte } });
    cgroup.addProcess(start("sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; sleep 60"));
    const now = () => JSON.parse(statsJson(cgroup.stats())) as ReturnType<Cgroup["stats"]>;
    await vi.waitFor(() => expect(now().cpu.usage.total).toBeGreaterThan(1_000_000), PATIENCE);
    const stats = now();
    expect(stats.pids).toMatchObject({ limit: 5 });
    expect(stats.memory.usage).toMatchObject({ limit: 64 * megabyte });
    expect(stats.memory.usage?.usage).toBeGreaterThan(0);
    expect(stats.memory.raw).toHaveProperty("anon");
    expect(stats.cpuset.cpus?.length).toBeGreaterThan(0);
    expect(stats.hugetlb).toHaveProperty("2MB");
  });

  it("tells of an OOM kill, and of its end", () => {
    cgroup.create({});
    cgroup.set({ memory: { limit: 8 * megabyte, swap: 8 * megabyte } });
    using source = cgroup.oomEvents();
    if (source === undefined) throw new Error("no source");
    source.take();
    expect(poll([source.request], 0)).toEqual([0]);
    const { status } = spawnSync("sh", ["-c", `echo $$ > ${path}/cgroup.procs; head -c 50m /dev/zero | tail`], { stdio: "ignore" });
    expect(status).toBe(128 + sigkill);
    expect(poll([source.request], 30_000)).not.toEqual([0]);
    expect(source.take()).toBe("oom");
    expect(source.take()).toBe("none");
    cgroup.destroy();
    expect(source.take()).toBe("gone");
  });

  it("kills a tree that is busy forking, frozen or not", async () => {
    for (const frozen of [false, true]) {
      cgroup.create({});
      cgroup.set({ pids: { limit: 40 } });
      const gate = `${directory}/gate`;
      cgroup.addProcess(start("sh", "-c", `while [ ! -e ${gate} ]; do sleep 0.02; done; f() { while [ -e ${gate} ]; do (sleep 0.01 & (f) &) 2>/dev/null; done; }; f; sleep 60`));
      expect(read("pids.max")).toBe("40");
      writeFileSync(gate, "");
      await vi.waitFor(() => expect(read("pids.events"), "it never forked up to its limit").toMatch(/^max [1-9]/), PATIENCE);
      if (frozen) cgroup.freeze();
      cgroup.kill(sigkill);
      expect(cgroup.pids()).toEqual([]);
      rmSync(gate);
    }
  });

  it("sends an ordinary signal to all", async () => {
    cgroup.create({});
    const child = spawn("sleep", ["60"], { stdio: "ignore" });
    const ended = new Promise((resolve) => child.once("exit", (_code, signal) => resolve(signal)));
    cgroup.addProcess(child.pid as number);
    cgroup.kill(15);
    expect(await ended).toBe("SIGTERM");
    expect(cgroup.isFrozen()).toBe(false);
  });

  it("lets a process join beside init where the container has cgroups of its own", () => {
    cgroup.create({});
    const init = start("sleep", "60");
    cgroup.addProcess(init);
    mkdirSync(`${path}/init`);
    writeFileSync(`${path}/init/cgroup.procs`, String(init));
    writeFileSync(`${path}/cgroup.subtree_control`, "+pids +memory");
    const joining = start("sleep", "60");
    expect(() => cgroup.addProcess(joining)).toThrow("EBUSY");
    cgroup.addProcess(joining, init);
    expect(readFileSync(`/proc/${joining}/cgroup`, "utf8")).toMatch(/\/init\n$/);
    expect(cgroup.pids().sort()).toEqual([init, joining].sort());
  });

  it("hands the cgroup to a user, and no limit with it", () => {
    cgroup.create({});
    cgroup.delegate(1234);
    expect(statSync(path).uid).toBe(1234);
    expect(statSync(`${path}/cgroup.procs`).uid).toBe(1234);
    expect(statSync(`${path}/memory.max`).uid).toBe(0);
  });

  it("runs without a cgroup for a user who may not make one and asks for no limit", () => {
    expect(createdByNobody(undefined, {}).paths).toEqual({});
    expect(() => createdByNobody(undefined, { pids: { limit: 5 } })).toThrow(/^linux.resources: limits were asked for, and this user may not make a cgroup \(/);
    expect(() => createdByNobody("/named", {})).toThrow(/^cgroup: mkdir .*EACCES/);
  });

  it("is removed by its plan alone, whatever the runtime that made it came to", () => {
    const child = createCgroup(plan, {});
    child.addProcess(start("sleep", "60"));
    cgroup = openCgroup(JSON.parse(JSON.stringify(plan)) as CgroupPlan);
    cgroup.kill(sigkill);
    cgroup.destroy();
    for (const made of [path, ...plan.parents]) expect(existsSync(made)).toBe(false);
  });
});
