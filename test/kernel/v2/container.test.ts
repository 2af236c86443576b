// Containers on a host with cgroup v2 alone, by way of the file system: what the OCI contract (test/kernel/oci) does not ask on every host.
import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { expect } from "vitest";
import { cgroupFile } from "../../support/cgroup.ts";
import { describeRuntime } from "../../support/contract.ts";
import { processesOf } from "../../support/host.ts";
import { parseProbe } from "../../support/probe.ts";
import type { Spec } from "../../support/spec.ts";
import { until } from "../../support/until.ts";

const MiB = 1 << 20;

const withResources = (resources: Record<string, unknown>) => (spec: Spec) => {
  spec.linux.resources = { ...spec.linux.resources, ...resources };
};

const addNamespace = (spec: Spec, type: string) => {
  spec.linux.namespaces = [...spec.linux.namespaces, { type }];
};

const mountCgroup = (spec: Spec, ...options: string[]) => {
  spec.mounts.push({ destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["nosuid", "noexec", "nodev", ...options] });
};

/** The disk below `/`: io.max takes no partition. */
function rootDisk(): { major: number; minor: number } {
  const [major = 0, minor = 0] = execFileSync("lsblk", ["-ndo", "MAJ:MIN", "/dev/vda"], { encoding: "utf8" }).trim().split(":").map(Number);
  return { major, minor };
}

describeRuntime("v2: limits", ({ test, make }) => {
  const disk = rootDisk();

  test("every limit of the specification, and unified over them, from create on; update changes those that it names", async () => {
    await using c = make({ args: ["sleep", "100"], edit: withResources({
      memory: { limit: 64 * MiB, reservation: 32 * MiB, swap: 96 * MiB }, cpu: { shares: 512, quota: 20_000, period: 50_000, burst: 10_000, cpus: "1", mems: "0" }, pids: { limit: 37 },
      blockIO: { weight: 500, throttleReadBpsDevice: [{ ...disk, rate: MiB }], throttleWriteIOPSDevice: [{ ...disk, rate: 77 }] },
      hugepageLimits: [{ pageSize: "2MB", limit: 4 * MiB }], unified: { "memory.high": String(60 * MiB), "pids.max": "38" },
    }) });
    await c.mustCreate();
    const read = (...files: string[]) => Object.fromEntries(files.map((file) => [file, cgroupFile(c.id, "", file)]));
    // 512 shares: runc's new conversion, by which 1024, the default of v1, is 100, the default of v2.
    expect(read("memory.max", "memory.low", "memory.swap.max", "memory.high", "cpu.weight", "cpu.max", "cpu.max.burst", "cpuset.cpus", "cpuset.mems", "pids.max", "io.max", "io.weight", "hugetlb.2MB.max")).toEqual({
      "memory.max": String(64 * MiB), "memory.low": String(32 * MiB), "memory.swap.max": String(32 * MiB), "memory.high": String(60 * MiB), "cpu.weight": "59", "cpu.max": "20000 50000", "cpu.max.burst": "10000",
      "cpuset.cpus": "1", "cpuset.mems": "0", "pids.max": "38", "io.max": `${disk.major}:${disk.minor} rbps=${MiB} wbps=max riops=max wiops=77`, "io.weight": "default 4950", "hugetlb.2MB.max": String(4 * MiB),
    });
    const resources = { memory: { limit: 48 * MiB, swap: 48 * MiB }, cpu: { quota: 30_000 }, pids: { limit: -1 }, blockIO: { throttleReadBpsDevice: [{ ...disk, rate: 0 }] }, unified: { "memory.high": "max" } };
    await c.mustCommand("update", [], { flags: ["--resources=-"], input: JSON.stringify(resources) });
    expect(read("memory.max", "memory.low", "memory.swap.max", "memory.high", "cpu.max", "cpuset.cpus", "pids.max", "io.max")).toEqual({
      "memory.max": String(48 * MiB), "memory.low": String(32 * MiB), "memory.swap.max": "0", "memory.high": "max", "cpu.max": "30000 50000", "cpuset.cpus": "1", "pids.max": "max", "io.max": `${disk.major}:${disk.minor} rbps=max wbps=max riops=max wiops=77`,
    });
  });

  test("a run over its memory limit ends with 137 and leaves nothing", async () => {
    await using c = make({ args: ["/tool", "alloc", "200"], edit: withResources({ memory: { limit: 24 * MiB, swap: 24 * MiB } }) });
    const result = await c.run();
    expect(result).toMatchObject({ code: 137, stdout: "" });
    await c.expectNothingLeft();
  });

  test("a limit that no runtime would fit in holds a small program: what the runtime has in memory is not charged", async () => {
    await using c = make({ args: ["sleep", "100"], edit: withResources({ memory: { limit: 4 * MiB, swap: 4 * MiB } }) });
    await c.mustBegin();
    expect(cgroupFile(c.id, "", "memory.events")).toMatch(/^oom_kill 0$/m);
    expect(Number(cgroupFile(c.id, "", "memory.current"))).toBeLessThan(4 * MiB);
    expect(await c.mustExec(["echo", "fits"])).toBe("fits\n");
  });

  test("what v2 does not have is refused by name, and nothing is left", async () => {
    await using c = make({ edit: withResources({ memory: { swappiness: 10 } }) });
    const result = await c.create();
    expect(result).toMatchObject({ code: 1, stderr: expect.stringContaining("linux.resources.memory.swappiness: cgroup v2 has no such setting") });
    await c.expectNothingLeft();
  });

  test("events --stats has the fields that engines read", async () => {
    await using c = make({ args: ["sleep", "100"], edit: withResources({ memory: { limit: 64 * MiB, swap: 96 * MiB }, pids: { limit: 9 }, cpu: { quota: 50_000, period: 100_000 } }) });
    await c.mustBegin();
    const { data } = JSON.parse(await c.mustCommand("events", [], { flags: ["--stats"] })) as { data: Record<string, unknown> };
    const count = expect.any(Number) as unknown;
    expect(data).toMatchObject({
      cpu: { usage: { total: count, kernel: count, user: count }, throttling: { periods: count } },
      cpuset: { cpus: [0, 1], mems: [0] },
      memory: { usage: { limit: 64 * MiB, usage: count, failcnt: 0 }, swap: { limit: 96 * MiB, usage: count }, raw: { anon: count, file: count, pgfault: count, inactive_file: count } },
      pids: { current: 1, limit: 9 },
      hugetlb: { "2MB": expect.anything() },
      blkio: expect.anything(),
    });
  });
});

describeRuntime("v2: devices", ({ test, make }) => {
  test("update replaces the rules of a running container", async () => {
    const caps = ["CAP_MKNOD", "CAP_DAC_OVERRIDE"];
    await using c = make({ args: ["sleep", "100"], edit: (spec) => { spec.process!.capabilities = { bounding: caps, effective: caps, permitted: caps }; } });
    await c.mustBegin();
    // The node of /dev/fuse, which no default rule names.
    const open = async () => await c.mustExec(["sh", "-c", "mknod /tmp/d c 10 229 2>/dev/null; /tool open r /tmp/d; /tool open w /dev/null"]);
    expect(await open()).toBe("errno 1 EPERM\nok 0\n");
    await c.mustCommand("update", [], { flags: ["--resources=-"], input: JSON.stringify({ devices: [{ allow: false, access: "rwm" }, { allow: true, type: "c", major: 10, minor: 229, access: "rm" }, { allow: true, type: "c", major: 1, minor: 3, access: "rwm" }] }) });
    expect(await open()).toBe("ok 0\nok 0\n");
  });
});

describeRuntime("v2: cgroup namespace and mount", ({ test, make }) => {
  test("in its namespace the container's cgroup is the root; a read-only mount shows it and takes no change", async () => {
    await using c = make({ args: ["sleep", "100"], edit: (spec) => {
      addNamespace(spec, "cgroup");
      mountCgroup(spec, "ro");
      withResources({ pids: { limit: 23 } })(spec);
    } });
    await c.mustBegin();
    const { stdout } = await c.exec(["sh", "-c", "cat /proc/self/cgroup /sys/fs/cgroup/pids.max; head -n 1 /sys/fs/cgroup/cgroup.procs; mkdir /sys/fs/cgroup/inner 2>&1"]);
    expect(stdout).toMatch(/^0::\/\n23\n1\nmkdir: .*Read-only file system\n$/);
    expect(readFileSync(`/proc/${c.pid}/cgroup`, "utf8")).toBe(`0::/${c.id}\n`);
  });

  test("without a namespace the container's own directory is mounted", async () => {
    await using c = make({ args: ["sh", "-c", "cat /proc/self/cgroup /sys/fs/cgroup/pids.max; ls -d /sys/fs/cgroup/../cgroup/*slice 2>&1"], edit: (spec, { id }) => {
      mountCgroup(spec, "ro");
      withResources({ pids: { limit: 23 } })(spec);
      spec.linux.cgroupsPath = `/${id}`;
    } });
    expect((await c.run()).stdout).toMatch(new RegExp(`^0::/${c.id}\n23\nls: .*No such file`));
  });

  test("a container with cgroups of its own: exec joins beside init, kill --all and delete reach all of them", async () => {
    const nested = "set -e; cd /sys/fs/cgroup; mkdir init work; echo 0 > init/cgroup.procs; echo +memory > cgroup.subtree_control; (echo 0 > work/cgroup.procs; exec sleep 1000) & exec sleep 1000";
    await using c = make({ args: ["sh", "-c", nested], edit: (spec) => {
      addNamespace(spec, "cgroup");
      mountCgroup(spec);
    } });
    await c.mustBegin();
    await until("the inner cgroups", () => processesOf(c.id).length === 2 && readFileSync(`/proc/${c.pid}/cgroup`, "utf8").endsWith("/init\n"));
    expect(await c.mustExec(["cat", "/proc/self/cgroup"])).toBe("0::/init\n");
    expect((JSON.parse(await c.mustCommand("ps", [], { flags: ["-f", "json"] })) as number[]).length).toBe(2);
    expect((await c.command("kill", ["KILL"], { flags: ["--all"] })).code).toBe(0);
    expect(await c.exitStatus()).toEqual({ code: null, signal: 9 });
    expect((await c.delete()).code).toBe(0);
    await c.expectNothingLeft();
  });

  test("in a user namespace the cgroup is delegated: its root may divide it, but not raise its limits", async () => {
    const script = "cd /sys/fs/cgroup; mkdir inner && echo 0 > inner/cgroup.procs && cat /proc/self/cgroup; echo max > pids.max; echo 5 > cgroup.max.depth";
    await using c = make({ args: ["sh", "-c", script], edit: (spec) => {
      addNamespace(spec, "cgroup");
      addNamespace(spec, "user");
      spec.linux.uidMappings = spec.linux.gidMappings = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
      mountCgroup(spec);
      withResources({ pids: { limit: 23 } })(spec);
    } });
    const { stdout, stderr } = await c.run();
    expect(stdout).toBe("0::/inner\n");
    expect(stderr).toMatch(/can't create pids.max: Permission denied/);
    await c.expectNothingLeft();
  });

  test("the delegated files belong to the container's root", async () => {
    await using c = make({ args: ["/probe"], edit: (spec) => {
      addNamespace(spec, "user");
      spec.linux.uidMappings = spec.linux.gidMappings = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
    } });
    await c.mustCreate();
    const owner = (file: string) => statSync(`/sys/fs/cgroup/${c.id}/${file}`).uid;
    expect(["", "cgroup.procs", "cgroup.subtree_control", "pids.max", "memory.max"].map(owner)).toEqual([100_000, 100_000, 100_000, 0, 0]);
    await c.mustStart();
    await c.exitStatus();
    expect(parseProbe(c.stdout).cgroup).toBe(`0::/${c.id}\n`);
  });
});
