/** Values of config.json's fields that the other files do not come to. Where each field is tested: coverage.test.ts. */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { describeRuntime } from "../../support/contract.ts";
import { namespaceOf } from "../../support/host.ts";
import { Listener } from "../../support/listener.ts";
import { mountAt, type Probe } from "../../support/probe.ts";
import type { Container } from "../../support/container.ts";
import { runRuntime } from "../../support/runtime.ts";
import type { Process, Spec } from "../../support/spec.ts";

const processWith = (fields: Partial<Process> & Record<string, unknown>) => (spec: Spec) => {
  Object.assign(spec.process!, fields);
};
const newer = { cannot: { "runc 1": "the field is newer, or passed over in silence" } };

async function expectRefused(c: Container, words: RegExp): Promise<void> {
  const result = await c.create();
  expect(result.code).toBe(1);
  expect(result.stderr).toMatch(words);
  expect(result.stderr.trimEnd()).not.toContain("\n");
  await c.expectNothingLeft();
}

describeRuntime("fields of other platforms", ({ test, make }) => {
  for (const platform of ["solaris", "windows", "vm", "zos", "freebsd"]) {
    test(`${platform} is passed over with a warning`, newer, async () => {
      await using c = make({ args: ["echo", "fine"], edit: (spec) => { Object.assign(spec, { [platform]: { anything: [1] } }); } });
      const result = await c.run();
      expect(result).toMatchObject({ code: 0, stdout: "fine\n" });
      expect(result.stderr).toMatch(new RegExp(`config\\.json: ${platform}: is for another platform`));
    });
  }

  test("process.commandLine and process.user.username, which are Windows', change nothing", async () => {
    await using c = make({ args: ["id", "-u"], edit: processWith({ commandLine: "cmd /c dir", user: Object.assign({ uid: 12, gid: 0 }, { username: "guest" }) }) });
    expect(await c.mustRun()).toBe("12\n");
  });
});

describeRuntime("process: further values", ({ test, make }) => {
  test("rlimits take every 64-bit number, unlimited included", async () => {
    await using c = make({ args: ["/probe"] });
    const limits = '[{"type":"RLIMIT_FSIZE","soft":18446744073709551615,"hard":18446744073709551615},{"type":"RLIMIT_AS","soft":9007199254740993,"hard":9007199254740995}]';
    writeFileSync(c.bundle.configPath, readFileSync(c.bundle.configPath, "utf8").replace('"process":{', `"process":{"rlimits":${limits},`));
    // The probe prints what is beyond 2^53 in full, which JSON.parse would round.
    const text = await c.mustRun();
    expect(text).toMatch(/"RLIMIT_FSIZE":\s*\[\s*-1,\s*-1\s*\]/);
    expect(text).toMatch(/"RLIMIT_AS":\s*\[\s*9007199254740993,\s*9007199254740995\s*\]/);
  });

  test("scheduler: flags of SCHED_DEADLINE and of SCHED_OTHER", { cannot: { "runc 1.1": "the field is newer" } }, async () => {
    const deadline = { policy: "SCHED_DEADLINE", runtime: 10_000_000, deadline: 30_000_000, period: 40_000_000, flags: ["SCHED_FLAG_RECLAIM", "SCHED_FLAG_RESET_ON_FORK"] };
    for (const [scheduler, flags] of [[deadline, 3], [{ policy: "SCHED_OTHER", flags: ["SCHED_FLAG_RESET_ON_FORK"] }, 1]] as const) {
      await using c = make({ args: ["/probe"], edit: (spec) => {
        processWith({ scheduler })(spec);
        delete spec.linux.resources;
      } });
      expect((await c.probe()).sched.flags).toBe(flags);
    }
  });

  test("ioPriority without a number is the highest of its class", newer, async () => {
    await using c = make({ args: ["/probe"], edit: processWith({ ioPriority: { class: "IOPRIO_CLASS_BE" } as unknown as NonNullable<Process["ioPriority"]> }) });
    expect((await c.probe()).ioprio).toBe(2 << 13);
  });

  test("execCPUAffinity.initial is in force until the process is in its cgroup, and without final it stays", { cannot: { "runc 1.1": "the field is newer" } }, async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    const exec = JSON.parse(await c.mustExec([], { process: { args: ["/probe"], execCPUAffinity: { initial: "1" } } })) as Probe;
    expect(exec.cpus).toEqual([1]);
  });

  for (const [field, list] of [["initial", "nosuch"], ["final", "5-1"]] as const) {
    test(`execCPUAffinity.${field} ${list} is refused`, newer, async () => {
      await using c = make({ edit: processWith({ execCPUAffinity: { [field]: list } }) });
      await expectRefused(c, new RegExp(`process\\.execCPUAffinity\\.${field}`));
    });
  }
});

const policies: [Record<string, unknown>, number, number][] = [
  [{ mode: "MPOL_DEFAULT" }, 0, 0],
  [{ mode: "MPOL_PREFERRED", nodes: "0" }, 1, 1],
  [{ mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_NUMA_BALANCING"] }, 2 | (1 << 13), 1],
  [{ mode: "MPOL_INTERLEAVE", nodes: "0", flags: ["MPOL_F_RELATIVE_NODES"] }, 3 | (1 << 14), 1],
  [{ mode: "MPOL_LOCAL" }, 4, 0],
  [{ mode: "MPOL_PREFERRED_MANY", nodes: "0-0" }, 5, 1],
  [{ mode: "MPOL_WEIGHTED_INTERLEAVE", nodes: "0" }, 6, 1],
];

describeRuntime("linux: memory policy and personality", ({ test, make }) => {
  for (const [memoryPolicy, mode, nodes] of policies) {
    test(`memoryPolicy ${JSON.stringify(memoryPolicy)}`, newer, async () => {
      await using c = make({ args: ["/probe"], edit: (spec) => { Object.assign(spec.linux, { memoryPolicy }); } });
      expect((await c.probe()).memoryPolicy).toEqual({ mode, nodes });
    });
  }

  const refused: [string, Record<string, unknown>, RegExp][] = [
    ["memoryPolicy of a node that is not there", { memoryPolicy: { mode: "MPOL_BIND", nodes: "63" } }, /memory policy: set_mempolicy.*\(EINVAL\)/],
    ["memoryPolicy without the nodes it needs", { memoryPolicy: { mode: "MPOL_BIND" } }, /linux\.memoryPolicy\.nodes/],
    ["memoryPolicy of an unknown mode", { memoryPolicy: { mode: "MPOL_NOSUCH" } }, /linux\.memoryPolicy\.mode/],
    ["memoryPolicy with an unknown flag", { memoryPolicy: { mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_NOSUCH"] } }, /linux\.memoryPolicy\.flags/],
    ["personality with flags, of which there are none", { personality: { domain: "LINUX", flags: ["ADDR_NO_RANDOMIZE"] } }, /linux\.personality\.flags/],
    ["personality of an unknown domain", { personality: { domain: "SOLARIS" } }, /linux\.personality\.domain/],
  ];
  for (const [what, fields, words] of refused) {
    test(`${what} is refused and leaves nothing`, newer, async () => {
      await using c = make({ edit: (spec) => { Object.assign(spec.linux, fields); } });
      await expectRefused(c, words);
    });
  }
});

const withOffset = (secs: number) => (spec: Spec) => {
  spec.linux.namespaces.push({ type: "time" });
  spec.linux.timeOffsets = { boottime: { secs, nanosecs: 500_000_000 } };
};

describeRuntime("linux: namespaces, further values", ({ test, make }) => {
  for (const [value, pattern] of [["rprivate", /^$/], ["rslave", /^master:\d+$|^$/], ["rshared", /^shared:\d+/], ["runbindable", /^unbindable$/]] as const) {
    test(`rootfsPropagation ${value} is that of the root mount and of those below it`, { cannot: { "runc 1.1": "leaves it private" } }, async () => {
      await using c = make({ args: ["/probe"], edit: (spec) => { spec.linux.rootfsPropagation = value; } });
      const { mountinfo } = await c.probe();
      for (const point of ["/", "/dev", "/proc"]) expect(mountAt(mountinfo!, point).optional.join(" "), point).toMatch(pattern);
    });
  }

  test("sysctl: the NIS domain of a uts namespace", newer, async () => {
    await using c = make({ args: ["/probe"], edit: (spec) => { spec.linux.sysctl = { "kernel.domainname": "from.sysctl" }; } });
    expect((await c.probe()).domainname).toBe("from.sysctl");
    expect(readFileSync("/proc/sys/kernel/domainname", "utf8")).not.toMatch(/from/);
  });

  test("sysctl: the limits of a user namespace", newer, async () => {
    const before = readFileSync("/proc/sys/user/max_mnt_namespaces", "utf8");
    await using c = make({ args: ["cat", "/proc/sys/user/max_mnt_namespaces"], edit: (spec) => {
      spec.linux.sysctl = { "user.max_mnt_namespaces": "77" };
      spec.linux.namespaces.push({ type: "user" });
      spec.linux.uidMappings = spec.linux.gidMappings = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
    } });
    expect(await c.mustRun()).toBe("77\n");
    expect(readFileSync("/proc/sys/user/max_mnt_namespaces", "utf8")).toBe(before);
  });

  for (const value of ["private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable"]) {
    test(`rootfsPropagation ${value}: on a host whose mounts are shared, as systemd has them, nothing of the container shows up there`, { cannot: { "runc 1.1": "leaves mounts with some" } }, async () => {
      await using c = make({ args: ["true"], edit: (spec) => { spec.linux.rootfsPropagation = value; } });
      const script = 'mount --make-rshared / && unshare -m --propagation unchanged "$@" && grep -c " $0[/ ]" /proc/self/mountinfo; true';
      expect(await c.mustRun({ prefix: ["unshare", "-m", "sh", "-c", script, c.bundle.dir] })).toBe("0\n");
    });
  }

  test("with shared mounts on both sides one that the container makes in an rshared bind appears on the host, and others do not", async () => {
    await using c = make({ args: ["sh", "-c", "mount -t tmpfs inner /r/sub && touch /r/sub/made && mount -t tmpfs inner /p/sub && touch /p/sub/made && echo up; sleep 100"], edit: (spec, bundle) => {
      const caps = ["CAP_SYS_ADMIN"];
      spec.process!.capabilities = { bounding: caps, effective: caps, permitted: caps };
      spec.linux.rootfsPropagation = "rshared";
      for (const name of ["r", "p"]) {
        mkdirSync(bundle.path(name, "sub"), { recursive: true });
        spec.mounts.push({ destination: `/${name}`, type: "bind", source: bundle.path(name), options: ["rbind", name === "r" ? "rshared" : "rprivate"] });
      }
    } });
    await runRuntime(["sh", "-c", 'for d; do mount --bind "$d" "$d" && mount --make-shared "$d"; done', "sh", c.bundle.path("r"), c.bundle.path("p")]);
    await c.mustBegin();
    await c.outputMatching(/up/);
    expect([existsSync(c.bundle.path("r", "sub/made")), existsSync(c.bundle.path("p", "sub/made"))]).toEqual([true, false]);
  });

  test("sysctl: a value that the kernel refuses, and a name that it does not have, are named", newer, async () => {
    for (const [name, value, words] of [["net.ipv4.ip_forward", "many", /sysctl: .*net\/ipv4\/ip_forward|sysctl: .*EINVAL/], ["net.ipv4.nosuch", "1", /sysctl: .*nosuch.*\(ENOENT\)/]] as const) {
      await using c = make({ edit: (spec) => { spec.linux.sysctl = { [name]: value }; } });
      await expectRefused(c, words);
    }
  });

  test("timeOffsets may put a clock back, but not before its start", newer, async () => {
    await using c = make({ args: ["/probe"], edit: withOffset(-100) });
    const { clocks } = await c.probe();
    expect(clocks.monotonic - clocks.boottime).toBeGreaterThan(98);
    await using bad = make({ edit: withOffset(-1_000_000_000) });
    await expectRefused(bad, /time offsets: .*\(ERANGE\)/);
  });

  test("a user namespace that is joined: its ids are the container's, exec included", async () => {
    await using a = make({ args: ["sleep", "100"], edit: (spec) => {
      spec.linux.namespaces.push({ type: "user" });
      spec.linux.uidMappings = spec.linux.gidMappings = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
    } });
    await a.mustBegin();
    await using b = make({ args: ["sleep", "100"], edit: (spec) => {
      spec.linux.namespaces.push({ type: "user", path: `/proc/${a.pid}/ns/user` });
      spec.linux.uidMappings = spec.linux.gidMappings = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
      spec.process!.user = { uid: 7, gid: 8, additionalGids: [9] };
    } });
    await b.mustBegin();
    expect(namespaceOf(b.pid, "user")).toBe(namespaceOf(a.pid, "user"));
    expect(readFileSync(`/proc/${b.pid}/status`, "utf8")).toMatch(/^Uid:\t100007\t.*\nGid:\t100008\t/m);
    expect(await b.mustExec(["id", "-G"])).toBe("8 9\n");
  });
});

/** A 32-bit program that does getpid and ends with code 0: ELF header, one segment, `mov $20,%eax; int $0x80; xor %ebx,%ebx; mov $1,%eax; int $0x80`. */
function program32(): Buffer {
  const code = Buffer.from([0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0x31, 0xdb, 0xb8, 1, 0, 0, 0, 0xcd, 0x80]);
  const base = 0x08048000;
  const header = Buffer.alloc(84);
  Buffer.from([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]).copy(header);
  const words: [number, number][] = [[20, 1], [24, base + 84], [28, 52], [52, 1], [60, base], [64, base], [68, 84 + code.length], [72, 84 + code.length], [76, 5], [80, 4096]];
  for (const [offset, value] of words) header.writeUInt32LE(value, offset);
  for (const [offset, value] of [[16, 2], [18, 3], [40, 52], [42, 32], [44, 1]] as const) header.writeUInt16LE(value, offset);
  return Buffer.concat([header, code]);
}

describeRuntime("seccomp: further values", ({ test, make }) => {
  for (const [architectures, end] of [[["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], { code: 0, signal: null }], [["SCMP_ARCH_X86_64"], { code: null, signal: 31 }]] as const) {
    test(`architectures ${architectures.join()}: a 32-bit program ${end.code === 0 ? "runs" : "is killed"}`, async () => {
      await using c = make({ args: ["/program32"], edit: (spec, bundle) => {
        const path = bundle.file("program32", "");
        writeFileSync(path, program32());
        chmodSync(path, 0o755);
        spec.linux.seccomp = { defaultAction: "SCMP_ACT_ALLOW", architectures, syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_ERRNO" }] };
      } });
      await c.mustBegin();
      expect(await c.exitStatus()).toEqual(end);
    });
  }

  test("an argument is compared in all of its 64 bits", async () => {
    const args = ["sh", "-c", "/tool syscall 140 0x20000000000001 0; /tool syscall 140 0x20000000000000 0"];
    await using c = make({ args, edit: (spec) => {
      spec.linux.seccomp = { defaultAction: "SCMP_ACT_ALLOW", syscalls: [{ names: ["getpriority"], action: "SCMP_ACT_ERRNO", errnoRet: 99, args: [{ index: 0, value: 123456, op: "SCMP_CMP_EQ" }] }] };
    } });
    writeFileSync(c.bundle.configPath, readFileSync(c.bundle.configPath, "utf8").replace("123456", String(2n ** 53n + 1n)));
    expect((await c.mustRun()).split("\n")[0]).toBe("errno 99 EADDRNOTAVAIL");
    expect((await c.mustRun()).split("\n")[1]).not.toContain("99");
  });

  test("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV goes with a listener", { cannot: { "runc 1.1": "no such flag" } }, async () => {
    await using c = make({ args: ["/tool", "syscall", "83", "s:/made", "0755"] });
    await using listener = await Listener.start("notify", c.bundle.path("s"), "71");
    c.spec.linux.seccomp = { defaultAction: "SCMP_ACT_ALLOW", flags: ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"], listenerPath: listener.socket, syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" }] };
    c.bundle.write();
    expect(await c.mustRun()).toBe("errno 71 EPROTO\n");
  });
});
