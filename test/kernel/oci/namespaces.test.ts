import { spawn } from "node:child_process";
import { chownSync, existsSync, readFileSync } from "node:fs";
import { once } from "node:events";
import { expect } from "vitest";
import { describeRuntime } from "../../support/contract.ts";
import { namespaceOf } from "../../support/host.ts";
import { parseProbe } from "../../support/probe.ts";
import type { Spec } from "../../support/spec.ts";

/** OCI name of a namespace kind -> its name in /proc/PID/ns. */
const kinds = { pid: "pid", network: "net", ipc: "ipc", uts: "uts", mount: "mnt", user: "user", cgroup: "cgroup", time: "time" } as const;
type Kind = keyof typeof kinds;

const mappings = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
const noTime = { "runc 1.1": "no time namespaces" };

/** A process of the host that holds namespaces open. With --fork, unshare(1) stays in front of it. */
async function holder(...flags: string[]): Promise<AsyncDisposable & { pid: number }> {
  const child = spawn("unshare", [...flags, "sh", "-c", "echo up; exec sleep 1000"], { stdio: ["ignore", "pipe", "ignore"] });
  await once(child.stdout, "data");
  const forked = Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8"));
  const kill = async () => {
    if (forked > 0) process.kill(forked, "SIGKILL");
    child.kill("SIGKILL");
    await once(child, "close");
  };
  return { pid: forked || child.pid!, [Symbol.asyncDispose]: kill };
}

function withUser(spec: Spec): void {
  spec.linux.namespaces.push({ type: "user" });
  spec.linux.uidMappings = mappings;
  spec.linux.gidMappings = mappings;
}

describeRuntime("namespaces: created", ({ test, make }) => {
  for (const kind of Object.keys(kinds) as Kind[]) {
    test(`${kind}: the container gets one of its own, and only where it is listed`, kind === "time" ? { cannot: noTime } : {}, async () => {
      await using c = make({ args: ["/probe"], edit: (spec) => {
        if (kind === "user") withUser(spec);
        else if (kind === "cgroup" || kind === "time") spec.linux.namespaces.push({ type: kind });
      } });
      const expected = new Set<string>(c.spec.linux.namespaces.map(({ type }) => type));
      expect(expected.has(kind)).toBe(true);
      const probe = await c.probe();
      const fresh = (Object.keys(kinds) as Kind[]).filter((name) => probe.ns[kinds[name]] !== namespaceOf("self", kinds[name]));
      expect(fresh.sort()).toEqual([...expected].sort());
    });
  }

  test("without a pid namespace the container's process is one of the host's", async () => {
    await using c = make({ args: ["/probe"], edit: (spec) => { spec.linux.namespaces = spec.linux.namespaces.filter(({ type }) => type !== "pid"); } });
    const probe = await c.probe();
    expect(probe.pid).toBeGreaterThan(1);
    expect(probe.ns.pid).toBe(namespaceOf("self", "pid"));
  });

  test("a new network namespace has its loopback up and nothing else", async () => {
    await using c = make({ args: ["sh", "-c", "cat /proc/net/dev | tail -n +3 | cut -d: -f1; ip -o link show lo; ping -c1 -W2 127.0.0.1 >/dev/null && echo alive"], edit: (spec) => {
      spec.process!.capabilities = { bounding: ["CAP_NET_RAW"], permitted: ["CAP_NET_RAW"], effective: ["CAP_NET_RAW"] };
    } });
    const text = await c.mustRun();
    expect(text).toMatch(/LOOPBACK,UP/);
    expect(text).toMatch(/alive\n$/);
    expect(text.split("\n").filter((line) => /^\s*[\w@]+$/.test(line) && !line.includes("alive")).map((line) => line.trim()).filter((name) => !/^(lo|tunl0|sit0|ip6tnl0|gre0|gretap0|erspan0|ip_vti0|ip6_vti0|ip6gre0)$/.test(name))).toEqual([]);
  });

  test("the same kind twice is refused", async () => {
    await using c = make({ edit: (spec) => { spec.linux.namespaces.push({ type: "pid" }); } });
    const result = await c.create();
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/namespace|duplicated ns/);
    await c.expectNothingLeft();
  });

  test("an unknown kind is refused", async () => {
    await using c = make({ edit: (spec) => { spec.linux.namespaces.push({ type: "nosuch" }); } });
    const result = await c.create();
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/nosuch|namespace/);
    await c.expectNothingLeft();
  });
});

describeRuntime("namespaces: joined by path", ({ test, make }) => {
  const joinable: [Kind, string[]][] = [["network", ["--net"]], ["ipc", ["--ipc"]], ["uts", ["--uts"]], ["cgroup", ["--cgroup"]], ["time", ["--time"]]];
  for (const [kind, flags] of joinable) {
    test(`${kind}`, kind === "time" ? { cannot: noTime } : {}, async () => {
      await using host = await holder(...flags, ...(kind === "time" ? ["--fork"] : []));
      const path = `/proc/${host.pid}/ns/${kinds[kind]}`;
      await using c = make({ args: ["/probe"], edit: (spec) => {
        spec.linux.namespaces = [...spec.linux.namespaces.filter(({ type }) => type !== kind), { type: kind, path }];
        if (kind === "uts") delete spec.hostname;
      } });
      expect((await c.probe()).ns[kinds[kind]]).toBe(namespaceOf(host.pid, kinds[kind]));
    });
  }

  test("pid: the process is numbered in that namespace and its parent is outside", async () => {
    await using host = await holder("--pid", "--fork", "--kill-child");
    await using c = make({ args: ["/probe"], edit: (spec) => {
      spec.linux.namespaces = [...spec.linux.namespaces.filter(({ type }) => type !== "pid"), { type: "pid", path: `/proc/${host.pid}/ns/pid` }];
    } });
    const probe = await c.probe();
    expect(probe.ns.pid).toBe(namespaceOf(host.pid, "pid"));
    expect(probe.pid).toBeGreaterThan(1);
    expect(probe.ppid).toBe(0);
  });

  test("mount: the container's root is found in that namespace", async () => {
    await using host = await holder("--mount");
    await using c = make({ args: ["/probe"], edit: (spec) => {
      spec.linux.namespaces = [...spec.linux.namespaces.filter(({ type }) => type !== "mount"), { type: "mount", path: `/proc/${host.pid}/ns/mnt` }];
    } });
    expect((await c.probe()).ns.mnt).toBe(namespaceOf(host.pid, "mnt"));
  });

  test("user and network together, as in a pod: the owner is joined first", { cannot: { "runc 1.1": "wants mappings where it joins" } }, async () => {
    await using a = make({ args: ["sleep", "1000"], edit: withUser });
    await a.mustBegin();
    await using b = make({ args: ["/probe"], edit: (spec) => {
      const joined = (["network", "ipc", "uts", "user"] as const).map((type) => ({ type, path: `/proc/${a.pid}/ns/${kinds[type]}` }));
      spec.linux.namespaces = [...joined, { type: "pid" }, { type: "mount" }];
      delete spec.hostname;
      spec.mounts = spec.mounts.filter(({ type }) => type !== "sysfs");
    } });
    const probe = await b.probe();
    for (const kind of ["net", "ipc", "uts", "user"] as const) expect(probe.ns[kind], kind).toBe(namespaceOf(a.pid, kind));
    expect(probe.uid[0]).toBe(0);
  });

  const bad: [string, string, RegExp][] = [
    ["a path that does not exist", "/proc/self/ns/nosuch", /nosuch|no such file/],
    ["a file that is no namespace", "/etc/passwd", /passwd|namespace|invalid argument/i],
    ["a namespace of another kind", "/proc/self/ns/uts", /uts|namespace|invalid argument|setns|network/i],
  ];
  for (const [what, path, words] of bad) {
    test(`${what} is refused and leaves nothing`, async () => {
      await using c = make({ edit: (spec) => { spec.linux.namespaces = [{ type: "pid" }, { type: "mount" }, { type: "network", path }]; delete spec.hostname; } });
      const result = await c.create();
      expect(result.code).toBe(1);
      expect(result.stderr).toMatch(words);
      await c.expectNothingLeft();
    });
  }
});

describeRuntime("namespaces: user", ({ test, make }) => {
  test("uid and gid mappings", async () => {
    await using c = make({ args: ["/probe", "--hold"], edit: (spec) => {
      spec.linux.namespaces.push({ type: "user" });
      spec.linux.uidMappings = [{ containerID: 0, hostID: 100_000, size: 10 }, { containerID: 10, hostID: 300_000, size: 1000 }];
      spec.linux.gidMappings = [{ containerID: 0, hostID: 200_000, size: 2000 }];
      spec.process!.user = { uid: 20, gid: 30, additionalGids: [40] };
    } });
    await c.mustBegin();
    const probe = parseProbe(await c.outputMatching(/\n/));
    expect(probe.uidMap?.trim().split("\n").map((line) => line.trim().split(/\s+/).map(Number))).toEqual([[0, 100_000, 10], [10, 300_000, 1000]]);
    expect(probe.gidMap?.trim().split(/\s+/).map(Number)).toEqual([0, 200_000, 2000]);
    expect(probe).toMatchObject({ uid: [20, 20, 20, 20], gid: [30, 30, 30, 30], groups: [40] });
    const status = readFileSync(`/proc/${c.pid}/status`, "utf8");
    expect(status).toMatch(/^Uid:\t300010\t300010\t300010\t300010$/m);
    expect(status).toMatch(/^Gid:\t200030\t200030\t200030\t200030$/m);
  });

  test("root of a user namespace owns the mounts made for it and can use its devices", async () => {
    await using c = make({ args: ["sh", "-c", "id -u; echo x > /dev/null && head -c1 /dev/zero | wc -c; stat -c %u:%g /dev /dev/pts /dev/shm; touch /dev/shm/x && echo written"], edit: withUser });
    expect(await c.mustRun()).toBe("0\n1\n0:0\n0:0\n0:0\nwritten\n");
  });

  test("exec enters the user namespace", async () => {
    await using c = make({ args: ["sleep", "100"], edit: withUser });
    await c.mustBegin();
    const probe = parseProbe(await c.mustExec(["/probe"]));
    expect(probe.ns.user).toBe(namespaceOf(c.pid, "user"));
    expect(probe.uid[0]).toBe(0);
    expect(probe.uidMap).toMatch(/^\s+0\s+100000\s+65536$/m);
  });

  test("files of the root file system that belong to the mapped range are the container's", async () => {
    await using c = make({ args: ["stat", "-c", "%u:%g", "/mine"], edit: (spec, bundle) => {
      withUser(spec);
      bundle.file("mine", "");
      chownSync(`${bundle.rootfs}/mine`, 100_007, 100_008);
    } });
    expect(await c.mustRun()).toBe("7:8\n");
  });

  test("a user namespace without mappings is refused", async () => {
    await using c = make({ edit: (spec) => { spec.linux.namespaces.push({ type: "user" }); } });
    const result = await c.create();
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/mapping/i);
    await c.expectNothingLeft();
  });

  test("overlapping mappings are refused by the kernel and leave nothing", async () => {
    await using c = make({ edit: (spec) => { withUser(spec); spec.linux.uidMappings = [...mappings, ...mappings]; } });
    const result = await c.create();
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/map/i);
    await c.expectNothingLeft();
  });
});

const hostSysctls = () => ["net/ipv4/ip_forward", "kernel/msgmax"].map((name) => readFileSync(`/proc/sys/${name}`, "utf8").trim());

describeRuntime("namespaces: hostname, time, sysctl", ({ test, make }) => {
  test("hostname and domainname", { cannot: { "runc 1.1": "no domainname" } }, async () => {
    await using c = make({ args: ["/probe"], edit: (spec) => { spec.hostname = "inside.example"; spec.domainname = "nis.example"; } });
    expect(await c.probe()).toMatchObject({ hostname: "inside.example", domainname: "nis.example" });
    expect(readFileSync("/proc/sys/kernel/hostname", "utf8")).not.toMatch(/inside/);
  });

  test("hostname without a uts namespace is refused, and the host keeps its own", async () => {
    const before = readFileSync("/proc/sys/kernel/hostname", "utf8");
    await using c = make({ edit: (spec) => { spec.linux.namespaces = spec.linux.namespaces.filter(({ type }) => type !== "uts"); } });
    const result = await c.create();
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/uts|hostname/i);
    expect(readFileSync("/proc/sys/kernel/hostname", "utf8")).toBe(before);
    await c.expectNothingLeft();
  });

  test("time offsets move the container's clocks", { cannot: noTime }, async () => {
    await using c = make({ args: ["/probe"], edit: (spec) => {
      spec.linux.namespaces.push({ type: "time" });
      spec.linux.timeOffsets = { monotonic: { secs: 100_000, nanosecs: 5 }, boottime: { secs: 200_000, nanosecs: 0 } };
    } });
    const before = Number(process.hrtime.bigint()) / 1e9;
    const { clocks, timensOffsets } = await c.probe();
    expect(clocks.monotonic - before).toBeGreaterThan(100_000);
    expect(clocks.monotonic - before).toBeLessThan(100_020);
    expect(clocks.boottime - clocks.monotonic).toBeGreaterThan(99_990);
    expect(timensOffsets?.trim().split("\n").map((line) => line.trim().split(/\s+/))).toEqual([["monotonic", "100000", "5"], ["boottime", "200000", "0"]]);
  });

  test("exec sees the container's clocks too", { cannot: noTime }, async () => {
    await using c = make({ args: ["sleep", "100"], edit: (spec) => {
      spec.linux.namespaces.push({ type: "time" });
      spec.linux.timeOffsets = { monotonic: { secs: 1_000_000, nanosecs: 0 } };
    } });
    await c.mustBegin();
    expect(parseProbe(await c.mustExec(["/probe"])).clocks.monotonic).toBeGreaterThan(1_000_000);
  });

  test("time offsets without a time namespace are refused", { cannot: noTime }, async () => {
    await using c = make({ edit: (spec) => { spec.linux.timeOffsets = { monotonic: { secs: 1, nanosecs: 0 } }; } });
    const result = await c.create();
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/time/i);
    await c.expectNothingLeft();
  });

  test("sysctls of the container's namespaces are set there and nowhere else", async () => {
    const host = hostSysctls();
    const other = host[0] === "1" ? "0" : "1";
    await using c = make({ args: ["cat", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/msgmax", "/proc/sys/fs/mqueue/msg_max"], edit: (spec) => {
      spec.linux.sysctl = { "net.ipv4.ip_forward": other, "kernel.msgmax": "12345", "fs.mqueue.msg_max": "7" };
    } });
    expect(await c.mustRun()).toBe(`${other}\n12345\n7\n`);
    expect(hostSysctls()).toEqual(host);
  });

  test("a sysctl may be written with slashes", async () => {
    await using c = make({ args: ["cat", "/proc/sys/net/ipv4/conf/lo/forwarding"], edit: (spec) => { spec.linux.sysctl = { "net/ipv4/conf/lo/forwarding": "1" }; } });
    expect(await c.mustRun()).toBe("1\n");
  });

  const foreign: [string, string, (spec: Spec) => void][] = [
    ["one that is not namespaced", "vm.swappiness", () => {}],
    ["a network one with the host's network", "net.ipv4.ip_forward", (spec) => { spec.linux.namespaces = spec.linux.namespaces.filter(({ type }) => type !== "network"); }],
    ["an ipc one with the host's ipc", "kernel.msgmax", (spec) => { spec.linux.namespaces = spec.linux.namespaces.filter(({ type }) => type !== "ipc"); }],
    ["kernel.hostname, which hostname is for", "kernel.hostname", () => {}],
    ["one that climbs out", "net/../vm/swappiness", () => {}],
  ];
  for (const [what, name, edit] of foreign) {
    test(`sysctl: ${what} is refused and the host keeps its value`, async () => {
      const path = `/proc/sys/${name.replaceAll(".", "/").replace("net/////vm", "vm")}`;
      const before = existsSync(path) ? readFileSync(path, "utf8") : undefined;
      await using c = make({ edit: (spec) => { edit(spec); spec.linux.sysctl = { [name]: "1" }; } });
      const result = await c.create();
      expect(result.code).toBe(1);
      expect(result.stderr).toMatch(/sysctl|swappiness|namespace|hostname/i);
      if (before !== undefined) expect(readFileSync(path, "utf8")).toBe(before);
      await c.expectNothingLeft();
    });
  }
});
