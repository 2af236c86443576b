/** Everything as an ordinary user, whom the test makes. On cgroup v1, which this user may not change: no cgroup, hence no limits and no pause. */
import { mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { afterAll, beforeAll, expect } from "vitest";
import { cgroupVersion } from "../../support/cgroup.ts";
import { succeed, type CommandOptions, type Container, type ContainerOptions } from "../../support/container.ts";
import { describeRuntime } from "../../support/contract.ts";
import { isAlive, namespaceOf, statusField } from "../../support/host.ts";
import { Listener } from "../../support/listener.ts";
import { capabilitySet, mountAt, parseProbe } from "../../support/probe.ts";
import { mapRange, prepareRootless } from "../../support/rootless.ts";
import { runRuntime } from "../../support/runtime.ts";
import type { Spec } from "../../support/spec.ts";
import { until } from "../../support/until.ts";
import { User } from "../../support/user.ts";

let user: User;
beforeAll(async () => {
  if (cgroupVersion() !== 1) throw new Error("these tests expect cgroup v1: what a user may do with a delegated v2 cgroup is in test/kernel/v2");
  user = await User.add();
});
afterAll(() => user?.[Symbol.dispose]());

const args = ["sleep", "100"];
/** Every call is the user's. */
const as = (options: CommandOptions = {}): CommandOptions => ({ ...options, prefix: user.prefix });

async function ok(c: Container, command: string, words: readonly string[] = [], options: CommandOptions = {}): Promise<string> {
  const result = await c.command(command, words, as(options));
  succeed(command, result);
  return result.stdout;
}

const prepare = async (c: Container, edit?: (spec: Spec) => void) => await prepareRootless(c, user, edit);
const withRange = (spec: Spec) => mapRange(spec, user);

const newer = { cannot: { "runc 1": "the template, and what a container without a cgroup can do, are ours" } };

describeRuntime("rootless: one mapped id", ({ test, make }) => {
  const prepared = async (options: ContainerOptions = {}, edit?: (spec: Spec) => void) => await prepare(make({ args, ...options }), edit);

  test("spec --rootless names the user's own ids, and so does spec without it for this user", newer, async () => {
    await using c = await prepared();
    expect(c.spec.linux.uidMappings).toEqual([{ containerID: 0, hostID: user.uid, size: 1 }]);
    expect(c.spec.linux.gidMappings).toEqual([{ containerID: 0, hostID: user.gid, size: 1 }]);
    expect(c.spec.linux.namespaces.map(({ type }) => type)).not.toContain("network");
    const dir = c.bundle.path("other");
    mkdirSync(dir);
    user.own(dir);
    expect((await c.call("spec", [], as({ cwd: dir })).result()).code).toBe(0);
    expect((JSON.parse(readFileSync(`${dir}/config.json`, "utf8")) as Spec).linux.uidMappings).toEqual(c.spec.linux.uidMappings);
  });

  test("create, start, state, list, exec, ps, kill, delete", newer, async () => {
    await using c = await prepared();
    await ok(c, "create", [], { flags: ["--bundle", c.bundle.dir, "--pid-file", c.pidFile] });
    expect(JSON.parse(await ok(c, "state"))).toMatchObject({ id: c.id, status: "created", pid: c.pid });
    await ok(c, "start");
    expect(statusField(c.pid, "Uid")).toBe([1, 2, 3, 4].map(() => user.uid).join("\t"));
    expect(JSON.parse(await c.call("list", [], as({ flags: ["-f", "json"] })).result().then(({ stdout }) => stdout))).toMatchObject([{ id: c.id, status: "running", owner: user.name }]);
    const probe = parseProbe(await ok(c, "exec", ["/probe"]));
    expect(probe).toMatchObject({ uid: [0, 0, 0, 0], setgroups: "deny\n" });
    for (const kind of ["user", "pid", "mnt", "uts", "ipc"] as const) expect(probe.ns[kind], kind).toBe(namespaceOf(c.pid, kind));
    expect(JSON.parse(await ok(c, "ps", [], { flags: ["-f", "json"] }))).toEqual([c.pid]);
    expect(await ok(c, "ps", ["-o", "pid,comm"])).toMatch(new RegExp(`^\\s*PID COMMAND\\n\\s*${c.pid} sleep\\n$`));
    await ok(c, "kill", ["KILL"]);
    await until("the end", async () => (JSON.parse(await ok(c, "state")) as { status: string }).status === "stopped");
    await ok(c, "delete");
    await c.expectNothingLeft();
  });

  test("run passes standard input, output and the exit code on, and leaves nothing", newer, async () => {
    await using c = await prepared({ args: ["sh", "-c", "cat; id -u; exit 7"] });
    const result = await c.run(as({ input: "in\n" }));
    expect(result, result.stderr).toMatchObject({ code: 7, stdout: "in\n0\n" });
    await c.expectNothingLeft();
  });

  test("the state is in $XDG_RUNTIME_DIR/tssandbox unless --root says otherwise", newer, async () => {
    await using c = await prepared();
    const call = async (...words: string[]) => await runRuntime([...user.prefix, c.runtime.path, ...words], { dir: c.bundle.path("io") });
    expect((await call("run", "--detach", "--bundle", c.bundle.dir, c.id)).code).toBe(0);
    expect(readdirSync(`${user.runtimeDir}/tssandbox`)).toEqual([c.id]);
    expect(statSync(`${user.runtimeDir}/tssandbox/${c.id}`).uid).toBe(user.uid);
    expect((await call("list", "-q")).stdout).toBe(`${c.id}\n`);
    expect((await call("delete", "--force", c.id)).code).toBe(0);
    expect(readdirSync(`${user.runtimeDir}/tssandbox`)).toEqual([]);
  });

  test("the process has its capabilities inside, and the devices, masks and mounts that it is promised", newer, async () => {
    await using c = await prepared({ args: ["/probe"] });
    const probe = parseProbe((await c.run(as())).stdout);
    expect(capabilitySet(probe.caps.effective)).toEqual(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    const mountinfo = probe.mountinfo ?? "";
    expect(mountAt(mountinfo, "/").options).toContain("ro");
    expect(mountAt(mountinfo, "/proc")).toMatchObject({ type: "proc" });
    expect(mountAt(mountinfo, "/dev/null")).toMatchObject({ root: "/null" });
    expect(mountAt(mountinfo, "/proc/sys").options).toContain("ro");
    expect(probe).toMatchObject({ hostname: "tssandbox", noNewPrivs: 1 });
  });

  test("devices work; files of other owners are nobody's; what the user may not read is not readable", newer, async () => {
    await using c = await prepared({ args: ["sh", "-c", "echo x > /dev/null && head -c1 /dev/zero | wc -c; stat -c %u /bin/busybox /mine; cat /secret 2>&1; true"] });
    c.bundle.file("mine", "");
    user.own(`${c.rootfs}/mine`);
    c.bundle.file("secret", "", 0o600);
    const { stdout, stderr } = await c.run(as());
    expect(stdout, stderr).toBe("1\n65534\n0\ncat: can't open '/secret': Permission denied\n");
  });

  test("a network, a time and a cgroup namespace of its own, sysctls, a domain name, hooks, a seccomp filter, rlimits", newer, async () => {
    await using c = await prepared({ args: ["/probe"] }, (spec) => {
      spec.linux.namespaces.push({ type: "network" }, { type: "time" }, { type: "cgroup" });
      spec.linux.timeOffsets = { monotonic: { secs: 1_000_000, nanosecs: 0 } };
      spec.linux.sysctl = { "net.ipv4.ip_forward": "1", "kernel.msgmax": "4321" };
      spec.domainname = "nis.example";
      spec.linux.seccomp = { defaultAction: "SCMP_ACT_ALLOW", syscalls: [{ names: ["mkdirat"], action: "SCMP_ACT_ERRNO" }] };
      spec.hooks = { createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", "echo hook >&2; exit 0"] }] };
      spec.process!.rlimits = [{ type: "RLIMIT_NOFILE", soft: 64, hard: 64 }];
    });
    const result = await c.run(as());
    expect(result.code, result.stderr).toBe(0);
    const probe = parseProbe(result.stdout);
    for (const kind of ["net", "time", "cgroup"] as const) expect(probe.ns[kind], kind).not.toBe(namespaceOf("self", kind));
    expect(probe).toMatchObject({ domainname: "nis.example", rlimits: { RLIMIT_NOFILE: [64, 64] } });
    expect(probe.clocks.monotonic).toBeGreaterThan(1_000_000);
    expect(probe.status).toMatch(/^Seccomp:\t2$/m);
  });

  test("a terminal by way of a console socket", newer, async () => {
    await using c = await prepared({ args: ["sh", "-c", "tty; stty size"] }, (spec) => Object.assign(spec.process!, { terminal: true, consoleSize: { height: 31, width: 77 } }));
    await using listener = await Listener.start("console", c.bundle.path("console.sock"));
    user.own(listener.socket);
    await ok(c, "create", [], { flags: ["--bundle", c.bundle.dir, "--pid-file", c.pidFile, "--console-socket", listener.socket] });
    await ok(c, "start");
    await listener.matching(/\/dev\/pts\/0\r?\n[^]*31 77/);
    await ok(c, "delete", [], { flags: ["--force"] });
  });

  test("kill --all reaches every process although there is no cgroup", newer, async () => {
    await using c = await prepared({ args: ["sh", "-c", "trap : TERM; (exec sleep 100) & (exec sleep 100) & wait; wait; echo done; sleep 100"] });
    await ok(c, "create", [], { flags: ["--bundle", c.bundle.dir, "--pid-file", c.pidFile] });
    await ok(c, "start");
    const pids = async () => JSON.parse(await ok(c, "ps", [], { flags: ["-f", "json"] })) as number[];
    await until("three processes", async () => (await pids()).length === 3);
    const [init, ...others] = (await pids()).sort((a, b) => a - b);
    expect(init).toBe(c.pid);
    await ok(c, "kill", ["TERM"], { flags: ["--all"] });
    await until("the end of the others", () => others.every((pid) => !isAlive(pid)));
    expect(isAlive(c.pid)).toBe(true);
    await ok(c, "kill", ["KILL"], { flags: ["--all"] });
    await until("the end", () => !isAlive(c.pid));
  });

  const refused: [string, (spec: Spec) => void, RegExp][] = [
    ["more than the user's own id without subordinate ones", (spec) => { spec.linux.uidMappings = [{ containerID: 0, hostID: 0, size: 1 }]; }, /newuidmap: .*subuid/],
    ["a range that is somebody else's", (spec) => { spec.linux.uidMappings = [{ containerID: 0, hostID: user.subordinate("uid") + 1_000_000, size: 100 }]; }, /newuidmap: .*subuid/],
    ["additional groups with one id", (spec) => { spec.process!.user.additionalGids = [0]; }, /additionalGids/],
    ["no user namespace", (spec) => { spec.linux.namespaces = spec.linux.namespaces.filter(({ type }) => type !== "user"); delete spec.linux.uidMappings; delete spec.linux.gidMappings; }, /user namespace/],
    ["a limit without a cgroup that could hold it", (spec) => { spec.linux.resources = { memory: { limit: 64 << 20 } }; }, /linux\.resources.*memory|cgroup/],
    ["a cgroupsPath, where the user may make none", (spec) => { spec.linux.cgroupsPath = "/rootless"; }, /cgroup.*EACCES|cgroup.*permission denied/i],
    ["a host's network device", (spec) => { spec.linux.namespaces.push({ type: "network" }); Object.assign(spec.linux, { netDevices: { lo: {} } }); }, /netDevices/],
    ["an id-mapped mount", (spec) => { spec.mounts.push({ destination: "/mnt", type: "none", source: "/tmp", options: ["bind", "idmap"] }); }, /id-mapped/],
    ["a mount whose owner is not mapped", (spec) => { spec.mounts.push({ destination: "/mnt", type: "tmpfs", source: "tmpfs", options: ["uid=5"] }); }, /uid=5/],
    ["a lower oom score than the user's own", (spec) => { spec.process!.oomScoreAdj = -500; }, /oom score.*EACCES/],
    ["a process that is not mapped", (spec) => { spec.process!.user = { uid: 9, gid: 0 }; }, /user: setresuid|EINVAL/],
  ];
  for (const [what, edit, words] of refused) {
    test(`${what}: refused in one line, nothing left`, newer, async () => {
      await using c = await prepared({}, edit);
      const result = await c.command("create", [], as({ flags: ["--bundle", c.bundle.dir] }));
      expect(result.code).toBe(1);
      expect(result.stderr).toMatch(words);
      expect(result.stderr).toMatch(/^tssandbox: [^\n]+\n$/);
      await c.expectNothingLeft();
    });
  }

  test("pause and update say that there is no cgroup, events has nothing to count; the container goes on", newer, async () => {
    await using c = await prepared();
    await ok(c, "run", [], { flags: ["--detach", "--bundle", c.bundle.dir, "--pid-file", c.pidFile] });
    for (const [command, flags, words] of [["pause", [], /cgroup/], ["update", ["--pids-limit", "5"], /pids/]] as const) {
      const result = await c.command(command, [], as({ flags }));
      expect(result.code, command).toBe(1);
      expect(result.stderr).toMatch(words);
    }
    expect(JSON.parse(await ok(c, "events", [], { flags: ["--stats"] }))).toMatchObject({ type: "stats", id: c.id });
    expect(isAlive(c.pid)).toBe(true);
    await ok(c, "delete", [], { flags: ["--force"] });
    await c.expectNothingLeft();
  });

  test("another user neither sees the container nor can delete it", newer, async () => {
    using other = await User.add();
    await using c = await prepared();
    await ok(c, "run", [], { flags: ["--detach", "--bundle", c.bundle.dir, "--pid-file", c.pidFile] });
    for (const command of ["state", "kill", "delete"]) expect((await c.command(command, [], { prefix: other.prefix })).code, command).toBe(1);
    expect(isAlive(c.pid)).toBe(true);
    await ok(c, "delete", [], { flags: ["--force"] });
  });
});

describeRuntime("rootless: a range of ids by newuidmap", ({ test, make }) => {
  const prepared = async (options: ContainerOptions = {}, edit: (spec: Spec) => void = () => {}) => await prepare(make({ args, ...options }), (spec) => {
    withRange(spec);
    edit(spec);
  });

  test("root is the user, the others are subordinate ids; setgroups works", newer, async () => {
    await using c = await prepared({ args: ["/probe", "--hold"] }, (spec) => { spec.process!.user = { uid: 1000, gid: 1000, additionalGids: [7] }; });
    await ok(c, "run", [], { flags: ["--detach", "--bundle", c.bundle.dir, "--pid-file", c.pidFile] });
    const probe = parseProbe(await ok(c, "exec", ["/probe"]));
    expect(probe).toMatchObject({ uid: [1000, 1000, 1000, 1000], gid: [1000, 1000, 1000, 1000], groups: [7], setgroups: "allow\n" });
    expect(statusField(c.pid, "Uid")?.split("\t")[0]).toBe(String(user.subordinate("uid") + 999));
    expect(statusField(c.pid, "Groups")).toBe(String(user.subordinate("gid") + 6));
    await ok(c, "delete", [], { flags: ["--force"] });
    await c.expectNothingLeft();
  });

  test("files that it makes as other users are theirs on the host", newer, async () => {
    await using c = await prepared({ args: ["sh", "-c", "touch /mnt/root; touch /mnt/guest; chown 1000:1000 /mnt/guest"] }, (spec) => {
      const caps = ["CAP_CHOWN"];
      spec.process!.capabilities = { bounding: caps, effective: caps, permitted: caps };
      spec.mounts.push({ destination: "/mnt", type: "none", source: user.runtimeDir, options: ["bind"] });
    });
    const result = await c.run(as());
    expect(result.code, result.stderr).toBe(0);
    const owner = (name: string) => statSync(`${user.runtimeDir}/${name}`).uid;
    expect([owner("root"), owner("guest")]).toEqual([user.uid, user.subordinate("uid") + 999]);
  });

  test("exec --user takes any mapped id, and refuses others with 255", newer, async () => {
    await using c = await prepared();
    await ok(c, "run", [], { flags: ["--detach", "--bundle", c.bundle.dir, "--pid-file", c.pidFile] });
    expect(await ok(c, "exec", ["id", "-u"], { flags: ["--user", "1234"] })).toBe("1234\n");
    expect((await c.command("exec", ["id", "-u"], as({ flags: ["--user", "70000"] }))).code).toBe(255);
    await ok(c, "delete", [], { flags: ["--force"] });
  });

  test("without newuidmap on the PATH the error names it", newer, async () => {
    await using c = await prepared();
    const result = await c.command("create", [], { prefix: [...user.prefix, "PATH=/nowhere"], flags: ["--bundle", c.bundle.dir] });
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/newuidmap: .*uidmap/);
    await c.expectNothingLeft();
  });
});
