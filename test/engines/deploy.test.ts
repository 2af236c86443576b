// What deploy/ has: manifests that Kubernetes' types take, a node's installation and removal, examples whose commands run.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ensurePackages } from "../packages.ts";
import { Machine } from "./machine.ts";
import { deploy, parseYaml, prepareTools, render, typed } from "./manifests.ts";
import { eventually, execute, RUNTIME } from "./support.ts";

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: { readonly template: { readonly spec: { readonly containers: readonly { readonly args: readonly string[] }[]; readonly nodeSelector?: object } } };
  readonly scheduling?: object;
}

const read = (name: string): string => readFileSync(join(deploy, name), "utf8");

describe("manifests", () => {
  beforeAll(prepareTools);

  test("those for kubectl are what the chart makes by itself", async () => {
    expect(await parseYaml(read("kubernetes/tssandbox.yaml"))).toEqual(await render());
  });

  test("the DaemonSet has no field that Kubernetes does not know", async () => {
    const daemonSet = (await render({ nodeSelector: { "tssandbox.dev/node": "true" } })).find((object) => (object as Manifest).kind === "DaemonSet");
    expect(await typed(daemonSet)).toMatchObject(withoutEnv(daemonSet));
    await expect(typed({ ...(daemonSet as object), spec: { ...(daemonSet as Manifest).spec, tepmlate: {} } }).then((object) => JSON.stringify(object))).resolves.not.toContain("tepmlate");
  });

  test("a class for each handler, on the nodes that have it", async () => {
    const objects = (await render({ nodeSelector: { "tssandbox.dev/node": "true" }, remove: true })) as Manifest[];
    const classes = objects.filter(({ kind }) => kind === "RuntimeClass");
    const scheduling = { nodeSelector: { "tssandbox.dev/node": "true" } };
    expect(classes).toEqual([
      { apiVersion: "node.k8s.io/v1", kind: "RuntimeClass", metadata: { name: "tssandbox" }, handler: "tssandbox", overhead: { podFixed: { memory: "64Mi" } }, scheduling },
      expect.objectContaining({ handler: "tssandbox-namespace" }),
      expect.objectContaining({ handler: "tssandbox-vm" }),
    ]);
    const { containers, nodeSelector } = (objects.find(({ kind }) => kind === "DaemonSet") as Manifest).spec.template.spec;
    expect([containers[0]?.args, nodeSelector]).toEqual([["remove"], scheduling.nodeSelector]);
  });

  test.each(["kubernetes/pod.yaml", "chart/Chart.yaml", "ci/github-arc-values.yaml", "ci/github-self-hosted.yml"])("%s is YAML", async (name) => {
    expect(await parseYaml(read(name))).toHaveLength(1);
  });

  test("gitlab-runner's file is TOML, with the runtime in both", async () => {
    const { stdout } = await execute(["python3", "-c", "import json, sys, tomllib; print(json.dumps(tomllib.loads(sys.stdin.read())))"], { input: read("ci/gitlab-runner.toml") });
    expect(JSON.parse(stdout)).toMatchObject({ runners: [{ docker: { runtime: "tssandbox" } }, { kubernetes: { runtime_class_name: "tssandbox" } }] });
  });

  test("the GitHub job's command runs a script of the checkout, which writes there and nowhere else", async () => {
    const [workflow] = (await parseYaml(read("ci/github-self-hosted.yml"))) as [{ jobs: { test: { steps: { run?: string }[] } } }];
    const command = workflow.jobs.test.steps.find(({ run }) => run !== undefined)?.run ?? "";
    const checkout = mkdtempSync(join(tmpdir(), "tss-checkout-"));
    try {
      writeFileSync(join(checkout, "ci.sh"), "echo built >result; cat result; touch /etc/mine && ! wget -T 1 -q http://127.0.0.1:1/ 2>/dev/null && echo done");
      const { code, stdout } = await execute(["sh", "-c", command.replace(/^sudo tssandbox/, RUNTIME)], { cwd: checkout });
      expect([code, stdout, readFileSync(join(checkout, "result"), "utf8")]).toEqual([0, "built\ndone\n", "built\n"]);
    } finally {
      rmSync(checkout, { recursive: true });
    }
  });
});

/** By a change of the environment the object is read and written; that is all that differs. */
function withoutEnv(object: unknown): object {
  return JSON.parse(JSON.stringify(object, (key, value: unknown) => (key === "env" ? undefined : value))) as object;
}

describe("a node", () => {
  let machine: Machine;
  let packed: string;
  const nodeScript = (action: string, env: Readonly<Record<string, string>> = {}) =>
    execute(["sh", join(deploy, "node.sh"), action], { timeout: 120, env: { ...machine.workspace.env, ONCE: "yes", RESTART: "", HOST: `/proc/${machine.holder}/root`, NODE_PID: String(machine.holder), PACKAGE: packed, ...env } });
  const versions = async () => (await machine.sh("ls /opt/tssandbox 2>/dev/null")).stdout.trim().split("\n").filter((name) => name !== "");

  beforeAll(async () => {
    await ensurePackages(["containerd"]);
    machine = await Machine.start("node");
    packed = machine.workspace.path("package");
    mkdirSync(packed);
    expect((await execute(["sh", join(deploy, "pack.sh"), packed])).code).toBe(0);
    machine.daemon("containerd.log", "containerd");
    await eventually("containerd answers", async () => (await machine.run(["ctr", "version"])).code === 0);
  });
  afterAll(async () => machine?.[Symbol.asyncDispose]());

  test("install: the package is there, containerd has the handlers, and a container runs from it", async () => {
    const { code, stdout, stderr } = await nodeScript("install");
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/containerd: a container has run\n$/);
    expect(await versions()).toHaveLength(1);
    expect(await machine.ok("readlink", "/usr/local/bin/containerd-shim-tssandbox-v1")).toMatch(/^\/opt\/tssandbox\/0\.1\.0-[0-9a-f]{12}\/bin\//);
    expect(await machine.ok("containerd", "config", "dump")).toContain(".containerd.runtimes.tssandbox]");
  });

  test("an upgrade: what runs keeps its version; without it, it goes", async () => {
    const root = machine.workspace.path("rootfs");
    await execute(["sh", "-c", "mkdir -p $0/bin && cp /bin/busybox $0/bin/", root]);
    await machine.ok("ctr", "run", "--detach", "--null-io", "--runtime", "io.containerd.tssandbox.v1", "--cgroup", `${machine.workspace.cgroup}/lasting`, "--rootfs", root, "lasting", "/bin/busybox", "sleep", "1021");
    const newer = machine.workspace.path("newer");
    cpSync(packed, newer, { recursive: true });
    writeFileSync(join(newer, "package.json"), JSON.stringify({ version: "0.2.0" }, null, 2));
    expect(await nodeScript("install", { PACKAGE: newer })).toMatchObject({ code: 0 });
    expect(await versions()).toEqual([expect.stringMatching(/^0\.1\.0-/), expect.stringMatching(/^0\.2\.0-/)]);
    expect(await machine.ok("ctr", "task", "exec", "--exec-id", "probe", "lasting", "/bin/busybox", "echo", "alive")).toBe("alive\n");
    await machine.ok("ctr", "task", "rm", "--force", "lasting");
    await machine.ok("ctr", "container", "rm", "lasting");
    await eventually("its shim ends", async () => {
      await nodeScript("install", { PACKAGE: newer });
      return (await versions()).length === 1;
    });
  });

  test("remove: nothing is left", async () => {
    const { code, stderr } = await nodeScript("remove", { PACKAGE: machine.workspace.path("newer") });
    expect([code, stderr]).toEqual([0, ""]);
    expect(await versions()).toEqual([]);
    expect((await machine.sh("ls /usr/local/bin | grep tssandbox; ls -d /etc/tssandbox/handlers/* /opt/tssandbox; grep tssandbox /etc/containerd/config.toml")).stdout).toBe("");
  });
});
