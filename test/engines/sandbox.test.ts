/** Sentry mode under real engines, asked for by an annotation: what they do with a container works with a sandbox. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Containerd } from "./containerd.ts";
import { BUSYBOX, DEBIAN } from "./images.ts";
import { Podman } from "./podman.ts";
import { cgroupMembers, commandOf, eventually, isAlive, parentOf } from "./support.ts";

const MODE = "dev.tssandbox.mode=sentry";
const RELEASE = "6.12.0-tssandbox";

const sandboxed = (...options: string[]) => ["--annotation", MODE, ...options];

describe("podman", () => {
  let podman: Podman;
  beforeAll(async () => {
    podman = await Podman.start("sandbox", [BUSYBOX, DEBIAN]);
  });
  afterAll(async () => podman?.[Symbol.asyncDispose]());

  const run = (...args: string[]) => podman.podman("run", "--rm", ...sandboxed(...args));

  test("a Debian image: its programs, dpkg, a user of its own", async () => {
    const script = "uname -r; bash -c 'echo $BASH_VERSION' | cut -c1; dpkg -l bash | tail -1 | cut -c1-2; useradd -m guest && su guest -c 'id -un; touch ~/x && stat -c %U ~/x'";
    expect(await run(DEBIAN.name, "sh", "-c", script)).toMatchObject({ code: 0, stdout: `${RELEASE}\n5\nii\nguest\nguest\n` });
  });

  test.each([0, 3, 255])("the exit code: %i", async (code) => {
    expect((await run(BUSYBOX.name, "sh", "-c", `exit ${code}`)).code).toBe(code);
  });

  test("127 and 126, in one line of the runtime's", async () => {
    const missing = await run(BUSYBOX.name, "no-such-command");
    expect(missing).toMatchObject({ code: 127, stdout: "" });
    expect(missing.stderr).toContain("no-such-command");
    expect((await run(BUSYBOX.name, "/etc")).code).toBe(126);
  });

  test("streams, stdin included", async () => {
    const input = "0123456789\n".repeat(20_000);
    const argv = podman.argv("run", "--rm", "--interactive", ...sandboxed(BUSYBOX.name, "sh", "-c", "wc -c; echo err >&2"));
    expect(await podman.call(argv, { input })).toMatchObject({ code: 0, stdout: "220000\n", stderr: "err\n" });
  });

  test("a terminal with the caller's size", async () => {
    const args = ["run", "--rm", "--tty", "--interactive", ...sandboxed(BUSYBOX.name, "sh", "-c", "tty; stty size; exit 4")];
    const done = await podman.inTerminal(args, { rows: 33, columns: 101 });
    expect(done.code).toBe(4);
    expect(done.stdout).toMatch(/\/dev\/pts\/0\r+\n33 101/);
  });

  test("the network that podman makes, and its files for names", async () => {
    const script = "ip -4 -o addr show eth0 | wc -l; for f in resolv.conf hostname; do test -s /etc/$f && echo $f; done";
    expect(await run("--network", "podman", BUSYBOX.name, "sh", "-c", script)).toMatchObject({ code: 0, stdout: "1\nresolv.conf\nhostname\n" });
  });

  test("volumes: written on both sides, read-only ones not", async () => {
    const directory = podman.workspace.path("lent");
    mkdirSync(directory);
    writeFileSync(`${directory}/in`, "from outside\n");
    const script = "cat /v/in; echo from inside > /v/out; touch /r/x 2>&1 | sed 's/.*: //'";
    const done = await run("--volume", `${directory}:/v`, "--volume", `${directory}:/r:ro`, BUSYBOX.name, "sh", "-c", script);
    expect(done).toMatchObject({ code: 0, stdout: "from outside\nRead-only file system\n" });
    expect(readFileSync(`${directory}/out`, "utf8")).toBe("from inside\n");
  });

  test("limits: memory and processors are what the sandbox believes to have", async () => {
    const done = await run("--memory", "64m", "--cpus", "1", BUSYBOX.name, "sh", "-c", "sed -n 's/MemTotal: *//p' /proc/meminfo; grep -c processor /proc/cpuinfo; cat /sys/fs/cgroup/memory.max");
    expect(done).toMatchObject({ code: 0, stdout: `65536 kB\n1\n${64 << 20}\n` });
  });

  test("exec, pause, unpause, kill, rm: nothing of the sandbox is left", async () => {
    const id = await podman.background(sandboxed(), "sleep", "100");
    const { init, conmon } = await podman.pids(id);
    expect(parentOf(init)).toBe(conmon);
    expect(cgroupMembers(init)).toEqual([init]);
    expect(await podman.ok("exec", id, "sh", "-c", "uname -r; pidof sleep")).toBe(`${RELEASE}\n1`);
    expect((await podman.podman("exec", id, "sh", "-c", "exit 7")).code).toBe(7);
    await podman.ok("pause", id);
    expect(await podman.inspect(id, "{{.State.Status}}")).toBe("paused");
    await podman.ok("unpause", id);
    expect(await podman.ok("exec", id, "echo", "again")).toBe("again");
    await podman.ok("kill", id);
    await eventually("init ends", () => !isAlive(init));
    await podman.remove(id);
    await eventually("sentry and gofer end", () => podman.monitors().length === 0);
    await podman.expectNothingLeft();
  });
});

describe("containerd", () => {
  let containerd: Containerd;
  beforeAll(async () => {
    containerd = await Containerd.start(BUSYBOX, DEBIAN);
  });
  afterAll(async () => containerd?.[Symbol.asyncDispose]());

  test("ctr run of busybox and Debian", async () => {
    for (const [id, image] of [["small", BUSYBOX], ["large", DEBIAN]] as const) {
      const done = await containerd.run(id, image, ["--annotation", MODE], ["sh", "-c", "uname -r; exit 5"]);
      expect(done).toMatchObject({ code: 5, stdout: `${RELEASE}\n` });
    }
    await containerd.expectNothingLeft("small");
  });

  test("a task: exec, kill, delete", async () => {
    await containerd.background("task", BUSYBOX, ["--annotation", MODE], "sleep", "100");
    expect(commandOf(await containerd.pid("task"))).toBe("sleep 100");
    expect(await containerd.ok("task", "exec", "--exec-id", "one", "task", "uname", "-r")).toBe(RELEASE);
    await containerd.remove("task");
    await containerd.expectNothingLeft("task");
  });
});
