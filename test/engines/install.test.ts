// tssandbox install and uninstall, with the real engines of Debian, on a machine whose files may be changed (machine.ts).
import { mkdirSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ensurePackages } from "../packages.ts";
import { Machine } from "./machine.ts";
import { eventually, RUNTIME } from "./support.ts";

let machine: Machine;
beforeAll(async () => {
  await ensurePackages(["containerd", "podman", "docker.io", "catatonit", "iptables", "containernetworking-plugins"]);
  machine = await Machine.start("install");
});
afterAll(async () => machine?.[Symbol.asyncDispose]());

const tssandbox = (...args: readonly string[]) => machine.run([RUNTIME, ...args], { timeout: 120 });

/** Every file of /etc and /usr/local that differs from the host's, with its content. */
const changed = () => machine.ok("sh", "-c", `cd ${machine.workspace.path("machine/upper")} && find . -type f ! -name cni.lock -exec sha256sum {} + ; find . -type l -printf '%p %l\\n'`);

describe("without an engine", () => {
  test("it says which there are", async () => {
    expect(await tssandbox("install")).toMatchObject({ code: 1, stderr: "tssandbox: say which engine: --containerd, --crio, --docker, --podman\n" });
  });
});

describe("podman", () => {
  const DROP_IN = "/etc/containers/containers.conf.d/50-tssandbox.conf";
  // What this host's root may not do otherwise (support.ts).
  beforeAll(() => {
    machine.write("/etc/containers/containers.conf", `[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]\n[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nlock_type = "file"\n`);
  });

  test("a dry run tells everything and changes nothing", async () => {
    const before = await changed();
    const { code, stdout } = await tssandbox("install", "--podman", "--dry-run");
    expect([code, stdout]).toEqual([0, expect.stringContaining(`would write ${DROP_IN}`)]);
    expect(stdout).toContain("would link /usr/local/bin/tssandbox-vm to ");
    expect(await changed()).toBe(before);
  });

  test("installed, it runs containers; a second time there is nothing to do; uninstalled, nothing is left", async () => {
    const before = await changed();
    expect(await tssandbox("install", "--podman")).toMatchObject({ code: 0, stdout: expect.stringMatching(/podman: a container has run\n$/) as string });
    expect(await machine.read(DROP_IN)).toContain(`tssandbox-namespace = ["/usr/local/bin/tssandbox-namespace"]`);
    const missing = await machine.sh("mkdir -p /opt/empty/bin && podman --runtime tssandbox-namespace run --rm --network none --rootfs /opt/empty /none");
    expect([missing.code, missing.stderr]).toEqual([127, expect.stringContaining('"/none": no such file or directory')]);
    expect(await tssandbox("install", "--podman", "--no-verify")).toMatchObject({ code: 0, stdout: "podman: nothing to change\n" });
    expect((await tssandbox("uninstall", "--podman")).stdout).toContain("remove /usr/local/bin/containerd-shim-tssandbox-v1");
    expect(await changed()).toBe(before);
  });

  test("what somebody else has put in our place stays", async () => {
    machine.write("/usr/local/bin/tssandbox-vm", "mine");
    expect(await tssandbox("install", "--podman")).toMatchObject({ code: 1, stderr: "tssandbox: /usr/local/bin/tssandbox-vm is not of our making: remove it first\n" });
    await machine.ok("rm", "/usr/local/bin/tssandbox-vm");
    expect(await machine.read(DROP_IN)).toBeUndefined();
  });
});

describe("containerd", () => {
  const FILE = "/etc/containerd/config.toml";
  const OWN = `# mine\nversion = 2 # as always\n\n[plugins]\n  [plugins."io.containerd.grpc.v1.cri"]\n    [plugins."io.containerd.grpc.v1.cri".cni]\n      bin_dir = "/usr/lib/cni" # here\n`;
  beforeAll(async () => {
    machine.write(FILE, OWN);
    machine.daemon("containerd.log", "containerd");
    await eventually("containerd answers", async () => (await machine.run(["ctr", "version"])).code === 0);
  });

  test("its file keeps every line, and the handlers that it had", async () => {
    expect(await tssandbox("install", "--containerd")).toMatchObject({ code: 0, stdout: expect.stringMatching(/containerd takes notice after: systemctl restart containerd\ncontainerd: a container has run\n$/) as string });
    expect(await machine.ok("ctr", "namespaces", "list", "--quiet")).not.toContain("install");
    const text = (await machine.read(FILE)) ?? "";
    expect(text.startsWith(OWN)).toBe(true);
    const dump = await machine.ok("containerd", "config", "dump");
    for (const name of ["runc", "tssandbox", "tssandbox-namespace", "tssandbox-vm"]) expect(dump).toContain(`.containerd.runtimes.${name}]`);
    expect(await machine.read("/etc/tssandbox/handlers/tssandbox-namespace.json")).toBe(`{"mode":"namespace"}\n`);
    expect(await machine.read(`${FILE}.before-tssandbox`)).toBe(OWN);
  });

  test("a second time there is nothing to change; what is added meanwhile stays", async () => {
    expect(await tssandbox("install", "--containerd", "--no-verify")).toMatchObject({ code: 0, stdout: "containerd: nothing to change\n" });
    await machine.ok("sh", "-c", `echo '[debug]\n  level = "warn" # later' >>${FILE}`);
    expect(await tssandbox("uninstall", "--containerd")).toMatchObject({ code: 0 });
    expect(await machine.read(FILE)).toBe(`${OWN}[debug]\n  level = "warn" # later\n`);
    machine.write(FILE, OWN);
  });

  test("a handler of the administrator's with one of our names is not touched", async () => {
    const theirs = `${OWN}[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.tssandbox]\n  runtime_type = "x.y.v1"\n`;
    machine.write(FILE, theirs);
    expect(await tssandbox("install", "--containerd")).toMatchObject({ code: 1, stderr: expect.stringContaining("has a runtime tssandbox already") as string });
    expect(await machine.read(FILE)).toBe(theirs);
  });

  test("without a file, one is made, and goes", async () => {
    await machine.ok("rm", "-f", FILE, `${FILE}.before-tssandbox`);
    expect(await tssandbox("install", "--containerd", "--no-verify")).toMatchObject({ code: 0 });
    expect(await machine.ok("containerd", "config", "dump")).toContain(".containerd.runtimes.runc]");
    await tssandbox("uninstall", "--containerd");
    expect(await machine.read(FILE)).toBeUndefined();
    expect(await machine.read(`${FILE}.before-tssandbox`)).toBeUndefined();
  });
});

describe("docker", () => {
  const FILE = "/etc/docker/daemon.json";
  const OWN = `{\n    "bridge": "none",\n    "iptables": false,\n    "ip6tables": false\n}\n`;
  let daemon: number;
  beforeAll(async () => {
    machine.write(FILE, OWN);
    await machine.ok("rm", "-f", "/usr/local/bin/docker");
    mkdirSync(machine.workspace.path("docker"));
    daemon = machine.daemon("dockerd.log", "dockerd", "--pidfile", "/run/docker.pid");
    await eventually("dockerd answers", async () => (await machine.run(["/usr/bin/docker", "version"])).code === 0, 30);
  });

  test("its file gets the runtimes, in its own form; after a reload a container runs", async () => {
    expect(await tssandbox("install", "--docker", "--no-verify")).toMatchObject({ code: 0, stdout: expect.stringContaining("docker takes notice after: systemctl reload docker") as string });
    const text = (await machine.read(FILE)) ?? "";
    expect(JSON.parse(text)).toMatchObject({ bridge: "none", runtimes: { "tssandbox-vm": { path: "/usr/local/bin/tssandbox-vm" } } });
    expect(text).toContain(`\n    "bridge"`);
    process.kill(daemon, "SIGHUP");
    await eventually("dockerd knows", async () => (await machine.run(["/usr/bin/docker", "info", "--format", "{{json .Runtimes}}"])).stdout.includes("tssandbox-vm"));
    expect(await tssandbox("install", "--docker")).toMatchObject({ code: 0, stdout: "docker: nothing to change\ndocker: a container has run\n" });
  });

  test("uninstalled, it is as it was", async () => {
    expect(await tssandbox("uninstall", "--docker")).toMatchObject({ code: 0 });
    expect(await machine.read(FILE)).toBe(OWN);
    expect(await machine.read(`${FILE}.before-tssandbox`)).toBeUndefined();
  });
});

describe("CRI-O", () => {
  const DROP_IN = "/etc/crio/crio.conf.d/50-tssandbox.conf";
  // There is no package of it in Debian: what it would read.
  test("gets a drop-in, which goes again", async () => {
    expect(await tssandbox("install", "--crio")).toMatchObject({ code: 0, stdout: expect.stringContaining("crio: not verified") as string });
    expect(await machine.read(DROP_IN)).toContain(`[crio.runtime.runtimes.tssandbox-vm]\nruntime_path = "/usr/local/bin/tssandbox-vm"\n`);
    const { stdout } = await machine.run(["python3", "-c", "import json, tomllib; print(json.dumps(tomllib.load(open('/etc/crio/crio.conf.d/50-tssandbox.conf', 'rb'))))"]);
    expect(JSON.parse(stdout)).toMatchObject({ crio: { runtime: { runtimes: { "tssandbox-namespace": { runtime_type: "oci", runtime_path: "/usr/local/bin/tssandbox-namespace" } } } } });
    await tssandbox("uninstall", "--crio");
    expect(await machine.read(DROP_IN)).toBeUndefined();
  });
});
