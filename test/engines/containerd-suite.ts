/** What containerd and its client `ctr` do with containers, by whichever shim. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Containerd, type Driver } from "./containerd.ts";
import { BUSYBOX, DEBIAN } from "./images.ts";
import { cgroupFile, cgroupMembers, commandOf, descendantsOf, eventually, execute, inTerminal, isAlive, namespaceOf, parentOf, statusField } from "./support.ts";

const ascending = (pids: readonly number[]) => pids.toSorted((a, b) => a - b);
const bounding = (status: string) => /CapBnd:\t(\w+)/.exec(status)?.[1];

/** @param driver the shim. */
export function containerdSuite(driver: Driver): void {
  let containerd: Containerd;
  beforeAll(async () => {
    containerd = await Containerd.startFor(driver, BUSYBOX, DEBIAN);
  });
  afterAll(async () => containerd?.[Symbol.asyncDispose]());

  /** `ctr run --rm` of a shell script in the busybox image, which must succeed; returns its trimmed stdout. */
  async function sh(id: string, options: readonly string[], script: string): Promise<string> {
    const done = await containerd.run(id, BUSYBOX, options, ["sh", "-c", script]);
    expect(done, done.stderr).toMatchObject({ code: 0 });
    return done.stdout.trim();
  }

  /** Starts a container of three processes, one of them in a session of its own. */
  async function family(id: string, options: readonly string[]): Promise<readonly number[]> {
    await containerd.background(id, BUSYBOX, options, "sh", "-c", "setsid sleep 100 & sleep 100 & wait");
    const init = await containerd.pid(id);
    return eventually("three members", () => cgroupMembers(init).length === 3 && cgroupMembers(init));
  }

  describe("run", () => {
    test.each([0, 3, 255])("passes the exit code on: %i", async (code) => {
      expect((await containerd.run("code", BUSYBOX, [], ["sh", "-c", `exit ${code}`])).code).toBe(code);
    });

    test("streams in and out", async () => {
      // ctr 1.6 loses an end of stdin that comes before the task has started: the script must not wait for it.
      const dialogue = [[/ready\n/, "line\n"]] as const;
      const script = "echo ready; head -n1; echo err >&2";
      const done = await containerd.run("streams", BUSYBOX, [], ["sh", "-c", script], { dialogue });
      expect(done).toEqual({ code: 0, stdout: "ready\nline\n", stderr: "err\n" });
    });

    test("in a terminal", async () => {
      // ctr leaves its own terminal's output processing on: another \r for each line.
      const dialogue = [[/ready\r+\n/, "typed\n"]] as const;
      const script = "tty; until stty size 2>/dev/null | grep .; do sleep 0.1; done; echo ready; read x; echo got $x; exit 6";
      const done = await containerd.runInTerminal("terminal", BUSYBOX, ["sh", "-c", script], { dialogue });
      expect(done.stdout.split(/\r+\n/)).toEqual(["/dev/pts/0", "33 101", "ready", "typed", "got typed", ""]);
      expect(done.code).toBe(6);
    });

    test("Debian", async () => {
      const done = await containerd.run("debian", DEBIAN, [], ["bash", "-c", "echo $BASH_VERSION; ls /; apt-get --version"]);
      expect(done.stdout).toMatch(/^5\.[^]*\nusr\n[^]*apt 2\.6/);
      expect(done.code).toBe(0);
    });

    test("a missing command: its name in the error, and nothing left", async () => {
      const done = await containerd.run("missing", BUSYBOX, [], ["no-such-command"]);
      expect(done.code).not.toBe(0);
      expect(done.stderr).toMatch(/OCI runtime create failed.*no-such-command.*executable file not found in/);
      await containerd.expectNothingLeft("missing");
      expect(await containerd.task("missing")).toBeUndefined();
    });

    test("--rm leaves nothing, and the events come in order", async () => {
      await containerd.run("order", BUSYBOX, [], ["true"]);
      await containerd.expectNothingLeft("order");
      await eventually("the delete event", () => containerd.events("order").includes("/tasks/delete"));
      expect(containerd.events("order")).toEqual(["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"]);
    });

    test("eight containers at once", async () => {
      const ids = [1, 2, 3, 4, 5, 6, 7, 8];
      const done = await Promise.all(ids.map((n) => containerd.run(`many-${n}`, BUSYBOX, [], ["sh", "-c", `echo ${n}; exit ${n}`])));
      expect(done.map(({ code, stdout }) => `${code} ${stdout}`)).toEqual(ids.map((n) => `${n} ${n}\n`));
      await containerd.expectNothingLeft("many");
    });
  });

  describe("options", () => {
    test("--cwd, made if the image lacks it, and --env", async () => {
      expect(await sh("env", ["--cwd", "/made/here", "--env", "ONE=1 and more"], "pwd; echo $ONE")).toBe("/made/here\n1 and more");
    });

    test("--mount: bind read-write and read-only, tmpfs", async () => {
      const source = containerd.workspace.path("lent");
      mkdirSync(source);
      writeFileSync(`${source}/file`, "from outside\n");
      const mounts = [`type=bind,src=${source},dst=/rw,options=rbind:rw`, `type=bind,src=${source},dst=/ro,options=rbind:ro`, "type=tmpfs,src=tmpfs,dst=/scratch,options=size=1m:mode=700"];
      const script = "cat /ro/file; echo inside >/rw/new; touch /ro/x 2>/dev/null || echo refused; stat -c %a /scratch";
      expect(await sh("mount", mounts.flatMap((mount) => ["--mount", mount]), script)).toBe("from outside\nrefused\n700");
      expect(readFileSync(`${source}/new`, "utf8")).toBe("inside\n");
    });

    test("--read-only", async () => {
      expect(await sh("read-only", ["--read-only"], "touch /x 2>/dev/null || echo refused; touch /dev/shm/x && echo shm")).toBe("refused\nshm");
    });

    test("--with-ns joins a network namespace", async () => {
      const name = `tss-ctr-${process.pid}`;
      await execute(["ip", "netns", "add", name]);
      try {
        await execute(["ip", "-n", name, "link", "add", "probe0", "type", "veth", "peer", "name", "probe1"]);
        expect(await sh("netns", ["--with-ns", `network:/run/netns/${name}`], "ls /sys/class/net")).toBe("lo\nprobe0\nprobe1");
      } finally {
        await execute(["ip", "netns", "delete", name]);
      }
    });

    test("--with-ns joins another container's namespaces", async () => {
      await containerd.background("host", BUSYBOX, [], "sleep", "100");
      const pid = await containerd.pid("host");
      const join = ["ipc", "uts", "pid"].flatMap((type) => ["--with-ns", `${type}:/proc/${pid}/ns/${type}`]);
      const found = await sh("guest", join, "for n in ipc uts pid; do readlink /proc/self/ns/$n; done; cat /proc/1/comm");
      expect(found.split("\n")).toEqual([...["ipc", "uts", "pid"].map((type) => namespaceOf(pid, type)), "sleep"]);
      await containerd.remove("host");
    });

    test("--net-host, --privileged", async () => {
      expect(await sh("net-host", ["--net-host"], "readlink /proc/self/ns/net")).toBe(namespaceOf(process.pid, "net"));
      expect(bounding(await sh("privileged", ["--privileged"], "cat /proc/self/status"))).toBe(bounding(readFileSync("/proc/self/status", "utf8")));
    });

    test("--uidmap, --gidmap", async () => {
      const map = ["--uidmap", "0:200000:5000", "--gidmap", "0:300000:5000"];
      const found = await sh("userns", map, "cat /proc/self/uid_map /proc/self/gid_map; id -u; stat -c '%u %g' /etc/passwd");
      expect(found.split("\n").map((line) => line.trim().split(/\s+/).join(" "))).toEqual(["0 200000 5000", "0 300000 5000", "0", "0 0"]);
    });

    test("--seccomp with the default profile", async () => {
      const script = "sed -n 's/^Seccomp:\\s*//p' /proc/self/status; unshare -m true 2>/dev/null && echo done || echo refused";
      expect(await sh("seccomp", ["--seccomp"], script)).toBe("2\nrefused");
      expect(await sh("admin", ["--cap-add", "CAP_SYS_ADMIN"], script)).toBe("0\ndone");
    });

    test("--seccomp-profile of one's own", async () => {
      const profile = containerd.workspace.path("profile.json");
      const syscalls = [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 28 }];
      writeFileSync(profile, JSON.stringify({ defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X86_64"], syscalls }));
      const done = await containerd.run("profile", BUSYBOX, ["--seccomp", "--seccomp-profile", profile], ["mkdir", "/new"]);
      expect(done.stderr).toContain("No space left on device");
    });

    test("--cap-drop, --allow-new-privs", async () => {
      const script = "grep -E '^(CapEff|NoNewPrivs)' /proc/self/status";
      const [chown, ...others] = [await sh("caps", ["--cap-drop", "CAP_CHOWN"], script), await sh("privs", ["--allow-new-privs"], script)];
      expect(chown).toBe("CapEff:\t00000000a80425fa\nNoNewPrivs:\t1");
      expect(others).toEqual(["CapEff:\t00000000a80425fb\nNoNewPrivs:\t0"]);
    });

    test("--device", async () => {
      expect(await sh("no-device", [], "test -e /dev/fuse || echo absent")).toBe("absent");
      expect(await sh("device", ["--device", "/dev/fuse"], "exec 3<>/dev/fuse && echo opened")).toBe("opened");
    });

    test("--memory-limit, --cpus: in the cgroups", async () => {
      await containerd.background("limits", BUSYBOX, ["--memory-limit", "67108864", "--cpus", "0.5"], "sleep", "100");
      const pid = await containerd.pid("limits");
      expect(cgroupFile(pid, "memory", "memory.limit_in_bytes")).toBe("67108864");
      expect(cgroupFile(pid, "cpu", "cpu.cfs_quota_us")).toBe("50000");
      expect(cgroupFile(pid, "cpu", "cpu.cfs_period_us")).toBe("100000");
      await containerd.remove("limits");
    });

    test("--memory-limit: exceeding it is a kill and an OOM event", async () => {
      const done = await containerd.run("oom", BUSYBOX, ["--memory-limit", String(24 * 2 ** 20)], ["sh", "-c", "tail /dev/zero; echo code $?; sleep 0.5"]);
      expect(done.stdout).toBe("code 137\n");
      await eventually("the oom event", () => containerd.events("oom").includes("/tasks/oom"));
    });
  });

  describe("a detached task", () => {
    const id = "detached";
    let init = 0;
    beforeAll(async () => {
      const pidFile = containerd.workspace.path("pid");
      await containerd.background(id, BUSYBOX, ["--pid-file", pidFile, "--memory-limit", "67108864"], "sh", "-c", "while :; do :; done");
      init = await containerd.pid(id);
      expect(readFileSync(pidFile, "utf8")).toBe(String(init));
    });
    afterAll(async () => containerd.remove(id).catch(() => {})); // gone if all went well

    const exec = (name: string, options: readonly string[], ...command: string[]) => containerd.ctr("task", "exec", "--exec-id", name, "--fifo-dir", containerd.fifos, ...options, id, ...command);

    test("is a child of the shim, and nothing else is there", async () => {
      const shim = await containerd.shim(id);
      expect(descendantsOf(shim)).toEqual([init]);
      expect(containerd.processes()).toEqual([shim]);
      expect(cgroupMembers(init)).toEqual([init]);
      expect(commandOf(init)).toBe("sh -c while :; do :; done");
    });

    test("exec: streams, exit codes, missing commands", async () => {
      expect(await exec("one", [], "sh", "-c", "echo out; echo err >&2; exit 4")).toMatchObject({ code: 4, stdout: "out\n", stderr: "err\n" });
      expect((await exec("two", [], "sh", "-c", "kill -KILL $$")).code).toBe(137);
      const missing = await exec("three", [], "no-such-command");
      expect(missing.code).not.toBe(0);
      expect(missing.stderr).toMatch(/OCI runtime exec failed.*no-such-command.*executable file not found in/);
      expect((await exec("four", ["--cwd", "/var", "--user", "1234"], "sh", "-c", "pwd; id -u")).stdout).toBe("/var\n1234\n");
    });

    test("exec in a terminal", async () => {
      const argv = containerd.argv("task", "exec", "--tty", "--exec-id", "tty", "--fifo-dir", containerd.fifos, id, "sh", "-c", "tty; until stty size 2>/dev/null | grep .; do sleep 0.1; done; read x; echo got $x; exit 6");
      const done = await execute(inTerminal(argv), { dialogue: [[/33 101\r+\n/, "typed\n"]] });
      expect(done.stdout.split(/\r+\n/)).toEqual(["/dev/pts/0", "33 101", "typed", "got typed", ""]);
      expect(done.code).toBe(6);
    });

    test("a detached exec is the shim's child, in the container's cgroup", async () => {
      expect((await exec("background", ["--detach"], "sleep", "77")).code).toBe(0);
      const shim = await containerd.shim(id);
      const other = await eventually("it runs", () => cgroupMembers(init).find((pid) => commandOf(pid) === "sleep 77"));
      expect(parentOf(other)).toBe(shim);
      expect(ascending(descendantsOf(shim))).toEqual(ascending([init, other]));
      const listed = (await containerd.ok("task", "ps", id)).match(/^\d+/gm) ?? [];
      expect(ascending(listed.map(Number))).toEqual(ascending([init, other]));
      await containerd.ok("task", "kill", "--exec-id", "background", "--signal", "KILL", id);
      await eventually("it ends", () => !isAlive(other));
      expect(isAlive(init)).toBe(true);
    });

    test("metrics", async () => {
      const text = await containerd.ok("task", "metrics", "--format", "json", id);
      const { cpu, memory, pids } = JSON.parse(text) as Record<string, Record<string, Record<string, number>>>;
      expect(cpu?.["usage"]?.["total"]).toBeGreaterThan(1e6);
      expect(memory?.["usage"]).toMatchObject({ limit: 67_108_864 });
      expect(memory?.["usage"]?.["usage"]).toBeGreaterThan(0);
      expect(pids).toMatchObject({ current: 1 });
    });

    test("pause and resume", async () => {
      const switches = () => Number(statusField(init, "nonvoluntary_ctxt_switches"));
      await containerd.ok("task", "pause", id);
      expect(await containerd.task(id)).toEqual({ pid: init, status: "PAUSED" });
      const frozen = switches();
      expect((await exec("frozen", [], "true")).code).not.toBe(0);
      expect(switches()).toBe(frozen);
      await containerd.ok("task", "resume", id);
      expect(await containerd.task(id)).toEqual({ pid: init, status: "RUNNING" });
      await eventually("it runs again", () => switches() > frozen);
    });

    test("cannot be deleted while it runs", async () => {
      expect((await containerd.ctr("task", "delete", id)).code).not.toBe(0);
      expect((await containerd.task(id))?.status).toBe("RUNNING");
    });

    test("kill, exit status, delete", async () => {
      await containerd.ok("task", "kill", "--signal", "SIGKILL", id);
      await eventually("it stops", async () => (await containerd.task(id))?.status === "STOPPED");
      expect((await containerd.ctr("task", "kill", id)).code).not.toBe(0);
      expect((await containerd.ctr("task", "delete", id)).stderr).toContain("exit code 137");
      await containerd.ok("container", "delete", id);
      await containerd.expectNothingLeft(id);
    });
  });

  describe("the end", () => {
    test("of init ends all of the container's processes", async () => {
      const members = await family("family", []);
      await containerd.ok("task", "kill", "--signal", "KILL", "family");
      await eventually("all of them end", () => members.every((pid) => !isAlive(pid)));
      await containerd.remove("family");
      await containerd.expectNothingLeft("family");
    });

    test("kill --all reaches every process, also in another's pid namespace", async () => {
      await containerd.background("owner", BUSYBOX, [], "sleep", "100");
      const members = await family("shared", ["--with-ns", `pid:/proc/${await containerd.pid("owner")}/ns/pid`]);
      await containerd.ok("task", "kill", "--all", "--signal", "KILL", "shared");
      await eventually("all of them end", () => members.every((pid) => !isAlive(pid)));
      await containerd.remove("shared");
      await containerd.remove("owner");
      await containerd.expectNothingLeft("shared");
    });

    test("of a paused task: delete --force", async () => {
      await containerd.background("paused", BUSYBOX, [], "sleep", "100");
      const init = await containerd.pid("paused");
      await containerd.ok("task", "pause", "paused");
      await containerd.ok("task", "delete", "--force", "paused");
      expect(isAlive(init)).toBe(false);
      await containerd.ok("container", "delete", "paused");
      await containerd.expectNothingLeft("paused");
    });

    test("of a killed shim: containerd has the runtime remove what is left", async () => {
      await containerd.background("orphan", BUSYBOX, [], "sleep", "100");
      const [init, shim] = [await containerd.pid("orphan"), await containerd.shim("orphan")];
      process.kill(shim, "SIGKILL");
      await eventually("the container ends", () => !isAlive(init));
      await containerd.remove("orphan");
      await containerd.expectNothingLeft("orphan");
    });
  });
}
