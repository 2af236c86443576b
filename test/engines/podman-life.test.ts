import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { BUSYBOX } from "./images.ts";
import { Podman } from "./podman.ts";
import { cgroupFile, cgroupMembers, commandOf, descendantsOf, eventually, execute, isAlive, namespaceOf, parentOf, statusField } from "./support.ts";

// Containers that go on after `podman run` has returned.

let podman: Podman;
beforeAll(async () => {
  podman = await Podman.start("life", [BUSYBOX], { mode: "namespace" });
});
afterAll(async () => podman?.[Symbol.asyncDispose]());

/** Counts on stdout, ends on SIGTERM with 5. */
const COUNTER = ["sh", "-c", "trap 'echo stopped; exit 5' TERM; echo started; i=0; while :; do i=$((i + 1)); sleep 0.05; done"] as const;
const state = (id: string) => podman.inspect(id, "{{.State.Status}} {{.State.ExitCode}}");
const started = (id: string) => eventually("the container's first line", async () => (await podman.ok("logs", id)).includes("started"));

describe("the process model", () => {
  afterEach(async () => {
    await podman.podman("rm", "--all", "--force", "--time", "0");
  });

  test("conmon is the parent of a detached container's init, and nothing else is there", async () => {
    const id = await podman.background([], "sleep", "100");
    const { init, conmon } = await podman.pids(id);
    expect(parentOf(init)).toBe(conmon);
    expect(commandOf(init)).toBe("sleep 100");
    expect(descendantsOf(conmon)).toEqual([init]);
    expect(podman.monitors()).toEqual([conmon]);
    expect(cgroupMembers(init)).toEqual([init]);
    expect(cgroupMembers(init, "memory")).toEqual([init]);
    await podman.remove(id);
    await podman.expectNothingLeft(id);
  });

  test("a detached exec is conmon's child too, in the container's cgroup and namespaces", async () => {
    const id = await podman.background([], "sleep", "100");
    const { init, conmon } = await podman.pids(id);
    await podman.ok("exec", "--detach", id, "sleep", "50");
    const exec = await eventually("the exec runs", () => cgroupMembers(init).find((pid) => commandOf(pid) === "sleep 50"));
    const monitor = parentOf(exec);
    expect(commandOf(monitor)).toContain("conmon");
    expect(monitor).not.toBe(conmon);
    expect(descendantsOf(monitor)).toEqual([exec]);
    expect(podman.monitors().toSorted((a, b) => a - b)).toEqual([conmon, monitor].toSorted((a, b) => a - b));
    for (const type of ["mnt", "pid", "net", "ipc", "uts"]) expect(namespaceOf(exec, type)).toBe(namespaceOf(init, type));
    await podman.remove(id);
    await podman.expectNothingLeft(id);
    expect(isAlive(exec)).toBe(false);
  });

  test("the workload inherits no descriptor, and stands in a session of its own", async () => {
    const id = await podman.background([], "sh", "-c", "ls /proc/self/fd | wc -l; cut -d' ' -f1,6 /proc/1/stat; echo started; sleep 100");
    await started(id);
    // 0, 1, 2 and the directory that ls reads
    expect(await podman.ok("logs", id)).toBe("4\n1 1\nstarted");
    expect(await podman.ok("exec", id, "sh", "-c", "ls /proc/self/fd | wc -l")).toBe("4");
  });

  test("--preserve-fds hands on just those", async () => {
    const argv = podman.argv("run", "--rm", "--preserve-fds", "2", BUSYBOX.name, "sh", "-c", "cat <&4; ls /proc/self/fd | tr '\\n' ' '");
    const file = podman.workspace.path("preserved");
    writeFileSync(file, "handed over\n");
    const done = await podman.call(["sh", "-c", 'exec 3</dev/null 4<"$0" "$@"', file, ...argv]);
    expect(done).toMatchObject({ code: 0, stdout: "handed over\n0 1 2 3 4 5 " });
  });

  test("the exit status of a killed init arrives", async () => {
    const id = await podman.background([], "sleep", "100");
    process.kill((await podman.pids(id)).init, "SIGKILL");
    expect(await podman.ok("wait", id)).toBe("137");
    expect(await state(id)).toBe("exited 137");
  });
});

describe("exec", () => {
  let id: string;
  beforeAll(async () => {
    id = await podman.background(["--memory", "64m", "--cap-drop", "SETUID"], "sleep", "1000");
  });
  afterAll(async () => podman.podman("rm", "--force", "--time", "0", id));

  test.each([0, 3, 255])("the command's own exit code: %i", async (code) => {
    expect((await podman.podman("exec", id, "sh", "-c", `exit ${code}`)).code).toBe(code);
  });

  test("signals, missing and forbidden commands", async () => {
    expect((await podman.podman("exec", id, "sh", "-c", "kill -KILL $$")).code).toBe(137);
    expect((await podman.podman("exec", id, "sh", "-c", "kill -TERM $$")).code).toBe(143);
    expect((await podman.podman("exec", id, "no-such-command")).code).toBe(127);
    expect((await podman.podman("exec", id, "/etc/passwd")).code).toBe(126);
    expect(await state(id)).toBe("running 0");
  });

  test("streams", async () => {
    const argv = podman.argv("exec", "--interactive", id, "sh", "-c", "cat; echo err >&2");
    expect(await podman.call(argv, { input: "line\n" })).toEqual({ code: 0, stdout: "line\n", stderr: "err\n" });
  });

  test("--user, --workdir, --env", async () => {
    const options = ["--user", "guest", "--workdir", "/tmp", "--env", "ONE=1"];
    expect(await podman.ok("exec", ...options, id, "sh", "-c", "id -u; id -G; pwd; echo $ONE")).toBe("1234\n1234 4321\n/tmp\n1");
    expect((await podman.podman("exec", "--workdir", "/no/where", id, "true")).code).not.toBe(0);
  });

  test("keeps the container's limits and privileges", async () => {
    const exec = (...command: string[]) => podman.ok("exec", id, ...command);
    expect(await exec("cat", "/sys/fs/cgroup/memory/memory.limit_in_bytes")).toBe("67108864");
    const status = ["grep", "-E", "^(CapBnd|Seccomp|NoNewPrivs):", "/proc/self/status"];
    expect(await exec(...status)).toBe(await exec(...status.slice(0, 3), "/proc/1/status"));
    expect((await podman.podman("exec", id, "unshare", "-m", "true")).code).not.toBe(0);
  });

  test("--privileged adds capabilities to this process only", async () => {
    const script = "sed -n 's/^CapEff:\\s*/0x/p' /proc/self/status";
    const exec = async (...options: string[]) => Number(await podman.ok("exec", ...options, id, "sh", "-c", script));
    const [before, privileged, after] = [await exec(), await exec("--privileged"), await exec()];
    expect(privileged).toBeGreaterThan(before);
    expect(after).toBe(before);
  });

  test("in a terminal", async () => {
    const dialogue = [[/ready\r\n/, "typed\n"]] as const;
    const script = "tty; until stty size 2>/dev/null | grep .; do sleep 0.1; done; echo ready; read x; echo got $x; exit 6";
    const done = await podman.inTerminal(["exec", "-it", id, "sh", "-c", script], { rows: 29, columns: 83, dialogue });
    expect(done.stdout.split("\r\n")).toEqual(["/dev/pts/0", "29 83", "ready", "typed", "got typed", ""]);
    expect(done.code).toBe(6);
  });

  test("many at once", async () => {
    const done = await Promise.all([1, 2, 3, 4].map((n) => podman.podman("exec", id, "sh", "-c", `echo ${n}; exit ${n}`)));
    expect(done.map(({ code, stdout }) => `${code} ${stdout}`)).toEqual(["1 1\n", "2 2\n", "3 3\n", "4 4\n"]);
  });

  test("nothing of an exec is left", async () => {
    const { init, conmon } = await podman.pids(id);
    await eventually("the exec monitors end", () => podman.monitors().length === 1);
    expect(podman.monitors()).toEqual([conmon]);
    expect(cgroupMembers(init)).toEqual([init]);
  });
});

describe("ends and beginnings", () => {
  test("stop: TERM, and the command's own exit code", async () => {
    const id = await podman.background([], ...COUNTER);
    await started(id);
    await podman.ok("stop", id);
    expect(await state(id)).toBe("exited 5");
    expect(await podman.ok("logs", id)).toBe("started\nstopped");
    await podman.remove(id);
  });

  test("stop: KILL after the time", async () => {
    const id = await podman.background([], "sleep", "100"); // pid 1 without a handler ignores TERM
    await podman.ok("stop", "--time", "1", id);
    expect(await state(id)).toBe("exited 137");
    await podman.remove(id);
  });

  test("kill: signals by name and number; not once it has ended", async () => {
    const id = await podman.background([], "sh", "-c", "trap 'echo one' USR1; trap 'echo two' USR2; echo started; while :; do sleep 0.05; done");
    await started(id);
    await podman.ok("kill", "--signal", "USR1", id);
    await podman.ok("kill", "--signal", "12", id);
    await eventually("both handlers", async () => /one\ntwo/.test(await podman.ok("logs", id)));
    await podman.ok("kill", id);
    expect(await podman.ok("wait", id)).toBe("137");
    expect((await podman.podman("kill", id)).code).not.toBe(0);
    await podman.remove(id);
  });

  test("restart: a new init with the same id", async () => {
    const id = await podman.background([], "sleep", "100");
    const before = await podman.pids(id);
    await podman.ok("restart", "--time", "0", id);
    const after = await podman.pids(id);
    expect(after.init).not.toBe(before.init);
    expect([before.init, before.conmon].filter(isAlive)).toEqual([]);
    expect(await state(id)).toBe("running 0");
    await podman.remove(id);
  });

  test("create, then start; inspect shows each state", async () => {
    const id = await podman.ok("create", BUSYBOX.name, ...COUNTER);
    expect(await state(id)).toBe("created 0");
    await podman.ok("init", id); // the runtime's create without its start
    expect(await state(id)).toBe("initialized 0");
    await podman.ok("start", id);
    await started(id);
    expect(await state(id)).toBe("running 0");
    await podman.remove(id);
    await podman.expectNothingLeft(id);
  });

  test("wait returns the code; exited containers can be started again", async () => {
    const id = await podman.background([], "sh", "-c", "test -e /second && exit 2; touch /second; exit 1");
    expect(await podman.ok("wait", id)).toBe("1");
    await podman.ok("start", id);
    expect(await podman.ok("wait", id)).toBe("2");
    await podman.remove(id);
  });

  test("--rm leaves nothing", async () => {
    const id = await podman.background(["--rm"], "sh", "-c", "sleep 0.2");
    await eventually("podman forgets it", async () => (await podman.ok("ps", "--all", "--quiet", "--no-trunc")) === "");
    await podman.expectNothingLeft(id);
  });

  test("rm --force ends all of a container's processes, also without a pid namespace", async () => {
    const id = await podman.background(["--pid", "host"], "sh", "-c", "setsid sleep 100 & sleep 100 & echo started; wait");
    await started(id);
    const members = await eventually("three members", async () => {
      const found = cgroupMembers((await podman.pids(id)).init);
      return found.length === 3 && found;
    });
    await podman.remove(id);
    await eventually("all of them end", () => members.every((pid) => !isAlive(pid)));
    await podman.expectNothingLeft(id);
  });

  test("--init: catatonit is pid 1, reaps and passes signals on", async () => {
    const id = await podman.background(["--init"], ...COUNTER);
    await started(id);
    expect(await podman.ok("exec", id, "cat", "/proc/1/cmdline")).toMatch(/^\/dev\/init\0|^\/run\/podman-init\0/);
    await podman.ok("stop", id);
    expect(await state(id)).toBe("exited 5");
    await podman.remove(id);
  });

  test("a health check is an exec", async () => {
    const id = await podman.background(["--health-cmd", "test -e /healthy", "--health-interval", "disable"], "sleep", "100");
    expect((await podman.podman("healthcheck", "run", id)).code).toBe(1);
    await podman.ok("exec", id, "touch", "/healthy");
    expect((await podman.podman("healthcheck", "run", id)).code).toBe(0);
    await podman.remove(id);
  });
});

describe("a running container", () => {
  let id: string;
  beforeAll(async () => {
    id = await podman.background(["--memory", "64m", "--cpus", "0.7"], "sh", "-c", "echo started; while :; do :; done");
    await started(id);
  });
  afterAll(async () => podman.podman("rm", "--force", "--time", "0", id));

  test("pause freezes it, unpause goes on", async () => {
    const { init } = await podman.pids(id);
    const ticks = () => Number(statusField(init, "voluntary_ctxt_switches")) + Number(statusField(init, "nonvoluntary_ctxt_switches"));
    await podman.ok("pause", id);
    expect(await state(id)).toBe("paused 0");
    const frozen = ticks();
    expect((await podman.podman("exec", id, "true")).code).not.toBe(0);
    expect(ticks()).toBe(frozen);
    await podman.ok("unpause", id);
    expect(await state(id)).toBe("running 0");
    await eventually("it runs again", () => ticks() > frozen);
  });

  test("stats counts cpu, memory and processes", async () => {
    const [stats] = JSON.parse(await podman.ok("stats", "--no-stream", "--format", "json", id)) as Record<string, string>[];
    expect(stats).toMatchObject({ pids: "1", mem_usage: expect.stringMatching(/^[\d.]+[kM]B \/ 67.11MB$/) as string });
    for (const field of ["cpu_time", "cpu_percent", "mem_percent"]) expect(Number.parseFloat(stats?.[field] ?? "")).toBeGreaterThan(0);
  });

  test("top lists its processes", async () => {
    expect((await podman.ok("top", id, "pid", "comm")).split("\n").map((line) => line.split(/\s+/).join(" "))).toEqual(["PID COMMAND", "1 sh"]);
    expect(await podman.ok("top", id, "-eo", "pid,comm")).toMatch(/\d+ sh$/m);
  });

  test("update changes its limits", async () => {
    const { init } = await podman.pids(id);
    await podman.ok("update", "--memory", "96m", "--cpus", "0.8", "--cpu-shares", "256", "--cpuset-cpus", "1", id);
    expect(cgroupFile(init, "memory", "memory.limit_in_bytes")).toBe(String(96 * 2 ** 20));
    expect(cgroupFile(init, "cpu", "cpu.cfs_quota_us")).toBe("80000");
    expect(cgroupFile(init, "cpu", "cpu.shares")).toBe("256");
    expect(cgroupFile(init, "cpuset", "cpuset.cpus")).toBe("1");
  });

  test("cp in both directions", async () => {
    const { workspace } = podman;
    writeFileSync(workspace.path("in"), "copied\n");
    await podman.ok("cp", workspace.path("in"), `${id}:/tmp/in`);
    expect(await podman.ok("exec", id, "cat", "/tmp/in")).toBe("copied");
    await podman.ok("cp", `${id}:/tmp/in`, workspace.path("out"));
    expect(await podman.call(["cat", workspace.path("out")])).toMatchObject({ stdout: "copied\n" });
  });

  test("a terminal's new size reaches it", async () => {
    const script = "while ! stty size | grep '4[45] 111'; do sleep 0.1; done";
    let terminal = 0;
    let done = false;
    const running = podman.inTerminal(["exec", "-it", id, "sh", "-c", script], { rows: 20, columns: 60, onStart: (pid) => (terminal = pid) });
    void running.finally(() => (done = true)).catch(() => {});
    const client = await eventually("podman runs", () => descendantsOf(terminal).find((pid) => commandOf(pid).startsWith("podman")));
    // The client misses a change that comes before it watches for SIGWINCH, so there are several.
    await eventually("the size arrives", async () => {
      for (const rows of ["44", "45"]) {
        await execute(["stty", "-F", `/proc/${client}/fd/0`, "rows", rows, "cols", "111"]);
        await sleep(200);
      }
      return done;
    });
    expect((await running).stdout).toMatch(/4[45] 111\r\n$/);
  });
});
