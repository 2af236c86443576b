import { existsSync, mkdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { cgroupDir, cgroupFile, cgroupVersion, hasController } from "../../support/cgroup.ts";
import { describeRuntime } from "../../support/contract.ts";
import { cgroupsOf, statusField } from "../../support/host.ts";
import type { Spec } from "../../support/spec.ts";
import { until } from "../../support/until.ts";

const v2 = cgroupVersion() === 2;
const MiB = 1 << 20;
const withResources = (resources: Record<string, unknown>) => (spec: Spec) => {
  spec.linux.resources = { ...spec.linux.resources, ...resources };
};

/** A field of linux.resources, and where it must be found: controller, file and value in version 1 and in version 2. */
type Row = { what: string; resources: Record<string, unknown>; v1?: [string, string, string][]; v2?: [string, string, string][]; cannot?: Record<string, string> };
const rows: Row[] = [
  { what: "memory.limit", resources: { memory: { limit: 64 * MiB } }, v1: [["memory", "memory.limit_in_bytes", String(64 * MiB)]], v2: [["memory", "memory.max", String(64 * MiB)]] },
  { what: "memory.limit -1", resources: { memory: { limit: -1 } }, v1: [["memory", "memory.limit_in_bytes", "9223372036854771712"]], v2: [["memory", "memory.max", "max"]] },
  { what: "memory.reservation", resources: { memory: { limit: 64 * MiB, reservation: 32 * MiB } }, v1: [["memory", "memory.soft_limit_in_bytes", String(32 * MiB)]], v2: [["memory", "memory.low", String(32 * MiB)]] },
  { what: "memory.swap counts memory and swap", resources: { memory: { limit: 64 * MiB, swap: 96 * MiB } }, v1: [["memory", "memory.memsw.limit_in_bytes", String(96 * MiB)]], v2: [["memory", "memory.swap.max", String(32 * MiB)]] },
  { what: "memory.swappiness", resources: { memory: { swappiness: 17 } }, v1: [["memory", "memory.swappiness", "17"]] },
  { what: "memory.disableOOMKiller", resources: { memory: { limit: 64 * MiB, disableOOMKiller: true } }, v1: [["memory", "memory.oom_control", "oom_kill_disable 1"]] },
  { what: "memory.kernelTCP", resources: { memory: { kernelTCP: 16 * MiB } }, v1: [["memory", "memory.kmem.tcp.limit_in_bytes", String(16 * MiB)]], cannot: { "runc 1": "ignores it" } },
  { what: "cpu.shares", resources: { cpu: { shares: 512 } }, v1: [["cpu", "cpu.shares", "512"]], v2: [["cpu", "cpu.weight", "20"]] },
  { what: "cpu.quota and period", resources: { cpu: { quota: 20_000, period: 50_000 } }, v1: [["cpu", "cpu.cfs_quota_us", "20000"], ["cpu", "cpu.cfs_period_us", "50000"]], v2: [["cpu", "cpu.max", "20000 50000"]] },
  { what: "cpu.burst", resources: { cpu: { quota: 20_000, period: 50_000, burst: 10_000 } }, v1: [["cpu", "cpu.cfs_burst_us", "10000"]], v2: [["cpu", "cpu.max.burst", "10000"]], cannot: { "runc 1.1": "the field is newer" } },
  { what: "cpu.idle", resources: { cpu: { idle: 1 } }, v1: [["cpu", "cpu.idle", "1"]], v2: [["cpu", "cpu.idle", "1"]], cannot: { "runc 1.1": "the field is newer" } },
  { what: "cpu.cpus and mems", resources: { cpu: { cpus: "1", mems: "0" } }, v1: [["cpuset", "cpuset.cpus", "1"], ["cpuset", "cpuset.mems", "0"]], v2: [["cpuset", "cpuset.cpus", "1"], ["cpuset", "cpuset.mems", "0"]] },
  { what: "cpu.realtimeRuntime and period", resources: { cpu: { realtimeRuntime: 5000, realtimePeriod: 500_000 } }, v1: [["cpu", "cpu.rt_runtime_us", "5000"], ["cpu", "cpu.rt_period_us", "500000"]] },
  { what: "pids.limit", resources: { pids: { limit: 37 } }, v1: [["pids", "pids.max", "37"]], v2: [["pids", "pids.max", "37"]] },
  { what: "pids.limit -1", resources: { pids: { limit: -1 } }, v1: [["pids", "pids.max", "max"]], v2: [["pids", "pids.max", "max"]] },
];

describeRuntime("cgroups: limits of the specification", ({ test, make }) => {
  for (const row of rows) {
    const expected = v2 ? row.v2 : row.v1;
    if (expected === undefined || !expected.every(([controller]) => hasController(controller))) continue;
    test(row.what, { cannot: row.cannot ?? {} }, async () => {
      await using c = make({ args: ["sleep", "100"], edit: withResources(row.resources) });
      await c.mustCreate();
      for (const [controller, file, value] of expected) expect(cgroupFile(c.id, controller, file).split("\n")[0], file).toBe(value);
    });
  }

  test("blkio: throttling of a block device", async () => {
    const [major = 0, minor = 0] = (readFileSync("/proc/partitions", "utf8").trim().split("\n")[2] ?? "").trim().split(/\s+/).map(Number);
    const rate = (value: number) => [{ major, minor, rate: value }];
    await using c = make({ args: ["sleep", "100"], edit: withResources({ blockIO: {
      throttleReadBpsDevice: rate(1_000_000), throttleWriteBpsDevice: rate(2_000_000), throttleReadIOPSDevice: rate(300), throttleWriteIOPSDevice: rate(400),
    } }) });
    await c.mustCreate();
    if (v2) expect(cgroupFile(c.id, "io", "io.max")).toBe(`${major}:${minor} rbps=1000000 wbps=2000000 riops=300 wiops=400`);
    else {
      const read = (name: string) => cgroupFile(c.id, "blkio", `blkio.throttle.${name}`);
      expect([read("read_bps_device"), read("write_bps_device"), read("read_iops_device"), read("write_iops_device")]).toEqual(["1000000", "2000000", "300", "400"].map((value) => `${major}:${minor} ${value}`));
    }
  });

  test("a limit that the kernel refuses fails create, names the file, and leaves nothing", async () => {
    await using c = make({ edit: withResources({ cpu: { cpus: "4000" } }) });
    const result = await c.create();
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/cpuset\.cpus/);
    await c.expectNothingLeft();
  });

  test("pids.limit holds", async () => {
    await using c = make({ args: ["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 3 & done; wait"], edit: withResources({ pids: { limit: 5 } }) });
    expect((await c.run()).stderr).toMatch(/can't fork/);
  });

  test("memory.limit holds: a process over it is killed, and the engine can see that in the cgroup", async () => {
    await using c = make({ args: ["sh", "-c", "/tool alloc 200; sleep 100"], edit: withResources({ memory: { limit: 24 * MiB, swap: 24 * MiB } }) });
    await c.mustBegin();
    const [file, key] = v2 ? ["memory.events", "oom_kill"] : ["memory.oom_control", "oom_kill"];
    await until("the kill", () => new RegExp(`^${key} [1-9]`, "m").test(cgroupFile(c.id, "memory", file)));
    expect(c.stdout).toBe("");
  });

  test("cpu.cpus bounds the container's affinity", async () => {
    await using c = make({ args: ["/probe"], edit: withResources({ cpu: { cpus: "0" } }) });
    expect((await c.probe()).cpus).toEqual([0]);
  });
});

describeRuntime("cgroups: place", ({ test, make }) => {
  const controllers = v2 ? [""] : ["memory", "cpu", "cpuacct", "cpuset", "pids", "devices", "freezer", "blkio"].filter(hasController);

  test("the container's process sits in its cgroup in every hierarchy, from create on", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustCreate();
    for (const controller of controllers) expect(cgroupFile(c.id, controller, "cgroup.procs"), controller).toBe(String(c.pid));
    const lines = readFileSync(`/proc/${c.pid}/cgroup`, "utf8").trim().split("\n");
    for (const controller of controllers) expect(lines.some((line) => line.endsWith(`:${controller}:/${c.id}`) || line === `0::/${c.id}`), controller).toBe(true);
  });

  test("no process of the runtime sits there", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    for (const controller of controllers) expect(cgroupFile(c.id, controller, "cgroup.procs"), controller).toBe(String(c.pid));
  });

  test("without cgroupsPath the container gets a cgroup named after its id", async () => {
    await using c = make({ args: ["sleep", "100"], edit: (spec) => { delete spec.linux.cgroupsPath; } });
    await c.mustBegin();
    const found = cgroupsOf(c.id);
    expect(found.length).toBeGreaterThan(0);
    for (const dir of found) expect(readFileSync(join(dir, "cgroup.procs"), "utf8").trim().split("\n")).toContain(String(c.pid));
    await c.delete("--force");
    await c.expectNothingLeft();
  });

  test("a path of several levels is made, and only its last one is removed", async () => {
    await using c = make({ edit: (spec, bundle) => { spec.linux.cgroupsPath = `/${bundle.id}-parent/${bundle.id}-leaf`; } });
    await c.mustRun();
    const left = cgroupsOf(c.id);
    expect(left.every((dir) => dir.endsWith("-parent"))).toBe(true);
    left.forEach((dir) => rmdirSync(dir));
  });

  test("cgroups are removed at delete, with those that were made below them", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    mkdirSync(join(cgroupDir(c.id, "pids"), "inner/deeper"), { recursive: true });
    await c.delete("--force");
    await c.expectNothingLeft();
  });

  test("a cgroupsPath with dot-dot is refused and leaves nothing", { cannot: { "runc 1": "cleans the path instead" } }, async () => {
    await using c = make({ edit: (spec, bundle) => { spec.linux.cgroupsPath = `/a/../../../${bundle.id}`; } });
    const result = await c.create();
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/cgroupsPath/);
    await c.expectNothingLeft();
  });

  test("--systemd-cgroup on a machine without systemd is an error and leaves nothing", async () => {
    if (existsSync("/run/systemd/system")) throw new Error("this machine has systemd: the systemd driver has tests of its own");
    await using c = make({ edit: (spec, bundle) => { spec.linux.cgroupsPath = `system.slice:test:${bundle.id}`; } });
    const result = await c.create({ global: ["--systemd-cgroup"] });
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/systemd/);
    await c.expectNothingLeft();
  });
});

const withMknod = (edit: (spec: Spec) => void) => (spec: Spec) => {
  const caps = ["CAP_MKNOD", "CAP_DAC_OVERRIDE"];
  spec.process!.capabilities = { bounding: caps, effective: caps, permitted: caps };
  edit(spec);
};

describeRuntime("cgroups: devices", ({ test, make }) => {
  /** The node of /dev/fuse: an existing driver that no default rule names. */
  const open = ["sh", "-c", "mknod /tmp/d c 10 229 && /tool open $0 /tmp/d"];

  test("everything is denied by default: a node can be made but not opened", async () => {
    await using c = make({ args: [...open, "r"], edit: withMknod(() => {}) });
    expect(await c.mustRun()).toBe("errno 1 EPERM\n");
  });

  test("a rule allows what it names, and no other access", async () => {
    const rule = withResources({ devices: [{ allow: false, access: "rwm" }, { allow: true, type: "c", major: 10, minor: 229, access: "r" }] });
    for (const [mode, answer] of [["r", "ok 0\n"], ["w", "errno 1 EPERM\n"]] as const) {
      await using c = make({ args: [...open, mode], edit: withMknod(rule) });
      expect(await c.mustRun(), mode).toBe(answer);
    }
  });

  test("a rule may name every minor number", async () => {
    await using c = make({ args: [...open, "r"], edit: withMknod(withResources({ devices: [{ allow: false, access: "rwm" }, { allow: true, type: "c", major: 10, access: "rwm" }] })) });
    expect(await c.mustRun()).toBe("ok 0\n");
  });

  test("a later rule takes back what an earlier one gave", async () => {
    await using c = make({ args: [...open, "r"], edit: withMknod(withResources({ devices: [{ allow: false, access: "rwm" }, { allow: true, type: "c", major: 10, minor: 229, access: "rwm" }, { allow: false, type: "c", major: 10, minor: 229, access: "rwm" }] })) });
    expect(await c.mustRun()).toBe("errno 1 EPERM\n");
  });

  test("allow all", async () => {
    await using c = make({ args: [...open, "w"], edit: withMknod(withResources({ devices: [{ allow: true, access: "rwm" }] })) });
    expect(await c.mustRun()).toBe("ok 0\n");
  });

  test("the default devices work although everything is denied", async () => {
    await using c = make({ args: ["sh", "-c", "for d in null zero full random urandom; do /tool open r /dev/$d; /tool open w /dev/$d; done | sort -u; /tool open r /dev/ptmx"] });
    expect(await c.mustRun()).toBe("ok 0\nok 0\n");
  });
});

describeRuntime("cgroups: pause and resume", ({ test, make }) => {
  test("a paused container makes no progress; resume lets it go on", async () => {
    await using c = make({ args: ["sh", "-c", "while :; do echo tick; sleep 0.01; done"] });
    await c.mustBegin();
    await c.outputMatching(/tick/);
    await c.mustCommand("pause");
    expect(await c.status()).toBe("paused");
    expect(v2 ? cgroupFile(c.id, "", "cgroup.freeze") : cgroupFile(c.id, "freezer", "freezer.state")).toBe(v2 ? "1" : "FROZEN");
    const before = c.stdout.length;
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(c.stdout.length).toBe(before);
    await c.mustCommand("resume");
    expect(await c.status()).toBe("running");
    await until("progress", () => c.stdout.length > before);
  });

  test("kill KILL ends a paused container", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    await c.mustCommand("pause");
    expect((await c.kill("KILL")).code).toBe(0);
    await until("the end", () => !/^[DTSR]/.test(statusField(c.pid, "State") ?? ""));
  });

  test("pause and resume at the wrong moment fail and change nothing", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    expect((await c.command("resume")).code).toBe(1);
    expect(await c.status()).toBe("running");
    await c.kill("KILL");
    await c.exitStatus();
    expect((await c.command("pause")).code).toBe(1);
    expect((await c.command("resume")).code).toBe(1);
  });

  test("a created container can be paused and started after resume", async () => {
    await using c = make({ args: ["echo", "ran"] });
    await c.mustCreate();
    await c.mustCommand("pause");
    expect(await c.status()).toBe("paused");
    await c.mustCommand("resume");
    expect(await c.status()).toBe("created");
    await c.mustStart();
    await c.outputMatching(/ran/);
  });
});

const memoryLimit = (id: string) => cgroupFile(id, "memory", v2 ? "memory.max" : "memory.limit_in_bytes");

describeRuntime("cgroups: update", ({ test, make }) => {
  test("flags change the limits of a running container", async () => {
    await using c = make({ args: ["sleep", "100"], edit: withResources({ memory: { limit: 64 * MiB, swap: 64 * MiB } }) });
    await c.mustBegin();
    await c.mustCommand("update", [], { flags: ["--memory", "48M", "--memory-swap", "64M", "--memory-reservation", "16777216", "--cpu-share", "256", "--cpu-quota", "30000", "--cpu-period", "60000", "--pids-limit", "21", "--cpuset-cpus", "0"] });
    expect(memoryLimit(c.id)).toBe(String(48 * MiB));
    expect(cgroupFile(c.id, "pids", "pids.max")).toBe("21");
    expect(cgroupFile(c.id, "cpuset", "cpuset.cpus")).toBe("0");
    if (v2) expect(cgroupFile(c.id, "cpu", "cpu.max")).toBe("30000 60000");
    else {
      expect(cgroupFile(c.id, "memory", "memory.soft_limit_in_bytes")).toBe("16777216");
      expect(["cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us"].map((file) => cgroupFile(c.id, "cpu", file))).toEqual(["256", "30000", "60000"]);
    }
  });

  for (const way of ["-", "file"] as const) {
    test(`--resources ${way} takes JSON from ${way === "-" ? "standard input" : "a file"}; what it does not name stays`, async () => {
      await using c = make({ args: ["sleep", "100"], edit: withResources({ memory: { limit: 64 * MiB }, pids: { limit: 50 } }) });
      await c.mustBegin();
      const path = c.bundle.file("../resources.json", JSON.stringify({ memory: { limit: 96 * MiB }, cpu: { shares: 300 } }));
      const [flag, input] = way === "-" ? ["--resources=-", readFileSync(path, "utf8")] : [`--resources=${path}`, undefined];
      await c.mustCommand("update", [], { flags: [flag], ...(input === undefined ? {} : { input }) });
      expect(memoryLimit(c.id)).toBe(String(96 * MiB));
      expect(cgroupFile(c.id, "pids", "pids.max")).toBe("50");
      if (!v2) expect(cgroupFile(c.id, "cpu", "cpu.shares")).toBe("300");
    });
  }

  test("devices and their rules stay as they are", async () => {
    await using c = make({ args: ["sh", "-c", "while :; do echo x > /dev/null && sleep 0.02 || exit 1; done"] });
    await c.mustBegin();
    await c.mustCommand("update", [], { flags: ["--pids-limit", "30"] });
    if (!v2) expect(cgroupFile(c.id, "devices", "devices.list")).not.toMatch(/^a /m);
    expect(await c.mustExec(["/tool", "open", "w", "/dev/null"])).toBe("ok 0\n");
  });

  test("an update survives pause and later updates", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    await c.mustCommand("update", [], { flags: ["--memory", String(64 * MiB)] });
    await c.mustCommand("pause");
    await c.mustCommand("resume");
    await c.mustCommand("update", [], { flags: ["--pids-limit", "30"] });
    expect(memoryLimit(c.id)).toBe(String(64 * MiB));
  });

  test("a created container can be updated", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustCreate();
    await c.mustCommand("update", [], { flags: ["--pids-limit", "9"] });
    expect(cgroupFile(c.id, "pids", "pids.max")).toBe("9");
  });

  for (const [what, flags, input] of [["malformed JSON", ["--resources=-"], "{"], ["a missing file", ["--resources=/no/such"], undefined], ["a size that is none", ["--memory", "lots"], undefined]] as const) {
    test(`${what} fails and changes nothing`, async () => {
      await using c = make({ args: ["sleep", "100"], edit: withResources({ pids: { limit: 50 } }) });
      await c.mustBegin();
      const result = await c.command("update", [], { flags, ...(input === undefined ? {} : { input }) });
      expect(result.code).toBe(1);
      expect(cgroupFile(c.id, "pids", "pids.max")).toBe("50");
    });
  }
});

describeRuntime("cgroups: events and ps", ({ test, make }) => {
  type Stats = { type: string; id: string; data: { cpu: { usage: { total: number } }; memory: { usage: { usage: number; limit: number } }; pids: { current: number; limit: number }; blkio: object } };

  test("events --stats prints one line about the cgroup", async () => {
    await using c = make({ args: ["sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done; sleep 100; true"], edit: withResources({ memory: { limit: 64 * MiB }, pids: { limit: 33 } }) });
    await c.mustBegin();
    await c.outputMatching(/done/);
    const text = await c.mustCommand("events", [], { flags: ["--stats"] });
    expect(text.trimEnd()).not.toContain("\n");
    const stats = JSON.parse(text) as Stats;
    expect(stats).toMatchObject({ type: "stats", id: c.id, data: { pids: { current: 2, limit: 33 }, memory: { usage: { limit: 64 * MiB } } } });
    expect(stats.data.cpu.usage.total).toBeGreaterThan(1_000_000);
    expect(stats.data.memory.usage.usage).toBeGreaterThan(0);
    expect(stats.data.memory.usage.usage).toBeLessThan(64 * MiB);
    expect(stats.data.blkio).toBeTypeOf("object");
  });

  test("the stream repeats at its interval and ends when the container is deleted", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    const call = c.call("events", [c.id], { flags: ["--interval=1s"] });
    await until("two events", () => call.stdout.split("\n").length > 2);
    await c.delete("--force");
    expect((await call.result()).code).toBe(0);
    for (const line of call.stdout.trim().split("\n")) expect(JSON.parse(line)).toMatchObject({ type: "stats", id: c.id });
  });

  test("the stream tells of an out-of-memory kill", async () => {
    await using c = make({ args: ["sh", "-c", "while [ ! -e /tmp/go ]; do sleep 0.02; done; /tool alloc 200; sleep 100"], edit: withResources({ memory: { limit: 24 * MiB, swap: 24 * MiB } }) });
    await c.mustBegin();
    const call = c.call("events", [c.id], { flags: ["--interval", "1s"] });
    await until("the first event", () => call.stdout !== "");
    c.bundle.file("tmp/go", "");
    await until("the event", () => call.stdout.split("\n").some((line) => line.includes('"type":"oom"') && (JSON.parse(line) as { id: string }).id === c.id));
    await c.delete("--force");
    await call.result();
  });

  test("events of a stopped container ends with 1", async () => {
    await using c = make();
    await c.mustBegin();
    await c.exitStatus();
    expect((await c.command("events", [], { flags: ["--stats"] })).code).toBe(1);
  });

  test("ps -f json prints host pids, all of them", async () => {
    await using c = make({ args: ["sh", "-c", "sleep 100 & sleep 100"] });
    await c.mustBegin();
    await until("two processes", () => cgroupFile(c.id, "pids", "cgroup.procs").split("\n").length === 2);
    const pids = JSON.parse(await c.mustCommand("ps", [], { flags: ["--format", "json"] })) as number[];
    expect(pids.map(String).sort()).toEqual(cgroupFile(c.id, "pids", "cgroup.procs").split("\n").sort());
    expect(pids).toContain(c.pid);
  });

  test("the ps table is the host's ps, header first, only the container's lines; options are passed on", async () => {
    await using c = make({ args: ["sh", "-c", "echo up; exec sleep 4242"] });
    await c.mustBegin();
    await c.outputMatching(/up/);
    await until("the exec", () => readFileSync(`/proc/${c.pid}/comm`, "utf8") === "sleep\n");
    const [head = "", ...lines] = (await c.mustCommand("ps")).trimEnd().split("\n");
    expect(head).toMatch(/^UID\s+PID\s+PPID/);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(new RegExp(`^root\\s+${c.pid}\\s.*sleep 4242$`));
    const own = (await c.mustCommand("ps", ["-o", "pid,comm"])).trimEnd().split("\n").map((line) => line.trim().split(/\s+/));
    expect(own).toEqual([["PID", "COMMAND"], [String(c.pid), "sleep"]]);
  });

  test("ps of a stopped container succeeds and is empty", async () => {
    await using c = make();
    await c.mustBegin();
    await c.exitStatus();
    const result = await c.command("ps", [], { flags: ["-f", "json"] });
    expect(result.code, result.stderr).toBe(0);
    expect(["null", "[]"]).toContain(result.stdout.trim());
  });
});
