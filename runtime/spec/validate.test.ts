import { readFileSync } from "node:fs";

import { describe, expect, test } from "vitest";

import { parseJson } from "./json.ts";
import { ConfigError, Report } from "./report.ts";
import { changed, namespaces, smallConfig } from "./test-config.ts";
import { parseConfig, parseProcess, parseResources } from "./validate.ts";

const fixture = (name: string) => readFileSync(new URL(`fixtures/${name}.json`, import.meta.url), "utf8");

/** The error of a call that must fail. */
function errorOf(call: () => unknown): ConfigError {
  try {
    call();
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error("was accepted");
}

const parse = (config: unknown, options = {}) => parseConfig(JSON.stringify(config), options);
const ID_MAP = [{ containerID: 0, hostID: 100000, size: 65536 }];

describe("accepts", () => {
  test.each(["podman", "containerd-cri"])("what %s writes, without a warning", (name) => {
    expect(parseConfig(fixture(name)).warnings).toEqual([]);
  });

  test("the podman fixture unchanged", () => {
    const text = fixture("podman");
    expect(parseConfig(text).value).toEqual(parseJson(text, new Report("x", {})));
  });

  test("a config without process, for create", () => {
    expect(parse(changed({ process: undefined })).value.process).toBeUndefined();
  });

  test("null where Go would write it for something absent", () => {
    const { value, warnings } = parse(changed({ "process.capabilities": null, "linux.devices": null, hooks: null }));
    expect(warnings).toEqual([]);
    expect(value.process).not.toHaveProperty("capabilities");
  });

  test("a missing user as root", () => {
    expect(parse(changed({ "process.user": undefined })).value.process?.user).toEqual({ uid: 0, gid: 0 });
  });

  test.each(["1.0.0", "1.0.2-dev", "1.1.0", "1.2.1", "1.3.0+dev"])("ociVersion %s", (ociVersion) => {
    expect(parse(changed({ ociVersion })).value.ociVersion).toBe(ociVersion);
  });

  test("every sysctl that has a namespace", () => {
    const sysctl = { "net.ipv4.ip_forward": "1", "net/ipv4/conf/eno2.100/rp_filter": "1", "kernel.shmmax": "1", "kernel.sem": "1 2 3 4", "fs.mqueue.msg_max": "9", "kernel.domainname": "d", "user.max_user_namespaces": "1" };
    const linux = { namespaces: namespaces("network", "ipc", "uts", "user"), uidMappings: ID_MAP, gidMappings: ID_MAP, sysctl };
    expect(parse(changed({ linux })).warnings).toEqual([]);
  });

  test("an id-mapped mount that uses the container's user namespace", () => {
    const mounts = [{ destination: "/m", type: "none", source: "/m", options: ["rbind", "ridmap"] }];
    expect(parse(changed({ mounts, linux: { namespaces: namespaces("user"), uidMappings: ID_MAP, gidMappings: ID_MAP } })).warnings).toEqual([]);
  });

  test("values at the edge of what is allowed", () => {
    const adjacent = [{ containerID: 5, hostID: 5, size: 5 }, { containerID: 0, hostID: 0, size: 5 }, { containerID: 10, hostID: 10, size: 4294967285 }];
    const resources = { memory: { limit: 1000, swap: 1000, swappiness: 100 }, cpu: { quota: 1000, burst: 1000, period: 1000000, idle: 1 }, pids: { limit: -1 }, blockIO: { weight: 10 } };
    const linux = { namespaces: namespaces("user", "uts"), uidMappings: adjacent, gidMappings: adjacent, resources };
    const rlimits = [{ type: "RLIMIT_CORE", soft: 7, hard: 7 }];
    expect(parse(changed({ linux, hostname: "h".repeat(64), "process.rlimits": rlimits, "process.oomScoreAdj": -1000, "process.user.umask": 511 })).warnings).toEqual([]);
  });

  test("everything that 1.3 adds", () => {
    const linux = {
      namespaces: namespaces("network"),
      netDevices: { eth1: { name: "eth%d" }, eth2: {} },
      memoryPolicy: { mode: "MPOL_INTERLEAVE", nodes: "0-3,7", flags: ["MPOL_F_STATIC_NODES"] },
      intelRdt: { closID: "/", schemata: ["L3:0=7f0;1=1f", "MB:0=20"], enableMonitoring: true },
    };
    expect(parse(changed({ linux, "process.execCPUAffinity": { initial: "0-1", final: "1" } })).warnings).toEqual([]);
  });

  test("the scheduler's policies with their own parameters", () => {
    for (const scheduler of [
      { policy: "SCHED_OTHER", nice: -20 },
      { policy: "SCHED_FIFO", priority: 99 },
      { policy: "SCHED_DEADLINE", runtime: 1024, deadline: 2000, period: 0, flags: ["SCHED_FLAG_RECLAIM"] },
    ]) {
      expect(parse(changed({ "process.scheduler": scheduler })).value.process?.scheduler).toEqual(scheduler);
    }
  });
});

const limits = (limit: string) => parseResources(`{"memory":{"limit":${limit}}}`).value.memory?.limit;

describe("64-bit numbers", () => {
  test("a memory limit beyond 2^53 stays an int64 when written out", () => {
    expect(limits("9223372036854771712")).toBe(9223372036854771712);
    expect(BigInt(limits("9223372036854775807")!)).toBeLessThan(2n ** 63n);
    expect(limits("-1")).toBe(-1);
  });

  test("a uint64 beyond 2^53 stays a uint64 when written out", () => {
    const { value } = parseResources('{"hugepageLimits":[{"pageSize":"2MB","limit":18446744073709551615}]}');
    expect(BigInt(value.hugepageLimits![0]!.limit)).toBeLessThan(2n ** 64n);
  });

  test("rlimits and seccomp arguments keep every bit", () => {
    const { value } = parseConfig(fixture("podman"));
    expect(value.process?.rlimits?.[1]).toMatchObject({ hard: 18446744073709551615n, soft: 4194304 });
    expect(value.linux?.seccomp?.syscalls?.at(-1)?.args).toEqual([{ index: 1, value: 18446744073709551615n, valueTwo: 18446744073709530112n, op: "SCMP_CMP_MASKED_EQ" }]);
  });

  test.each([
    ["10000000000000000000", "must be from -9223372036854775808 to 9223372036854775807, is 10000000000000000000"],
    ["1.5", "must be an integer, is 1.5"],
    ['"1g"', 'must be an integer, is "1g"'],
    ["true", "must be an integer, is true"],
    ["-2", "must be at least -1, is -2"],
  ])("memory.limit %s is refused", (limit, reason) => {
    expect(errorOf(() => limits(limit))).toMatchObject({ field: "memory.limit", reason });
  });
});

describe("warns of", () => {
  test.each<[string, object, string]>([
    ["an unknown property, with a hint", { "linux.resouces": {} }, 'config.json: linux.resouces: unknown property, ignored (did you mean "resources"?)'],
    ["a property in the wrong case", { "process.noNewPrivileges": true, "process.CWD": "/" }, 'config.json: process.CWD: unknown property, ignored (did you mean "cwd"?)'],
    ["an unknown property in an array", { mounts: [{ destination: "/p", type: "proc", foo: 1 }] }, "config.json: mounts[0].foo: unknown property, ignored"],
    ["an unknown property in a map", { "linux.resources": { rdma: { mlx5_1: { handles: 3 } } } }, "config.json: linux.resources.rdma.mlx5_1.handles: unknown property, ignored"],
    ["another platform's section", { windows: {} }, "config.json: windows: is for another platform, ignored"],
    ["an unknown capability", { "process.capabilities": { bounding: ["CAP_KIL", "CAP_KILL"] } }, 'config.json: process.capabilities.bounding[0]: unknown capability "CAP_KIL", ignored (did you mean "CAP_KILL"?)'],
    ["a console size without a terminal", { "process.consoleSize": { height: 24, width: 80 } }, "config.json: process.consoleSize: ignored without a terminal"],
    ["a relative mount destination", { mounts: [{ destination: "proc", type: "proc" }] }, 'config.json: mounts[0].destination: relative path "proc" is deprecated, taken as below /'],
    ["contradictory options", { mounts: [{ destination: "/m", source: "/m", options: ["bind", "ro", "rw"] }] }, "config.json: mounts[0].options: ro and rw contradict each other, rw is used"],
    ["rro beside rw", { mounts: [{ destination: "/m", source: "/m", options: ["rbind", "rro", "rw"] }] }, "config.json: mounts[0].options: rro and rw contradict each other, rro is used"],
    ["mappings of a joined user namespace", { linux: { namespaces: [{ type: "mount" }, { type: "user", path: "/proc/1/ns/user" }], uidMappings: ID_MAP } }, "config.json: linux.uidMappings: must equal the mappings of the user namespace that is joined"],
    ["kernel memory limits", { "linux.resources": { memory: { kernel: 1000 } } }, "config.json: linux.resources.memory.kernel: the kernel no longer has this limit, ignored"],
  ])("%s", (_, changes, warning) => {
    expect(parse(changed({ ...changes })).warnings).toEqual([warning]);
  });

  test("and mends what it warns of", () => {
    const { value } = parse(changed({ "process.capabilities": { bounding: ["CAP_NONE", "CAP_KILL"] }, mounts: [{ destination: "proc", type: "proc" }] }));
    expect(value.process?.capabilities).toEqual({ bounding: ["CAP_KILL"] });
    expect(value.mounts?.[0]?.destination).toBe("/proc");
  });
});

type Refusal = readonly [changes: object, field: string, reason: string];
const bind = (...options: string[]) => ({ destination: "/m", type: "none", source: "/m", options: ["bind", ...options] });
const linux = (rest: object, ...types: string[]) => ({ linux: { namespaces: namespaces(...types), ...rest } });
const userns = { uidMappings: ID_MAP, gidMappings: ID_MAP };
const seccomp = (rest: object) => ({ "linux.seccomp": { defaultAction: "SCMP_ACT_ALLOW", ...rest } });
const resources = (rest: object) => ({ "linux.resources": rest });
const device = (rest: object) => ({ "linux.devices": [{ path: "/dev/x", type: "c", major: 1, minor: 3, ...rest }] });

const DOCUMENT: Refusal[] = [
  [{ ociVersion: undefined }, "ociVersion", "is required"],
  [{ ociVersion: "1.4.0" }, "ociVersion", "1.4.0 is not supported, 1.0 to 1.3 are"],
  [{ ociVersion: "0.9.0" }, "ociVersion", "0.9.0 is not supported, 1.0 to 1.3 are"],
  [{ ociVersion: "new" }, "ociVersion", 'must be a version like 1.0.2, is "new"'],
  [{ root: undefined }, "root", "is required"],
  [{ root: {} }, "root.path", "is required"],
  [{ "root.path": "" }, "root.path", "must not be empty"],
  [{ "root.readonly": "yes" }, "root.readonly", 'must be true or false, is "yes"'],
  [{ linux: [] }, "linux", "must be an object, is an array"],
  [{ process: "sh" }, "process", 'must be an object, is "sh"'],
  [{ mounts: {} }, "mounts", "must be an array, is an object"],
  [{ annotations: { "": "x" } }, "annotations", "has an empty key"],
  [{ annotations: { "a.b": 1 } }, 'annotations["a.b"]', "must be a string, is 1"],
  [{ "hooks.poststop": [{ path: "true" }] }, "hooks.poststop[0].path", 'must be an absolute path, is "true"'],
  [{ "hooks.createRuntime": [{ path: "/bin/true", timeout: 0 }] }, "hooks.createRuntime[0].timeout", "must be at least 1 (s), is 0"],
];

const PROCESS: Refusal[] = [
  [{ "process.cwd": undefined }, "process.cwd", "is required"],
  [{ "process.cwd": "tmp" }, "process.cwd", 'must be an absolute path, is "tmp"'],
  [{ "process.args": [] }, "process.args", "must have at least one entry, the program"],
  [{ "process.args": ["sh", "a\0b"] }, "process.args[1]", "must not contain a NUL byte"],
  [{ "process.env": ["A=b", "PATH"] }, "process.env[1]", 'must be NAME=value, is "PATH"'],
  [{ "process.env": ["=b"] }, "process.env[0]", "must have a name before ="],
  [{ "process.user.uid": -1 }, "process.user.uid", "must be from 0 to 4294967295, is -1"],
  [{ "process.user.gid": 4294967295 }, "process.user.gid", "must be from 0 to 4294967294, is 4294967295"],
  [{ "process.user.umask": 512 }, "process.user.umask", "must be from 0 to 511, is 512"],
  [{ "process.user.additionalGids": [1, 4294967295] }, "process.user.additionalGids[1]", "must be from 0 to 4294967294, is 4294967295"],
  [{ "process.rlimits": [{ type: "RLIMIT_FOO", soft: 1, hard: 1 }] }, "process.rlimits[0].type", 'unknown value "RLIMIT_FOO"'],
  [{ "process.rlimits": [{ type: "RLIMIT_NOFILES", soft: 1, hard: 1 }] }, "process.rlimits[0].type", 'unknown value "RLIMIT_NOFILES" (did you mean "RLIMIT_NOFILE"?)'],
  [{ "process.rlimits": [{ type: "RLIMIT_CPU", soft: 2, hard: 1 }] }, "process.rlimits[0]", "RLIMIT_CPU: soft limit 2 is above the hard limit 1"],
  [{ "process.rlimits": [{ type: "RLIMIT_CPU", soft: 1, hard: 1 }, { type: "RLIMIT_CPU", soft: 1, hard: 1 }] }, "process.rlimits[1]", "RLIMIT_CPU is given twice"],
  [{ "process.rlimits": [{ type: "RLIMIT_CPU", soft: 1 }] }, "process.rlimits[0].hard", "is required"],
  [{ "process.oomScoreAdj": 1001 }, "process.oomScoreAdj", "must be from -1000 to 1000, is 1001"],
  [{ "process.scheduler": { policy: "SCHED_BATCH", nice: 20 } }, "process.scheduler.nice", "must be from -20 to 19, is 20"],
  [{ "process.scheduler": { policy: "SCHED_RR" } }, "process.scheduler.priority", "must be from 1 to 99, is 0"],
  [{ "process.scheduler": { policy: "SCHED_OTHER", priority: 1 } }, "process.scheduler.priority", "is for SCHED_FIFO and SCHED_RR, the policy is SCHED_OTHER"],
  [{ "process.scheduler": { policy: "SCHED_FIFO", priority: 1, period: 5 } }, "process.scheduler.period", "is for SCHED_DEADLINE, the policy is SCHED_FIFO"],
  [{ "process.scheduler": { policy: "SCHED_DEADLINE", runtime: 1000 } }, "process.scheduler.runtime", "must be at least 1024 (ns), is 1000"],
  [{ "process.scheduler": { policy: "SCHED_DEADLINE", runtime: 3000, deadline: 2000 } }, "process.scheduler.deadline", "must be at least the runtime of 3000, is 2000"],
  [{ "process.scheduler": { policy: "SCHED_DEADLINE", runtime: 3000, deadline: 4000, period: 3500 } }, "process.scheduler.period", "must be at least the deadline of 4000, is 3500"],
  [{ "process.scheduler": { policy: "other" } }, "process.scheduler.policy", 'must be one of SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_ISO, SCHED_IDLE, SCHED_DEADLINE, is "other"'],
  [{ "process.ioPriority": { class: "IOPRIO_CLASS_BE", priority: 8 } }, "process.ioPriority.priority", "must be from 0 to 7, is 8"],
  [{ "process.execCPUAffinity": { initial: "a" } }, "process.execCPUAffinity.initial", 'must be a list like 0-3,7, is "a"'],
];

const NAMESPACES: Refusal[] = [
  [{ linux: { namespaces: [{ type: "pid" }] } }, "linux.namespaces", "a mount namespace is required"],
  [{ linux: undefined }, "linux.namespaces", "a mount namespace is required"],
  [linux({}, "pid", "pid"), "linux.namespaces[2].type", "pid is given twice"],
  [linux({}, "net"), "linux.namespaces[1].type", 'must be one of pid, network, mount, ipc, uts, user, cgroup, time, is "net"'],
  [{ linux: { namespaces: [{ type: "mount", path: "ns/mnt" }] } }, "linux.namespaces[0].path", 'must be an absolute path, is "ns/mnt"'],
  [{ hostname: "h" }, "hostname", "cannot be set without a uts namespace"],
  [{ domainname: "d" }, "domainname", "cannot be set without a uts namespace"],
  [{ ...linux({}, "uts"), hostname: "h".repeat(65) }, "hostname", "must be at most 64 bytes, is 65"],
  [linux({ uidMappings: ID_MAP }), "linux.uidMappings", "needs a user namespace"],
  [linux({}, "user"), "linux.uidMappings", "is required for a new user namespace"],
  [linux({ uidMappings: ID_MAP }, "user"), "linux.gidMappings", "is required for a new user namespace"],
  [linux({ ...userns, gidMappings: [{ containerID: 0, hostID: 0, size: 0 }] }, "user"), "linux.gidMappings[0].size", "must be at least 1"],
  [linux({ ...userns, uidMappings: [{ containerID: 1, hostID: 0, size: 4294967295 }] }, "user"), "linux.uidMappings[0].size", "4294967295 reaches beyond the last id"],
  [linux({ ...userns, uidMappings: [{ containerID: 5, hostID: 0, size: 5 }, { containerID: 0, hostID: 100, size: 6 }] }, "user"), "linux.uidMappings[0].containerID", "5 is mapped twice"],
  [linux({ timeOffsets: { monotonic: { secs: 1 } } }), "linux.timeOffsets", "needs a time namespace"],
  [linux({ timeOffsets: { boottime: { nanosecs: 1e9 } } }, "time"), "linux.timeOffsets.boottime.nanosecs", "must be from 0 to 999999999, is 1000000000"],
  [{ linux: { namespaces: [{ type: "mount" }, { type: "time", path: "/ns" }], timeOffsets: {} } }, "linux.timeOffsets", "cannot be set for a time namespace that is joined"],
  [linux({ sysctl: { "net.ipv4.ip_forward": "1" } }), 'linux.sysctl["net.ipv4.ip_forward"]', "needs a network namespace"],
  [linux({ sysctl: { "net/ipv4/ip_forward": "1" } }), 'linux.sysctl["net/ipv4/ip_forward"]', "needs a network namespace"],
  [linux({ sysctl: { "kernel.shmmax": "1" } }), 'linux.sysctl["kernel.shmmax"]', "needs an ipc namespace"],
  [linux({ sysctl: { "kernel.hostname": "x" } }, "uts"), 'linux.sysctl["kernel.hostname"]', "set hostname instead"],
  [linux({ sysctl: { "kernel.domainname": "x" } }), 'linux.sysctl["kernel.domainname"]', "needs a uts namespace"],
  [linux({ sysctl: { "vm.swappiness": "1" } }, "ipc"), 'linux.sysctl["vm.swappiness"]', "is not in a namespace of its own: it would change the host"],
  [linux({ sysctl: { "net/../kernel/core_pattern": "x" } }, "network"), 'linux.sysctl["net/../kernel/core_pattern"]', "is not a sysctl name"],
  [linux({ netDevices: { eth0: {} } }), "linux.netDevices", "needs a network namespace"],
  [linux({ netDevices: { "a/b": {} } }, "network"), 'linux.netDevices["a/b"]', "is not a network device name"],
  [linux({ netDevices: { eth0: { name: "sixteen-bytes-xy" } } }, "network"), "linux.netDevices.eth0.name", 'is not a network device name: "sixteen-bytes-xy"'],
];

const MOUNTS: Refusal[] = [
  [{ mounts: [{ type: "proc" }] }, "mounts[0].destination", "is required"],
  [{ mounts: [{ destination: "" }] }, "mounts[0].destination", "must not be empty"],
  [{ mounts: [{ destination: "/m", options: ["rbind"] }] }, "mounts[0].source", "is required for a bind mount"],
  [{ mounts: [bind("size=1m")] }, "mounts[0].options", "a bind mount cannot have file system options: size=1m"],
  [{ mounts: [{ destination: "/m", type: "proc", options: ["tmpcopyup"] }] }, "mounts[0].options", 'tmpcopyup is for tmpfs, the type is "proc"'],
  [{ mounts: [bind("idmap")] }, "mounts[0].options", "idmap needs uidMappings and gidMappings, or a user namespace"],
  [{ mounts: [{ ...bind("idmap"), uidMappings: ID_MAP }] }, "mounts[0].gidMappings", "is required: an id-mapped mount has uidMappings and gidMappings"],
  [{ mounts: [{ ...bind("idmap"), gidMappings: ID_MAP }] }, "mounts[0].uidMappings", "is required: an id-mapped mount has uidMappings and gidMappings"],
  [{ mounts: [{ destination: "/m", type: "tmpfs", ...userns }] }, "mounts[0].uidMappings", "id-mapped mounts must be bind mounts"],
  [{ mounts: [{ ...bind("idmap"), ...userns, uidMappings: [{ containerID: 0, hostID: 0, size: 0 }] }] }, "mounts[0].uidMappings[0].size", "must be at least 1"],
];

const LINUX: Refusal[] = [
  [device({ path: "dev/x" }), "linux.devices[0].path", 'must be an absolute path, is "dev/x"'],
  [device({ type: "x" }), "linux.devices[0].type", 'must be one of c, b, u, p, is "x"'],
  [device({ minor: undefined }), "linux.devices[0].minor", "is required for a device of type c"],
  [device({ major: 4096 }), "linux.devices[0].major", "must be from 0 to 4095, is 4096"],
  [{ "linux.cgroupsPath": "/a/../b" }, "linux.cgroupsPath", 'must not contain .., is "/a/../b"'],
  [{ "linux.maskedPaths": ["/a", "b"] }, "linux.maskedPaths[1]", 'must be an absolute path, is "b"'],
  [{ "linux.readonlyPaths": ["b"] }, "linux.readonlyPaths[0]", 'must be an absolute path, is "b"'],
  [{ "linux.rootfsPropagation": "share" }, "linux.rootfsPropagation", 'unknown value "share" (did you mean "shared"?)'],
  [{ "linux.personality": { domain: "BSD" } }, "linux.personality.domain", 'must be one of LINUX, LINUX32, is "BSD"'],
  [{ "linux.personality": { domain: "LINUX", flags: ["X"] } }, "linux.personality.flags", "must be empty: no flag is defined"],
  [{ "linux.intelRdt": { closID: "a/b" } }, "linux.intelRdt.closID", 'must be a directory name or /, is "a/b"'],
  [{ "linux.intelRdt": { closID: ".." } }, "linux.intelRdt.closID", 'must be a directory name or /, is ".."'],
  [{ "linux.intelRdt": { memBwSchema: "L3:0=1" } }, "linux.intelRdt.memBwSchema", "must be one line that starts with MB:"],
  [{ "linux.intelRdt": { l3CacheSchema: "L3:0=1\nMB:0=1" } }, "linux.intelRdt.l3CacheSchema", "must be one line"],
  [{ "linux.intelRdt": { schemata: ["a", "b\nc"] } }, "linux.intelRdt.schemata[1]", "must be one line"],
  [{ "linux.memoryPolicy": { mode: "MPOL_DEFAULT", nodes: "0" } }, "linux.memoryPolicy.nodes", "must be empty for MPOL_DEFAULT"],
  [{ "linux.memoryPolicy": { mode: "MPOL_BIND" } }, "linux.memoryPolicy.nodes", "must name at least one node for MPOL_BIND"],
  [{ "linux.memoryPolicy": { mode: "MPOL_BIND", nodes: "3-1" } }, "linux.memoryPolicy.nodes", "has the range 3-1, which is backwards"],
];

const RESOURCES: Refusal[] = [
  [resources({ devices: [{ access: "r" }] }), "linux.resources.devices[0].allow", "is required"],
  [resources({ devices: [{ allow: true }] }), "linux.resources.devices[0].access", 'must be one or more of r, w, m, is ""'],
  [resources({ devices: [{ allow: true, type: "p", access: "r" }] }), "linux.resources.devices[0].type", 'must be one of a, b, c, is "p"'],
  [resources({ devices: [{ allow: true, major: -2, access: "r" }] }), "linux.resources.devices[0].major", "must be from -1 to 4095, is -2"],
  [resources({ memory: { limit: "1g" } }), "linux.resources.memory.limit", 'must be an integer, is "1g"'],
  [resources({ memory: { limit: 2000, swap: 1000 } }), "linux.resources.memory.swap", "memory and swap together must be at least the memory limit of 2000, is 1000"],
  [resources({ memory: { swappiness: 101 } }), "linux.resources.memory.swappiness", "must be from 0 to 100, is 101"],
  [resources({ cpu: { period: 999 } }), "linux.resources.cpu.period", "must be from 1000 to 1000000, is 999"],
  [resources({ cpu: { quota: 999 } }), "linux.resources.cpu.quota", "must be -1 or at least 1000 (us), is 999"],
  [resources({ cpu: { quota: 2000, burst: 2001 } }), "linux.resources.cpu.burst", "must be at most the quota of 2000, is 2001"],
  [resources({ cpu: { idle: 2 } }), "linux.resources.cpu.idle", "must be from 0 to 1, is 2"],
  [resources({ cpu: { shares: -1 } }), "linux.resources.cpu.shares", "must be from 0 to 18446744073709551615, is -1"],
  [resources({ cpu: { cpus: "0;1" } }), "linux.resources.cpu.cpus", 'must be a list like 0-3,7, is "0;1"'],
  [resources({ pids: { limit: -2 } }), "linux.resources.pids.limit", "must be at least -1, is -2"],
  [resources({ blockIO: { weight: 9 } }), "linux.resources.blockIO.weight", "must be from 10 to 1000, is 9"],
  [resources({ blockIO: { weight: 65536 } }), "linux.resources.blockIO.weight", "must be from 0 to 65535, is 65536"],
  [resources({ blockIO: { weightDevice: [{ major: 8, minor: 0 }] } }), "linux.resources.blockIO.weightDevice[0]", "must have weight or leafWeight"],
  [resources({ blockIO: { throttleReadBpsDevice: [{ major: -1, minor: 0, rate: 1 }] } }), "linux.resources.blockIO.throttleReadBpsDevice[0].major", "must be from 0 to 4095, is -1"],
  [resources({ hugepageLimits: [{ pageSize: "../2MB", limit: 1 }] }), "linux.resources.hugepageLimits[0].pageSize", 'must be like 2MB, is "../2MB"'],
  [resources({ network: { priorities: [{ name: "a b", priority: 1 }] } }), "linux.resources.network.priorities[0].name", 'is not a network device name: "a b"'],
  [resources({ rdma: { "a b": {} } }), 'linux.resources.rdma["a b"]', "is not an RDMA device name"],
  [resources({ unified: { "../memory.max": "1" } }), 'linux.resources.unified["../memory.max"]', "must be the name of a cgroup file, such as memory.high"],
];

const SECCOMP: Refusal[] = [
  [{ "linux.seccomp": {} }, "linux.seccomp.defaultAction", "is required"],
  [seccomp({ defaultAction: "SCMP_ACT_NOTIFY" }), "linux.seccomp.defaultAction", "must not be SCMP_ACT_NOTIFY"],
  [seccomp({ defaultErrnoRet: 1 }), "linux.seccomp.defaultErrnoRet", "is for SCMP_ACT_ERRNO and SCMP_ACT_TRACE, the action is SCMP_ACT_ALLOW"],
  [seccomp({ listenerMetadata: "m" }), "linux.seccomp.listenerMetadata", "needs listenerPath"],
  [seccomp({ architectures: ["x86"] }), "linux.seccomp.architectures[0]", 'unknown value "x86"'],
  [seccomp({ flags: ["SECCOMP_FILTER_FLAG_LOGS"] }), "linux.seccomp.flags[0]", 'unknown value "SECCOMP_FILTER_FLAG_LOGS" (did you mean "SECCOMP_FILTER_FLAG_LOG"?)'],
  [seccomp({ syscalls: [{ names: [], action: "SCMP_ACT_LOG" }] }), "linux.seccomp.syscalls[0].names", "must have at least one entry"],
  [seccomp({ syscalls: [{ names: [""], action: "SCMP_ACT_LOG" }] }), "linux.seccomp.syscalls[0].names[0]", "must not be empty"],
  [seccomp({ syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" }] }), "linux.seccomp.syscalls[0].action", "SCMP_ACT_NOTIFY needs linux.seccomp.listenerPath"],
  [seccomp({ listenerPath: "/s", syscalls: [{ names: ["mkdir", "write"], action: "SCMP_ACT_NOTIFY" }] }), "linux.seccomp.syscalls[0].names", "SCMP_ACT_NOTIFY cannot be used for write"],
  [seccomp({ syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_ERRNO", errnoRet: 4096 }] }), "linux.seccomp.syscalls[0].errnoRet", "must be from 0 to 4095, is 4096"],
  [seccomp({ syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_KILL", errnoRet: 1 }] }), "linux.seccomp.syscalls[0].errnoRet", "is for SCMP_ACT_ERRNO and SCMP_ACT_TRACE, the action is SCMP_ACT_KILL"],
  [seccomp({ syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_LOG", args: [{ index: 6, value: 1, op: "SCMP_CMP_EQ" }] }] }), "linux.seccomp.syscalls[0].args[0].index", "must be from 0 to 5, is 6"],
  [seccomp({ syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_LOG", args: [{ index: 0, value: 1e30, op: "SCMP_CMP_EQ" }] }] }), "linux.seccomp.syscalls[0].args[0].value", "must be from 0 to 18446744073709551615, is 1e+30"],
];

describe.each([
  ["the document", DOCUMENT],
  ["process", PROCESS],
  ["namespaces", NAMESPACES],
  ["mounts", MOUNTS],
  ["linux", LINUX],
  ["resources", RESOURCES],
  ["seccomp", SECCOMP],
])("refuses in %s", (_, refusals) => {
  test.each(refusals)("%j: %s", (changes, field, reason) => {
    const error = errorOf(() => parse(changed({ ...changes })));
    expect({ field: error.field, reason: error.reason }).toEqual({ field, reason });
    expect(error.message).toBe(`config.json: ${field}: ${reason}`);
  });
});

describe("without root privilege", () => {
  const rootless = { rootless: true };
  const base = { linux: { namespaces: namespaces("user"), uidMappings: [{ containerID: 0, hostID: 1000, size: 1 }], gidMappings: [{ containerID: 0, hostID: 1000, size: 1 }] } };

  test("a user namespace is enough", () => {
    expect(parse(changed(base), rootless).warnings).toEqual([]);
  });

  test.each<Refusal>([
    [{}, "linux.namespaces", "a user namespace is required without root privilege"],
    [{ ...base, mounts: [{ destination: "/dev/pts", type: "devpts", options: ["gid=5"] }] }, "mounts[0].options", "gid=5 is not mapped in the container's user namespace"],
    [{ ...base, mounts: [{ ...bind("idmap"), ...userns }] }, "mounts[0].uidMappings", "id-mapped mounts need a privileged runtime"],
    [{ linux: { ...base.linux, namespaces: namespaces("user", "network"), netDevices: { eth0: {} } } }, "linux.netDevices", "needs a privileged runtime"],
  ])("%j: %s", (changes, field, reason) => {
    expect(errorOf(() => parse(changed({ ...changes }), rootless))).toMatchObject({ field, reason });
  });
});

describe("other documents", () => {
  test("a process for exec", () => {
    expect(parseProcess('{"args":["sh"],"cwd":"/","terminal":true}').value).toEqual({ args: ["sh"], cwd: "/", terminal: true, user: { uid: 0, gid: 0 } });
    expect(errorOf(() => parseProcess('{"args":[],"cwd":"/"}')).message).toBe("process.json: args: must have at least one entry, the program");
  });

  test("resources for update, under the caller's name", () => {
    expect(errorOf(() => parseResources('{"pids":{"limit":-5}}', { document: "stdin" })).message).toBe("stdin: pids.limit: must be at least -1, is -5");
  });

  test.each([
    ["", "config.json: is not valid JSON: Unexpected end of JSON input"],
    ["[]", "config.json: must be an object, is an array"],
    ["null", "config.json: must be an object, is null"],
    ['"x"', 'config.json: must be an object, is "x"'],
  ])("%j is no config", (text, message) => {
    expect(errorOf(() => parseConfig(text)).message).toBe(message);
  });

  test("a syntax error is one line", () => {
    expect(errorOf(() => parseConfig('{\n "a": tru\n}')).message).toMatch(/^config\.json: is not valid JSON: [^\n]*$/);
  });
});

test("the small config of these tests is itself fine", () => {
  expect(parse(smallConfig()).warnings).toEqual([]);
});
