/** Pods by the CRI socket, under each handler: what the kubelet does, and nothing left on the node afterwards. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Containerd } from "./containerd.ts";
import { CriClient } from "./cri/client.ts";
import { ContainerState, NamespaceMode, PodSandboxState, type ContainerConfigSchema, type LinuxContainerResourcesSchema, type MountSchema, type PodSandboxConfigSchema } from "./cri/generated/cri_pb.js";
import { HANDLERS, startNode } from "./cri/node.ts";
import { BUSYBOX } from "./images.ts";
import { eventually } from "./support.ts";

let containerd: Containerd;
let cri: CriClient;
beforeAll(async () => {
  containerd = await startNode();
  cri = new CriClient(containerd.workspace.path("containerd.sock"));
});
afterAll(async () => {
  cri?.[Symbol.dispose]();
  await containerd?.[Symbol.asyncDispose]();
});

type PodConfig = MessageInitShape<typeof PodSandboxConfigSchema>;
type ContainerConfig = MessageInitShape<typeof ContainerConfigSchema>;

interface More {
  readonly command?: string[];
  readonly mounts?: MessageInitShape<typeof MountSchema>[];
  readonly resources?: MessageInitShape<typeof LinuxContainerResourcesSchema>;
  readonly pid?: NamespaceMode;
}

/** As the kubelet asks: each container its own pid namespace. */
const namespaceOptions = { network: NamespaceMode.POD, pid: NamespaceMode.CONTAINER, ipc: NamespaceMode.POD };

const podConfig = (name: string): PodConfig => ({
  metadata: { name, uid: name, namespace: "default", attempt: 0 },
  hostname: name,
  logDirectory: containerd.workspace.path("logs", name),
  dnsConfig: { servers: ["10.0.0.10"], searches: ["default.svc"], options: [] },
  linux: { cgroupParent: containerd.workspace.cgroup, securityContext: { namespaceOptions } },
});

class Pod {
  readonly id: string;
  readonly config: PodConfig;

  private constructor(id: string, config: PodConfig) {
    this.id = id;
    this.config = config;
  }

  static async run(name: string, handler: string): Promise<Pod> {
    const config = podConfig(name);
    mkdirSync(containerd.workspace.path("logs", name), { recursive: true });
    return new Pod(await cri.runPod(config, handler), config);
  }

  async create(name: string, script: string, { resources = {}, pid = NamespaceMode.CONTAINER, ...rest }: More = {}): Promise<string> {
    const config: ContainerConfig = {
      metadata: { name, attempt: 0 },
      image: { image: BUSYBOX.name },
      command: ["sh", "-c", script],
      logPath: `${name}.log`,
      ...rest,
      linux: { resources, securityContext: { namespaceOptions: { ...namespaceOptions, pid } } },
    };
    return cri.create({ podSandboxId: this.id, config, sandboxConfig: this.config });
  }

  async start(name: string, script: string, more: More = {}): Promise<string> {
    const id = await this.create(name, script, more);
    await cri.start(id);
    return id;
  }

  /** The lines of a container's log, without time stamps: `stdout F text`. */
  log(name: string): string[] {
    const file = `${this.config.logDirectory}/${name}.log`;
    return existsSync(file) ? readFileSync(file, "utf8").split("\n").filter(Boolean).map((line) => line.slice(line.indexOf(" ") + 1)) : [];
  }
}

async function exited(id: string) {
  return eventually("it ends", async () => {
    const status = await cri.status(id);
    return status?.state === ContainerState.CONTAINER_EXITED && status;
  }, 30);
}

const loop = "trap 'exit 3' TERM; while :; do sleep 0.1; done";

describe.each(["namespace", "sentry"] as const)("%s", (mode) => {
  const handler = HANDLERS[mode];
  let pod: Pod;
  let [first, second] = ["", ""];
  let shared = "";

  beforeAll(async () => {
    shared = containerd.workspace.path(`shared-${mode}`);
    mkdirSync(shared, { mode: 0o777 });
    pod = await Pod.run(mode, handler);
    const mounts = [{ containerPath: "/shared", hostPath: shared }];
    first = await pod.start("first", `echo begins; echo complains >&2; ${loop}`, { mounts, resources: { memoryLimitInBytes: 64n << 20n, cpuShares: 512n } });
    second = await pod.start("second", `httpd -p 8080 -h /shared; ${loop}`, { mounts });
  });

  test("is ready, with an address", async () => {
    const status = await cri.podStatus(pod.id);
    expect(status?.state).toBe(PodSandboxState.SANDBOX_READY);
    expect(status?.network?.ip).toMatch(/^10\.97\.0\.\d+$/);
    expect((await cri.exec(first, "ip", "-4", "-o", "addr", "show", "eth0")).stdout).toContain(status?.network?.ip);
  });

  test("one shim for all of it", async () => {
    const shims = await Promise.all([pod.id, first, second].map((id) => containerd.shim(id)));
    expect(new Set(shims).size).toBe(1);
  });

  test("exec sync: streams and the exit code", async () => {
    expect(await cri.exec(first, "sh", "-c", "echo out; echo err >&2; exit 4")).toEqual({ code: 4, stdout: "out\n", stderr: "err\n" });
    expect((await cri.exec(second, "hostname")).stdout).toBe(`${mode}\n`);
  });

  test("twenty probes at once, after which the shim has no more open than before", async () => {
    const shim = await containerd.shim(first);
    const descriptors = () => readdirSync(`/proc/${shim}/fd`).length;
    const before = descriptors();
    const codes = await Promise.all(Array.from({ length: 20 }, (_, n) => cri.exec(n % 2 === 0 ? first : second, "sh", "-c", `exit ${n}`)));
    expect(codes.map(({ code }) => code)).toEqual(Array.from({ length: 20 }, (_, n) => n));
    await eventually("all is closed", () => descriptors() <= before);
  });

  test("a volume that both have, and the pod's network", async () => {
    await cri.exec(first, "sh", "-c", "echo hello > /shared/file");
    expect(readFileSync(`${shared}/file`, "utf8")).toBe("hello\n");
    await eventually("the other serves it", async () => (await cri.exec(first, "wget", "-qO-", "http://127.0.0.1:8080/file")).stdout === "hello\n");
    expect((await cri.exec(second, "cat", "/etc/resolv.conf")).stdout).toContain("nameserver 10.0.0.10");
  });

  test("logs", async () => {
    await eventually("both lines are there", () => pod.log("first").length === 2);
    expect(pod.log("first").sort()).toEqual(["stderr F complains", "stdout F begins"]);
  });

  test("stats", async () => {
    const stats = await cri.stats(first);
    expect(stats?.cpu?.usageCoreNanoSeconds?.value).toBeGreaterThan(0n);
    expect(stats?.memory?.workingSetBytes?.value).toBeGreaterThan(0n);
    expect(stats?.memory?.workingSetBytes?.value).toBeLessThan(64n << 20n);
  });

  test("update of a limit", async () => {
    await cri.update(first, { memoryLimitInBytes: 96n << 20n });
    const pid = await containerd.pid(first);
    const group = /:memory:(.*)/.exec(readFileSync(`/proc/${pid}/cgroup`, "utf8"))?.[1] ?? "";
    expect(readFileSync(`/sys/fs/cgroup/memory${group}/memory.limit_in_bytes`, "utf8")).toBe(`${96 << 20}\n`);
  });

  test("a container that ends, and one whose program is missing", async () => {
    expect(await exited(await pod.start("short", "exit 9"))).toMatchObject({ exitCode: 9, reason: "Error" });
    const missing = await pod.create("missing", "", { command: ["no-such-program"] });
    await expect(cri.start(missing)).rejects.toThrow(/executable file not found in|no-such-program/);
  });

  test("a container that has more than it may: OOMKilled", async () => {
    const greedy = await pod.start("greedy", "exec tail /dev/zero", { resources: { memoryLimitInBytes: 32n << 20n } });
    expect(await exited(greedy)).toMatchObject({ exitCode: 137, reason: "OOMKilled" });
  });

  test("stop: by signal, and by force", async () => {
    await cri.stop(first, 20);
    expect(await exited(first)).toMatchObject({ exitCode: 3 });
    const deaf = await pod.start("deaf", "trap '' TERM; while :; do sleep 0.1; done");
    await cri.stop(deaf, 1);
    expect(await exited(deaf)).toMatchObject({ exitCode: 137 });
  });

  test("removal: nothing is left", async () => {
    await cri.removePod(pod.id);
    await containerd.expectNothingLeft(pod.id);
    expect(readdirSync(containerd.workspace.path("addresses/pods")).filter((name) => name.startsWith("10."))).toEqual([]);
  });
});

test("containerd's restart: the pod runs on, logs on, and is exec'd into; a killed shim ends it, and it can be removed", async () => {
  const pod = await Pod.run("lasting", HANDLERS.sentry);
  const id = await pod.start("one", "echo first; until test -e /go; do sleep 0.1; done; echo second; exec sleep 1000");
  await eventually("it logs", () => pod.log("one").length === 1);
  await containerd.restart();
  await eventually("the plugin is there", () => cri.status(id).then(() => true, () => false), 30);
  expect((await cri.status(id))?.state).toBe(ContainerState.CONTAINER_RUNNING);
  expect((await cri.exec(id, "touch", "/go")).code).toBe(0);
  await eventually("it logs on", () => pod.log("one").join() === "stdout F first,stdout F second");

  process.kill(await containerd.shim(id), "SIGKILL");
  expect((await exited(id)).exitCode).not.toBe(0);
  await eventually("the pod is not ready", async () => (await cri.podStatus(pod.id))?.state === PodSandboxState.SANDBOX_NOTREADY);
  await cri.removePod(pod.id);
  await containerd.expectNothingLeft(pod.id);
});

test("pods made, exec'd into and removed at the same time", async () => {
  const count = 6;
  const pods = await Promise.all(Array.from({ length: count }, async (_, n) => {
    const pod = await Pod.run(`many-${n}`, n % 2 === 0 ? HANDLERS.sentry : HANDLERS.namespace);
    return { pod, id: await pod.start("one", "exec sleep 1000") };
  }));
  const codes = await Promise.all(pods.map(({ id }, n) => cri.exec(id, "sh", "-c", `exit ${n}`)));
  expect(codes.map(({ code }) => code)).toEqual(pods.map((_, n) => n));
  await Promise.all(pods.map(({ pod }) => cri.removePod(pod.id)));
  await containerd.expectNothingLeft("many");
});

test("a sandbox shares no processes: refused in words", async () => {
  const pod = await Pod.run("shares", HANDLERS.sentry);
  const id = await pod.create("one", loop, { pid: NamespaceMode.POD });
  await expect(cri.start(id)).rejects.toThrow(/a sandbox has a pid namespace of its own/);
  await cri.removePod(pod.id);
  await containerd.expectNothingLeft(pod.id);
});

test("a handler whose file is wrong: the pod is refused in words", async () => {
  const file = containerd.workspace.path("sentry.json");
  const good = readFileSync(file, "utf8");
  writeFileSync(file, `{ "mode": "none" }`);
  await expect(Pod.run("wrong", HANDLERS.sentry)).rejects.toThrow(/sentry\.json: mode: /);
  writeFileSync(file, good);
  await containerd.expectNothingLeft("wrong");
});
