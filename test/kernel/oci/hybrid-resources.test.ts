/** linux.resources on a host with v1 hierarchies beside a v2 mount: what only one of the two has, and what this kernel has in neither. */
import { readFileSync } from "node:fs";
import { beforeAll, expect } from "vitest";
import { cgroupFile, cgroupVersion, hasController } from "../../support/cgroup.ts";
import { describeRuntime } from "../../support/contract.ts";
import type { Spec } from "../../support/spec.ts";

const withResources = (resources: Record<string, unknown>) => (spec: Spec) => {
  spec.linux.resources = { ...spec.linux.resources, ...resources };
};
const args = ["sleep", "100"];
const MiB = 1 << 20;

beforeAll(() => {
  if (cgroupVersion() !== 1) throw new Error("these tests are for v1 hierarchies beside a v2 mount; v2 alone: test/kernel/v2");
});

const unified = (id: string, file: string): string => readFileSync(`/sys/fs/cgroup/unified/${id}/${file}`, "utf8").trim();
const ours = { cannot: { "runc 1": "looks at v1 alone, or has other words" } };

describeRuntime("cgroups: a hybrid host", ({ test, make }) => {
  test("hugepageLimits are set where the controller is, in v2; update changes them", ours, async () => {
    await using c = make({ args, edit: withResources({ hugepageLimits: [{ pageSize: "2MB", limit: 4 * MiB }] }) });
    await c.mustCreate();
    expect(unified(c.id, "hugetlb.2MB.max")).toBe(String(4 * MiB));
    expect(unified(c.id, "cgroup.procs")).toBe(String(c.pid));
    await c.mustCommand("update", [], { flags: ["--resources=-"], input: JSON.stringify({ hugepageLimits: [{ pageSize: "2MB", limit: 8 * MiB }] }) });
    expect(unified(c.id, "hugetlb.2MB.max")).toBe(String(8 * MiB));
    await c.delete("--force");
    await c.expectNothingLeft();
  });

  test("blockIO.weight is BFQ's, since CFQ is gone", ours, async () => {
    await using c = make({ args, edit: withResources({ blockIO: { weight: 500 } }) });
    await c.mustCreate();
    expect(cgroupFile(c.id, "blkio", "blkio.bfq.weight")).toBe("500");
  });

  const unavailable: [string, Record<string, unknown>, RegExp][] = [
    ["a page size that the kernel does not have", { hugepageLimits: [{ pageSize: "4MB", limit: MiB }] }, /hugetlb\.4MB/],
    ["rdma", { rdma: { mlx5_1: { hcaHandles: 3, hcaObjects: 10_000 } } }, /linux\.resources\.rdma: no rdma controller/],
    ["network.classID", { network: { classID: 0x10001 } }, /linux\.resources\.network\.classID: no net_cls controller/],
    ["network.priorities", { network: { priorities: [{ name: "lo", priority: 5 }] } }, /linux\.resources\.network\.priorities: no net_prio controller/],
    ["unified", { unified: { "memory.high": "1000000" } }, /linux\.resources\.unified: needs a host with cgroup v2 alone/],
    ["blockIO.leafWeight, which went with CFQ", { blockIO: { leafWeight: 500 } }, /blkio\.leaf_weight.*ENOENT/],
    ["blockIO.weightDevice for a device that does not exist", { blockIO: { weightDevice: [{ major: 250, minor: 77, weight: 500 }] } }, /blkio\.bfq\.weight_device.*ENODEV.*250:77/],
    ["blockIO.weightDevice with a leaf weight", { blockIO: { weightDevice: [{ major: 8, minor: 0, leafWeight: 500 }] } }, /leaf_weight_device.*ENOENT/],
    ["throttling of a device that does not exist", { blockIO: { throttleReadBpsDevice: [{ major: 250, minor: 77, rate: 1 }] } }, /read_bps_device.*250:77/],
  ];
  for (const [what, resources, words] of unavailable) {
    test(`${what}: refused in one line that names it, nothing left`, ours, async () => {
      for (const name of ["net_cls", "net_prio", "rdma"]) if (hasController(name)) throw new Error(`this host has ${name}: it wants a test of what it does`);
      await using c = make({ edit: withResources(resources) });
      const result = await c.create();
      expect(result.code).toBe(1);
      expect(result.stderr).toMatch(words);
      expect(result.stderr.trimEnd()).not.toContain("\n");
      await c.expectNothingLeft();
    });
  }

  test("empty sections ask for nothing", async () => {
    await using c = make({ args: ["echo", "fine"], edit: withResources({ memory: {}, cpu: {}, pids: {}, blockIO: {}, hugepageLimits: [], network: {}, rdma: {}, unified: {} }) });
    expect(await c.mustRun()).toBe("fine\n");
  });

  test("memory.kernel, which the kernel no longer has, is passed over with a warning", ours, async () => {
    await using c = make({ args: ["echo", "fine"], edit: withResources({ memory: { kernel: 64 * MiB } }) });
    const result = await c.run();
    expect(result).toMatchObject({ code: 0, stdout: "fine\n" });
    expect(result.stderr).toMatch(/linux\.resources\.memory\.kernel.*ignored/);
  });

  test("memory.useHierarchy is what the kernel does anyway", async () => {
    await using c = make({ args, edit: withResources({ memory: { useHierarchy: true } }) });
    await c.mustCreate();
    expect(cgroupFile(c.id, "memory", "memory.use_hierarchy")).toBe("1");
  });

  test("memory.checkBeforeUpdate: a limit below the usage is refused before it is set, without it the kernel reclaims or refuses", ours, async () => {
    await using c = make({ args: ["/tool", "alloc", "16"], edit: withResources({ memory: { limit: 64 * MiB } }) });
    await c.mustBegin();
    await c.outputMatching(/ok/);
    const result = await c.command("update", [], { flags: ["--resources=-"], input: JSON.stringify({ memory: { limit: 4 * MiB, checkBeforeUpdate: true } }) });
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/memory\.limit: 4194304 is not above the current usage \d+/);
    expect(cgroupFile(c.id, "memory", "memory.limit_in_bytes")).toBe(String(64 * MiB));
  });
});

/** Every flag of update, and where its value must be found. */
const flags: [readonly string[], string, string, string][] = [
  [["--memory", "48M"], "memory", "memory.limit_in_bytes", String(48 * MiB)],
  [["--memory=50331648"], "memory", "memory.limit_in_bytes", String(48 * MiB)],
  [["--memory-reservation", "16m"], "memory", "memory.soft_limit_in_bytes", String(16 * MiB)],
  [["--memory", "48M", "--memory-swap", "64M"], "memory", "memory.memsw.limit_in_bytes", String(64 * MiB)],
  [["--kernel-memory-tcp", "1048576"], "memory", "memory.kmem.tcp.limit_in_bytes", String(MiB)],
  [["--cpu-share", "300"], "cpu", "cpu.shares", "300"],
  [["--cpu-period", "40000"], "cpu", "cpu.cfs_period_us", "40000"],
  [["--cpu-quota", "25000"], "cpu", "cpu.cfs_quota_us", "25000"],
  [["--cpu-quota", "25000", "--cpu-burst", "5000"], "cpu", "cpu.cfs_burst_us", "5000"],
  [["--cpu-rt-period", "500000", "--cpu-rt-runtime", "1000"], "cpu", "cpu.rt_runtime_us", "1000"],
  [["--cpu-rt-period", "500000"], "cpu", "cpu.rt_period_us", "500000"],
  [["--cpu-idle", "1"], "cpu", "cpu.idle", "1"],
  [["--cpuset-cpus", "0"], "cpuset", "cpuset.cpus", "0"],
  [["--cpuset-mems", "0"], "cpuset", "cpuset.mems", "0"],
  [["--blkio-weight", "400"], "blkio", "blkio.bfq.weight", "400"],
  [["--pids-limit", "21"], "pids", "pids.max", "21"],
  [["--pids-limit", "-1"], "pids", "pids.max", "max"],
];

describeRuntime("update: its flags", ({ test, make }) => {
  for (const [words, controller, file, value] of flags) {
    test(words.join(" "), { cannot: /burst|idle|tcp/.test(words.join(" ")) ? { "runc 1": "has no such flag, or ignores it" } : {} }, async () => {
      await using c = make({ args });
      await c.mustBegin();
      await c.mustCommand("update", [], { flags: words });
      expect(cgroupFile(c.id, controller, file)).toBe(value);
    });
  }

  test("--kernel-memory is passed over with a warning: the kernel no longer has that limit", ours, async () => {
    await using c = make({ args });
    await c.mustBegin();
    const before = cgroupFile(c.id, "memory", "memory.kmem.limit_in_bytes");
    const result = await c.command("update", [], { flags: ["--kernel-memory", "32M"] });
    expect(result).toMatchObject({ code: 0, stderr: expect.stringMatching(/memory\.kernel.*ignored/) as string });
    expect(cgroupFile(c.id, "memory", "memory.kmem.limit_in_bytes")).toBe(before);
  });
});
