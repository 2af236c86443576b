import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { poll } from "../../linux/poll.ts";
import { createCgroup, openCgroup, planCgroup, readHost, type Cgroup, type CgroupPlan } from "../../runtime/cgroups/index.ts";
import { statsJson } from "../../runtime/cgroups/stats.ts";

const host = readHost();
const sigterm = 15;
const sigkill = 9;

let plan: CgroupPlan;
let cgroup: Cgroup;
let counter = 0;
let directory: string;
const children: ChildProcess[] = [];

const read = (controller: string, file: string): string => readFileSync(`${plan.paths[controller]}/${file}`, "utf8").trim();

function start(command: string, ...args: string[]): number {
  const child = spawn(command, args, { stdio: "ignore" });
  children.push(child);
  return child.pid as number;
}

/** What a process in the devices cgroup gets, as a count or an error. */
function readByte(device: string): string {
  const { stdout, stderr } = spawnSync("sh", ["-c", `echo $$ > ${plan.paths["devices"]}/cgroup.procs; head -c1 ${device} | wc -c`]);
  return `${stdout}${stderr}`;
}

const newPlan = (): CgroupPlan => planCgroup({ cgroupsPath: `/tssandbox-test-${process.pid}/case-${counter++}`, id: "unused", systemd: false, rootless: false });

beforeEach(() => {
  directory = mkdtempSync(`${tmpdir()}/cgroups-v1-`);
  plan = newPlan();
  cgroup = openCgroup(plan);
});

afterEach(() => {
  rmSync(directory, { recursive: true });
  cgroup.kill(sigkill);
  cgroup.destroy();
  for (const child of children.splice(0)) child.kill("SIGKILL");
  for (const path of [...Object.values(plan.paths), ...plan.parents]) expect(existsSync(path), `${path} is left behind`).toBe(false);
});

describe("cgroup v1", () => {
  it("runs on a host that has v1 hierarchies", () => {
    expect(["v1", "hybrid"]).toContain(host.layout);
  });

  it("writes every limit to its file", () => {
    const controllers = new Set(host.v1.flatMap((hierarchy) => hierarchy.controllers));
    for (const name of ["memory", "cpu", "cpuset", "pids", "blkio"]) expect(controllers, "the test needs it").toContain(name);
    cgroup.create({});
    cgroup.set({
      memory: { limit: 64 << 20, reservation: 32 << 20, swap: 96 << 20, swappiness: 10, disableOOMKiller: true, useHierarchy: true },
      cpu: { shares: 512, quota: 50_000, period: 200_000, burst: 10_000, cpus: "0", mems: "0" },
      pids: { limit: 33 },
    });
    expect(read("memory", "memory.limit_in_bytes")).toBe(String(64 << 20));
    expect(read("memory", "memory.memsw.limit_in_bytes")).toBe(String(96 << 20));
    expect(read("memory", "memory.soft_limit_in_bytes")).toBe(String(32 << 20));
    expect(read("memory", "memory.swappiness")).toBe("10");
    expect(read("memory", "memory.oom_control")).toContain("oom_kill_disable 1");
    expect(read("cpu", "cpu.shares")).toBe("512");
    expect(read("cpu", "cpu.cfs_quota_us")).toBe("50000");
    expect(read("cpu", "cpu.cfs_period_us")).toBe("200000");
    expect(read("cpu", "cpu.cfs_burst_us")).toBe("10000");
    expect(read("cpuset", "cpuset.cpus")).toBe("0");
    expect(read("pids", "pids.max")).toBe("33");
  });

  it("updates limits up and down in an order that the kernel accepts", () => {
    cgroup.create({});
    cgroup.set({ memory: { limit: 64 << 20, swap: 64 << 20 } });
    for (const megabytes of [256, 32]) {
      cgroup.update({ memory: { limit: megabytes << 20, swap: megabytes << 20 } });
      expect(read("memory", "memory.memsw.limit_in_bytes")).toBe(String(megabytes << 20));
    }
    cgroup.update({ memory: { limit: -1 } });
    expect(read("memory", "memory.memsw.limit_in_bytes")).toBe("9223372036854771712");
  });

  it("takes an idle cpu cgroup, and back", () => {
    cgroup.create({});
    cgroup.set({ cpu: { idle: 1, shares: 100 } });
    expect(read("cpu", "cpu.idle")).toBe("1");
    cgroup.update({ cpu: { idle: 0, shares: 100 } });
    expect(read("cpu", "cpu.shares")).toBe("100");
  });

  it("allows the default devices, and what the config adds, and nothing else", () => {
    cgroup.create({});
    cgroup.set({ devices: [{ allow: false, access: "rwm" }, { allow: true, type: "c", major: 10, minor: 229, access: "rw" }] });
    expect(read("devices", "devices.list").split("\n").sort()).toEqual(
      ["b *:* m", "c *:* m", "c 10:229 rw", "c 136:* rwm", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm", "c 5:2 rwm"],
    );
    expect(readByte("/dev/zero")).toBe("1\n");
    expect(readByte("/dev/kmsg")).toContain("not permitted");
  });

  it("puts a process into every hierarchy", () => {
    cgroup.create({});
    const pid = start("sleep", "60");
    cgroup.addProcess(pid);
    const lines = readFileSync(`/proc/${pid}/cgroup`, "utf8").trim().split("\n");
    for (const line of lines) expect(line).toMatch(new RegExp(`/tssandbox-test-${process.pid}/case-\\d+$`));
    expect(lines).toHaveLength(host.v1.length + (host.v2 === undefined ? 0 : 1));
    expect(cgroup.pids()).toEqual([pid]);
  });

  it("freezes and thaws", () => {
    cgroup.create({});
    const pid = start("sh", "-c", "while :; do :; done");
    cgroup.addProcess(pid);
    const ticks = (): string => readFileSync(`/proc/${pid}/stat`, "utf8").split(" ").slice(13, 15).join("+");
    cgroup.freeze();
    expect(cgroup.isFrozen()).toBe(true);
    const before = ticks();
    spawnSync("sleep", ["0.1"]);
    expect(ticks()).toBe(before);
    cgroup.thaw();
    expect(cgroup.isFrozen()).toBe(false);
    spawnSync("sleep", ["0.2"]);
    expect(ticks()).not.toBe(before);
  });

  it("kills a tree that is busy forking, frozen or not", () => {
    for (const frozen of [false, true]) {
      cgroup.create({});
      cgroup.set({ pids: { limit: 40 } });
      const gate = `${directory}/gate`;
      // What forks before it is in every hierarchy escapes the limit: it begins when the gate appears, and ends with it.
      cgroup.addProcess(start("sh", "-c", `while [ ! -e ${gate} ]; do sleep 0.02; done; f() { while [ -e ${gate} ]; do (sleep 0.01 & (f) &) 2>/dev/null; done; }; f; sleep 60`));
      expect(read("pids", "pids.max")).toBe("40");
      writeFileSync(gate, "");
      spawnSync("sleep", ["0.2"]);
      if (frozen) cgroup.freeze();
      expect(read("pids", "pids.events"), "it never forked up to its limit").toMatch(/^max [1-9]/);
      cgroup.kill(sigkill);
      expect(cgroup.pids()).toEqual([]);
      rmSync(gate);
    }
  });

  it("sends an ordinary signal to all, and leaves a paused container paused", async () => {
    cgroup.create({});
    const child = spawn("sleep", ["60"], { stdio: "ignore" });
    const ended = new Promise((resolve) => child.once("exit", (_code, signal) => resolve(signal)));
    cgroup.addProcess(child.pid as number);
    cgroup.freeze();
    cgroup.kill(sigterm);
    expect(cgroup.isFrozen()).toBe(true);
    cgroup.thaw();
    expect(await ended).toBe("SIGTERM");
  });

  it("counts what the processes use", () => {
    cgroup.create({});
    cgroup.set({ pids: { limit: 5 }, memory: { limit: 64 << 20 } });
    cgroup.addProcess(start("sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; sleep 60"));
    spawnSync("sleep", ["0.4"]);
    const stats = JSON.parse(statsJson(cgroup.stats())) as ReturnType<Cgroup["stats"]>;
    expect(stats.pids).toMatchObject({ limit: 5 });
    expect(stats.cpu.usage.total).toBeGreaterThan(1_000_000);
    expect(stats.cpu.usage.percpu?.length).toBeGreaterThan(0);
    expect(stats.memory.usage?.limit).toBe(64 << 20);
    expect(stats.memory.usage?.usage).toBeGreaterThan(0);
    expect(stats.memory.raw).toHaveProperty("total_rss");
    expect(stats.cpuset.cpus?.length).toBeGreaterThan(0);
    expect(statsJson({ limit: 2n ** 64n - 1n })).toBe('{"limit":18446744073709551615}');
  });

  it("tells of an OOM kill, and of its end", () => {
    cgroup.create({});
    cgroup.set({ memory: { limit: 8 << 20, swap: 8 << 20 } });
    using source = cgroup.oomEvents();
    if (source === undefined) throw new Error("no source");
    expect(poll([source.request], 0)).toEqual([0]);
    expect(source.take()).toBe("none");
    const { status } = spawnSync("sh", ["-c", `echo $$ > ${plan.paths["memory"]}/cgroup.procs; head -c 50m /dev/zero | tail`], { stdio: "ignore" });
    expect(status).toBe(128 + sigkill);
    expect(poll([source.request], 1000)).not.toEqual([0]);
    expect(source.take()).toBe("oom");
    expect(source.take()).toBe("none");
    cgroup.destroy();
    expect(poll([source.request], 1000)).not.toEqual([0]);
    expect(source.take()).toBe("gone");
  });

  it("limits huge pages wherever the host has the controller", () => {
    expect(host.layout === "hybrid" && host.v2?.controllers.includes("hugetlb"), "the test is for a hybrid host").toBe(true);
    cgroup.create({ hugepageLimits: [{ pageSize: "2MB", limit: 4 << 20 }] });
    cgroup.set({ hugepageLimits: [{ pageSize: "2MB", limit: 4 << 20 }] });
    expect(read("", "hugetlb.2MB.max")).toBe(String(4 << 20));
    expect(cgroup.stats().hugetlb["2MB"]).toEqual({ failcnt: 0 });
  });

  it("removes cgroups that the container made in it", () => {
    cgroup.create({});
    expect(spawnSync("mkdir", ["-p", `${plan.paths["memory"]}/a/b`, `${plan.paths["pids"]}/c`]).status).toBe(0);
    cgroup.destroy();
    expect(existsSync(plan.paths["memory"] as string)).toBe(false);
  });

  it("names controller, file and value of a refused write", () => {
    cgroup.create({});
    expect(() => cgroup.set({ cpu: { cpus: "4095" } })).toThrow(/^cgroup cpuset: write .*\/cpuset.cpus: .*\((EINVAL|EACCES|ERANGE)\); value "4095"$/);
    expect(() => cgroup.set({ rdma: { mlx: { hcaHandles: 1 } } })).toThrow(/^linux.resources.rdma: no rdma controller can be used/);
    expect(() => cgroup.set({ unified: { "memory.high": "1" } })).toThrow(/^linux.resources.unified: /);
  });

  it("refuses a cgroup that has processes already", () => {
    cgroup.create({});
    cgroup.addProcess(start("sleep", "60"));
    expect(() => planCgroup({ cgroupsPath: plan.paths["pids"]?.slice("/sys/fs/cgroup/pids".length), id: "x", systemd: false, rootless: false })).toThrow(/has 1 processes already/);
  });

  it("is removed by its plan alone, whatever the runtime that made it came to", () => {
    const script = `
      import { createCgroup } from ${JSON.stringify(new URL("../../runtime/cgroups/index.ts", import.meta.url).href)};
      const cgroup = createCgroup(JSON.parse(process.argv[1]), {});
      cgroup.addProcess(process.pid);
      process.kill(process.pid, "SIGKILL");`;
    const saved = JSON.stringify(plan);
    expect(spawnSync(process.execPath, ["--input-type=module", "-e", script, saved]).signal).toBe("SIGKILL");
    expect(existsSync(plan.paths["memory"] as string)).toBe(true);
    cgroup = openCgroup(JSON.parse(saved) as CgroupPlan);
    cgroup.kill(sigkill);
    cgroup.destroy();
    for (const path of [...Object.values(plan.paths), ...plan.parents]) expect(existsSync(path)).toBe(false);
  });

  it("thaws what a killed runtime has left frozen", () => {
    cgroup.create({});
    cgroup.freeze();
    cgroup.create({});
    expect(cgroup.isFrozen()).toBe(false);
  });

  it("leaves a parent alone that another container uses", () => {
    const sibling = newPlan();
    cgroup.create({});
    const other = createCgroup(sibling, {});
    cgroup.destroy();
    expect(existsSync(sibling.paths["memory"] as string)).toBe(true);
    other.destroy();
    expect(existsSync(sibling.parents[0] as string)).toBe(false);
  });
});
