/** The default mode under real engines: what they do with a container works with a sandbox. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Containerd } from "./containerd.ts";
import { BUSYBOX, DEBIAN } from "./images.ts";
import { Podman } from "./podman.ts";
import { cgroupMembers, commandOf, eventually, execute, isAlive, parentOf } from "./support.ts";

const RELEASE = "6.12.0-tssandbox";

/** A package with one program, tss-hello. */
async function buildPackage(directory: string): Promise<void> {
  mkdirSync(`${directory}/root/DEBIAN`, { recursive: true });
  mkdirSync(`${directory}/root/usr/bin`, { recursive: true });
  writeFileSync(`${directory}/root/DEBIAN/control`, "Package: tss-hello\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: a test\n");
  writeFileSync(`${directory}/root/DEBIAN/postinst`, "#!/bin/sh\nset -e\nuseradd --system tss-hello || test $? = 9\n", { mode: 0o755 });
  writeFileSync(`${directory}/root/usr/bin/tss-hello`, "#!/bin/sh\necho hello from a package\n", { mode: 0o755 });
  const built = await execute(["dpkg-deb", "--root-owner-group", "--build", `${directory}/root`, `${directory}/tss-hello.deb`]);
  expect(built, built.stderr).toMatchObject({ code: 0 });
}

interface Descriptor {
  readonly digest: string;
}

/** Gives an image layout's one manifest annotations, as whoever builds an image can. Source: image-spec, image-layout.md, manifest.md. */
function annotateImage(layout: string, annotations: Readonly<Record<string, string>>): void {
  const blob = ({ digest }: Descriptor) => `${layout}/blobs/${digest.replace(":", "/")}`;
  const index = JSON.parse(readFileSync(`${layout}/index.json`, "utf8")) as { readonly manifests: readonly Descriptor[] };
  const [first] = index.manifests;
  if (first === undefined) throw new Error("the image has no manifest");
  const manifest = JSON.stringify({ ...(JSON.parse(readFileSync(blob(first), "utf8")) as object), annotations });
  const described = { ...first, digest: `sha256:${createHash("sha256").update(manifest).digest("hex")}`, size: Buffer.byteLength(manifest) };
  writeFileSync(blob(described), manifest);
  writeFileSync(`${layout}/index.json`, JSON.stringify({ ...index, manifests: [described] }));
}

describe("podman", () => {
  let podman: Podman;
  beforeAll(async () => {
    podman = await Podman.start("sandbox", [BUSYBOX, DEBIAN]);
  });
  afterAll(async () => podman?.[Symbol.asyncDispose]());

  const run = (...args: string[]) => podman.podman("run", "--rm", ...args);

  test("a Debian image: its programs, dpkg, a user of its own", async () => {
    const script = "uname -r; bash -c 'echo $BASH_VERSION' | cut -c1; dpkg -l bash | tail -1 | cut -c1-2; useradd -m guest && su guest -c 'id -un; touch ~/x && stat -c %U ~/x'";
    expect(await run(DEBIAN.name, "sh", "-c", script)).toMatchObject({ code: 0, stdout: `${RELEASE}\n5\nii\nguest\nguest\n` });
  });

  test("a Debian image: dpkg and apt install a package, whose program is there for exec", async () => {
    const packages = podman.workspace.path("packages");
    await buildPackage(packages);
    const id = await podman.ok("run", "--detach", "--volume", `${packages}:/packages:ro`, DEBIAN.name, "sleep", "100");
    const installed = await podman.podman("exec", id, "sh", "-c", "dpkg -i /packages/tss-hello.deb && tss-hello && dpkg -r tss-hello && apt-get install -y /packages/tss-hello.deb");
    expect(installed, installed.stderr).toMatchObject({ code: 0, stdout: expect.stringContaining("hello from a package\n") });
    expect(await podman.ok("exec", id, "tss-hello")).toBe("hello from a package");
    await podman.remove(id);
  });

  test("a Debian image: bash in a terminal, with job control", async () => {
    const dialogue = [[/# $/, "sleep 60 & jobs; kill %1; wait; echo ended $?\n"], [/ended \d+\r\n.*# $/, "exit 5\n"]] as const;
    const done = await podman.inTerminal(["run", "--rm", "-it", DEBIAN.name, "bash", "--norc"], { dialogue });
    expect(done.stdout).toMatch(/Running\s+sleep 60 &/);
    expect(done.code).toBe(5);
  });

  test("restart: the program runs again, in a sandbox of its own; volumes stay, the rest is as in the image", async () => {
    const volume = podman.workspace.path("kept");
    mkdirSync(volume);
    const id = await podman.ok("run", "--detach", "--volume", `${volume}:/kept`, DEBIAN.name, "sh", "-c", "ls /lost 2>/dev/null; touch /lost; echo start >> /kept/starts; uname -r; exec sleep 100");
    await eventually("the first start", async () => (await podman.ok("logs", id)) === RELEASE);
    await podman.ok("restart", "--time", "0", id);
    await eventually("the second start", async () => (await podman.ok("logs", id)) === `${RELEASE}\n${RELEASE}`);
    expect(readFileSync(`${volume}/starts`, "utf8")).toBe("start\nstart\n");
    await podman.remove(id);
  });

  test("root-writes=host: what the container writes is there after a restart, and for commit", async () => {
    const id = await podman.ok("run", "--detach", "--annotation", "dev.tssandbox.root-writes=host", BUSYBOX.name, "sh", "-c", "cat /kept; echo yes > /kept; sleep 100");
    await eventually("it is written", async () => (await podman.podman("exec", id, "grep", "-q", "yes", "/kept")).code === 0);
    await podman.ok("restart", "--time", "0", id);
    await eventually("it is read again", async () => (await podman.ok("logs", id)).endsWith("yes"));
    await podman.ok("commit", "--quiet", id, "localhost/tss-committed:latest");
    expect(await run("localhost/tss-committed:latest", "cat", "/kept")).toMatchObject({ code: 0, stdout: "yes\n" });
    await podman.remove(id);
  });

  test("a memory limit: too much is the guest's end, and the container's, as podman tells", async () => {
    const id = await podman.ok("create", "--memory", "48m", DEBIAN.name, "perl", "-e", "$x = 'x' x (200 << 20)");
    // As in podman-options.test.ts: conmon leaves its mark where it was called.
    const cwd = podman.workspace.path("root/overlay-containers", id, "userdata");
    expect((await podman.call(podman.argv("start", "--attach", id), { cwd })).code).toBe(137);
    expect(await podman.inspect(id, "{{.State.OOMKilled}} {{.State.ExitCode}} {{.State.Status}}")).toBe("true 137 exited");
    await podman.remove(id);
  });

  test("--runtime-flag mode=namespace is the way out; an image's annotation, which podman passes on, is none", async () => {
    const other = podman.argv("run", "--rm", BUSYBOX.name, "uname", "-r");
    expect((await podman.call([other[0] ?? "", "--runtime-flag", "mode=namespace", ...other.slice(1)])).stdout.trim()).toBe(release());
    const name = "localhost/tss-annotated:latest";
    const container = await podman.ok("create", BUSYBOX.name, "true");
    await podman.ok("commit", "--quiet", "--format", "oci", container, name);
    const layout = podman.workspace.path("annotated");
    await podman.ok("save", "--quiet", "--format", "oci-dir", "--output", layout, name);
    annotateImage(layout, { "dev.tssandbox.mode": "namespace" });
    await execute(["tar", "-C", layout, "-cf", `${layout}.tar`, "."]);
    await podman.ok("load", "--quiet", "--input", `${layout}.tar`);
    const made = await podman.ok("create", name, "uname", "-r");
    expect(await podman.inspect(made, "{{json .Config.Annotations}}")).toContain("dev.tssandbox.mode");
    expect(await podman.ok("start", "--attach", made)).toBe(RELEASE);
    await podman.remove(container, made);
  });

  test("what it cannot do is refused, naming the field and the mode that can", async () => {
    const refused = await run("--pid", "host", BUSYBOX.name, "true");
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toMatch(/linux\.namespaces: .*--mode namespace/);
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
    const argv = podman.argv("run", "--rm", "--interactive", BUSYBOX.name, "sh", "-c", "wc -c; echo err >&2");
    expect(await podman.call(argv, { input })).toMatchObject({ code: 0, stdout: "220000\n", stderr: "err\n" });
  });

  test("a terminal with the caller's size", async () => {
    const args = ["run", "--rm", "--tty", "--interactive", BUSYBOX.name, "sh", "-c", "tty; stty size; exit 4"];
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
    const id = await podman.background([], "sleep", "100");
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
      const done = await containerd.run(id, image, [], ["sh", "-c", "uname -r; exit 5"]);
      expect(done).toMatchObject({ code: 5, stdout: `${RELEASE}\n` });
    }
    await containerd.expectNothingLeft("small");
  });

  test("a task: exec, kill, delete", async () => {
    await containerd.background("task", BUSYBOX, [], "sleep", "100");
    await eventually("the program runs", async () => commandOf(await containerd.pid("task")) === "sleep 100");
    expect(await containerd.ok("task", "exec", "--exec-id", "one", "task", "uname", "-r")).toBe(RELEASE);
    await containerd.remove("task");
    await containerd.expectNothingLeft("task");
  });
});
