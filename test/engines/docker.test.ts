// docker, with a daemon of the test's own on a machine whose files may be changed (machine.ts), in both modes.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ensurePackages } from "../packages.ts";
import { BUSYBOX, ensureImages } from "./images.ts";
import { Machine } from "./machine.ts";
import { cgroupFile, cgroupsNamed, eventually, execute, type ExecuteOptions, inTerminal, mountsBelow, RUNTIME } from "./support.ts";

// By its path: another program of that name may come first.
const DOCKER = "/usr/bin/docker";
const IMAGE = "busybox";
const HOST_RELEASE = (await execute(["uname", "-r"])).stdout;

let machine: Machine;

const docker = (...args: readonly string[]) => machine.run([DOCKER, ...args]);
const ok = async (...args: readonly string[]) => (await machine.ok(DOCKER, ...args)).trim();

beforeAll(async () => {
  await ensurePackages(["docker.io", "iptables"]);
  await ensureImages(BUSYBOX);
  machine = await Machine.start("docker");
  const { workspace } = machine;
  machine.write("/etc/docker/daemon.json", JSON.stringify({ bridge: "none", iptables: false, ip6tables: false, "cgroup-parent": workspace.cgroup, "exec-opts": ["native.cgroupdriver=cgroupfs"] }));
  await machine.ok(RUNTIME, "install", "--docker", "--no-verify");
  machine.daemon("dockerd.log", "dockerd", "--pidfile", "/run/docker.pid");
  await eventually("dockerd answers", async () => (await docker("version")).code === 0, 30);
  const root = workspace.path("root");
  await execute(["sh", "-c", `mkdir -p $0/bin $0/etc $0/tmp && for name in $(/bin/busybox --list); do ln -sf busybox $0/bin/$name; done; rm $0/bin/busybox; cp /bin/busybox $0/bin; echo root:x:0:0:root:/root:/bin/sh >$0/etc/passwd`, root]);
  await machine.ok("sh", "-c", `tar -C ${root} -c . | ${DOCKER} import --change 'CMD ["sh"]' - ${IMAGE}`);
});
afterAll(async () => {
  if (machine === undefined) return;
  await machine.sh(`${DOCKER} rm --force $(${DOCKER} ps --all --quiet)`);
  await machine[Symbol.asyncDispose]();
});

describe.each(["tssandbox", "tssandbox-namespace"])("docker run --runtime %s", (runtime) => {
  const start = (name: string, options: readonly string[], ...command: readonly string[]) => ok("run", "--detach", "--runtime", runtime, "--network", "none", "--name", `${runtime}-${name}`, ...options, IMAGE, ...command);
  const run = (options: readonly string[], script: string, how: ExecuteOptions = {}) => machine.run([DOCKER, "run", "--rm", "--interactive", "--runtime", runtime, "--network", "none", ...options, IMAGE, "sh", "-c", script], how);

  test("output, exit code, input, environment, user and the kernel that answers", async () => {
    const { code, stdout, stderr } = await run(["--env", "WORD=there", "--user", "7:8", "--hostname", "box"], "cat; echo $WORD $(id -u):$(id -g) $(hostname); echo err >&2; exit 3", { input: "in\n" });
    expect([code, stdout, stderr]).toEqual([3, "in\nthere 7:8 box\n", "err\n"]);
    const { stdout: release } = await run([], "uname -r");
    if (runtime === "tssandbox") expect(release).toMatch(/-tssandbox\n$/);
    else expect(release).toBe(HOST_RELEASE);
  });

  test("a program that is not there", async () => {
    const { code, stderr } = await docker("run", "--rm", "--runtime", runtime, "--network", "none", IMAGE, "/none");
    expect([code, stderr]).toEqual([127, expect.stringMatching(/\/none.*no such file/i)]);
  });

  test("a terminal has docker's size", async () => {
    const argv = machine.argv(DOCKER, "run", "--rm", "--interactive", "--tty", "--runtime", runtime, "--network", "none", IMAGE, "sh", "-c", 'until [ "$(stty size)" = "31 97" ]; do sleep 0.1; done; stty size; tty');
    // docker tells it once the program runs.
    const { code, stdout } = await execute(inTerminal(argv, 31, 97), { dialogue: [], env: machine.workspace.env });
    expect([code, stdout]).toEqual([0, expect.stringMatching(/31 97\r?\n\/dev\/(pts\/0|console)/)]);
  });

  test("exec, logs, top, pause, update, stats, stop", async () => {
    const id = await start("life", ["--memory", "64m", "--pids-limit", "40"], "sh", "-c", "trap 'echo bye; exit 5' TERM; echo begun; while :; do sleep 0.1; done");
    const name = `${runtime}-life`;
    await eventually("it begins", async () => (await ok("logs", name)) === "begun");
    expect(await ok("exec", "--env", "A=b", name, "sh", "-c", "echo $A $$ >/tmp/x; cat /tmp/x")).toMatch(/^b \d+$/);
    expect((await docker("exec", name, "sh", "-c", "exit 9")).code).toBe(9);
    expect(await ok("top", name)).toContain("while :");
    await ok("pause", name);
    expect(await ok("inspect", "--format", "{{.State.Status}}", name)).toBe("paused");
    await ok("unpause", name);
    const pid = Number(await ok("inspect", "--format", "{{.State.Pid}}", name));
    await ok("update", "--memory", "96m", "--memory-swap", "96m", name);
    expect(Number(cgroupFile(pid, "memory", "memory.limit_in_bytes"))).toBe(96 << 20);
    expect(await ok("stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", name)).toMatch(/ 96MiB \d+$/);
    await ok("stop", "--time", "20", name);
    expect(await ok("inspect", "--format", "{{.State.ExitCode}}", name)).toBe("5");
    expect(await ok("logs", name)).toBe("begun\nbye");
    await ok("rm", name);
    expect(cgroupsNamed(id)).toEqual([]);
  });

  test("volumes: the host's directory, read-only, docker's own, tmpfs", async () => {
    const shared = machine.workspace.path(`shared-${runtime}`);
    await machine.ok("sh", "-c", "mkdir -m 777 $0 && echo given >$0/file", shared);
    const options = ["--volume", `${shared}:/rw`, "--volume", `${shared}:/ro:ro`, "--volume", `kept-${runtime}:/kept`, "--tmpfs", "/scratch"];
    const { code, stdout } = await run(options, "cat /ro/file; echo made >/rw/made; echo kept >/kept/file; echo x >/scratch/x && touch /ro/no 2>/dev/null || echo refused");
    expect([code, stdout]).toEqual([0, "given\nrefused\n"]);
    expect((await machine.read(`${shared}/made`))?.trim()).toBe("made");
    expect((await run([...options, "--read-only"], "cat /kept/file; touch /no 2>/dev/null || echo refused")).stdout).toBe("kept\nrefused\n");
    await ok("volume", "rm", `kept-${runtime}`);
  });

  test("a container that is killed, and one that is started again", async () => {
    await start("again", [], "sleep", "1018");
    const name = `${runtime}-again`;
    await ok("kill", name);
    expect(await ok("inspect", "--format", "{{.State.ExitCode}}", name)).toBe("137");
    await ok("start", name);
    expect(await ok("exec", name, "echo", "again")).toBe("again");
    await ok("rm", "--force", name);
  });

  test("docker's init reaps", async () => {
    const { code, stdout } = await run(["--init"], "(sleep 0.1 &); sleep 1; ps -o stat | grep -c Z; cat /proc/1/comm");
    expect([code, stdout]).toEqual([0, "0\ndocker-init\n"]);
  });

  test("nothing is left", async () => {
    expect(await ok("ps", "--all", "--quiet")).toBe("");
    expect(mountsBelow(machine.workspace.path("machine/run/docker"))).toEqual([]);
    const known = await machine.ok(RUNTIME, "--root", "/run/docker/runtime-runc/moby", "list", "--quiet");
    expect(known).toBe("");
  });
});

test("many containers at once", async () => {
  const names = Array.from({ length: 4 }, (_, i) => `many-${i}`);
  const done = await Promise.all(names.map((name) => docker("run", "--rm", "--name", name, "--runtime", "tssandbox", "--network", "none", IMAGE, "echo", name)));
  expect(done.map(({ stdout }) => stdout.trim())).toEqual(names);
});
