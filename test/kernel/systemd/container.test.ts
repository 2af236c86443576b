// Containers with --systemd-cgroup, and a real systemd as PID 1.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { expect } from "vitest";
import { describeRuntime } from "../../support/contract.ts";
import type { Spec } from "../../support/spec.ts";
import { until } from "../../support/until.ts";

const MiB = 1 << 20;
const systemd = { global: ["--systemd-cgroup"] };

function systemctl(...words: string[]): string {
  return spawnSync("systemctl", words, { encoding: "utf8" }).stdout.trim();
}

/** Properties of a unit by name. */
function show(unit: string, ...names: string[]): Record<string, string> {
  const lines = systemctl("show", unit, ...names.map((name) => `--property=${name}`)).split("\n");
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
}

const loadState = (unit: string) => show(unit, "LoadState")["LoadState"];

const withResources = (spec: Spec, resources: Record<string, unknown>) => {
  spec.linux.resources = { ...spec.linux.resources, ...resources };
};

describeRuntime("systemd driver", ({ test, make }) => {
  test("a scope in the slice that is asked for, with limits and annotations; update, pause, exec and delete", async () => {
    await using c = make({ args: ["sleep", "1000"], edit: (spec, { id }) => {
      spec.linux.cgroupsPath = `tsstest-inner.slice:lane:${id}`;
      spec.annotations = { "org.systemd.property.TimeoutStopUSec": "uint64 7000000", "org.systemd.property.CollectMode": "'inactive-or-failed'" };
      withResources(spec, { memory: { limit: 64 * MiB, swap: 64 * MiB }, cpu: { shares: 512, quota: 20_000, period: 50_000, cpus: "0" }, pids: { limit: 40 }, unified: { "memory.high": String(60 * MiB) } });
    } });
    const unit = `lane-${c.id}.scope`;
    const path = `/tsstest.slice/tsstest-inner.slice/${unit}`;
    await c.mustBegin(systemd);
    expect(readFileSync(`/proc/${c.pid}/cgroup`, "utf8")).toBe(`0::${path}\n`);
    expect(show(unit, "ActiveState", "Slice", "Delegate", "MemoryMax", "MemorySwapMax", "MemoryHigh", "CPUWeight", "CPUQuotaPerSecUSec", "CPUQuotaPeriodUSec", "AllowedCPUs", "TasksMax", "TimeoutStopUSec", "CollectMode", "DevicePolicy")).toEqual({
      ActiveState: "active", Slice: "tsstest-inner.slice", Delegate: "yes", MemoryMax: String(64 * MiB), MemorySwapMax: "0", MemoryHigh: String(60 * MiB), CPUWeight: "59", CPUQuotaPerSecUSec: "400ms",
      CPUQuotaPeriodUSec: "50ms", AllowedCPUs: "0", TasksMax: "40", TimeoutStopUSec: "7s", CollectMode: "inactive-or-failed", DevicePolicy: "strict",
    });
    // The other commands take what they need from the state, with or without the flag.
    await c.mustCommand("update", [], { flags: ["--memory", "80M", "--memory-swap", "80M", "--pids-limit", "50", "--cpu-quota", "10000"] });
    expect(show(unit, "MemoryMax", "TasksMax", "CPUQuotaPerSecUSec", "CPUQuotaPeriodUSec")).toEqual({ MemoryMax: String(80 * MiB), TasksMax: "50", CPUQuotaPerSecUSec: "200ms", CPUQuotaPeriodUSec: "50ms" });
    const read = (file: string) => readFileSync(`/sys/fs/cgroup${path}/${file}`, "utf8").trim();
    expect([read("memory.max"), read("memory.swap.max"), read("pids.max"), read("cpu.max"), read("cpuset.cpus")]).toEqual([String(80 * MiB), "0", "50", "10000 50000", "0"]);
    expect(await c.mustExec(["cat", "/proc/self/cgroup"], systemd)).toBe(`0::${path}\n`);
    await c.mustCommand("pause", [], systemd);
    expect(read("cgroup.events")).toContain("frozen 1");
    await c.mustCommand("resume", [], systemd);
    expect((await c.kill("KILL")).code).toBe(0);
    expect(await c.exitStatus()).toEqual({ code: null, signal: 9 });
    expect((await c.delete()).code).toBe(0);
    expect(loadState(unit)).toBe("not-found");
    await c.expectNothingLeft();
  });

  test("without cgroupsPath a scope in system.slice; run in the foreground leaves nothing", async () => {
    await using c = make({ args: ["cat", "/proc/self/cgroup"], edit: (spec) => delete spec.linux.cgroupsPath });
    expect(await c.mustRun(systemd)).toBe(`0::/system.slice/tssandbox-${c.id}.scope\n`);
    await c.expectNothingLeft();
  });

  for (const [path, reason] of [["/lane/box", /must be "slice:prefix:name"/], ["nonsense:a:b", /"nonsense" is no valid slice/], ["a.slice:b:c.slice", /is a slice, a container needs a scope/]] as const) {
    test(`the cgroupsPath ${path} is refused and leaves nothing`, async () => {
      await using c = make({ edit: (spec) => { spec.linux.cgroupsPath = path; } });
      expect(await c.create(systemd)).toMatchObject({ code: 1, stderr: expect.stringMatching(reason) });
      await c.expectNothingLeft();
    });
  }

  test("a property that systemd does not know fails create, names the unit, and leaves nothing", async () => {
    await using c = make({ edit: (spec, { id }) => {
      spec.linux.cgroupsPath = `:lane:${id}`;
      spec.annotations = { "org.systemd.property.NoSuchProperty": "true" };
    } });
    expect(await c.create(systemd)).toMatchObject({ code: 1, stderr: expect.stringMatching(/lane-\S+\.scope: .*NoSuchProperty/) });
    expect(loadState(`lane-${c.id}.scope`)).toBe("not-found");
    await c.expectNothingLeft();
  });

  test("delete --force after the runtime was killed at create leaves no unit and no process", async () => {
    await using c = make({ args: ["sleep", "1000"], edit: (spec, { id }) => { spec.linux.cgroupsPath = `:lane:${id}`; } });
    const unit = `lane-${c.id}.scope`;
    const record = c.bundle.path("fault");
    const call = c.call("create", [c.id], { ...systemd, flags: ["--bundle", c.bundle.dir], env: { TSSANDBOX_FAULT: `${record}:hold:state.json:1` }, timeout: 60_000 });
    await until("the held step", () => existsSync(record) && readFileSync(record, "utf8").includes("state.json:1\n"), 30_000);
    expect(loadState(unit)).toBe("loaded");
    process.kill(await call.pid, "SIGKILL");
    expect((await call.result()).signal).toBe(9);
    rmSync(record);
    expect((await c.delete("--force")).code).toBe(0);
    expect(loadState(unit)).toBe("not-found");
    await c.expectNothingLeft();
  });
});
