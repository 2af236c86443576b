/** `sandboxer = "shim"`: containerd 2 asks the shim for the pod's sandbox, and has no pause container. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as sandbox from "../../shim/proto/generated/sandbox_pb.js";
import { TtrpcClient } from "../../shim/ttrpc/client.ts";
import { CODE } from "../../shim/ttrpc/status.ts";
import { ContainerState, NamespaceMode, PodSandboxState } from "./cri/generated/cri_pb.js";
import { SANDBOXER_HANDLERS } from "./cri/node.ts";
import { LOOP, namespaceOptions, type Pod, Pods } from "./cri/pods.ts";
import { fetchContainerd2 } from "./newer.ts";
import { eventually, namespaceOf, parentOf } from "./support.ts";

let pods: Pods;
beforeAll(async () => {
  pods = await Pods.start(await fetchContainerd2());
});
afterAll(async () => pods?.[Symbol.asyncDispose]());

const sh = (id: string, script: string) => pods.cri.exec(id, "sh", "-c", script);

/** The process that stands for the pod: the shim's state of the sandbox has it. */
const pauseOf = (pod: Pod): number => (JSON.parse(readFileSync(pods.containerd.workspace.path("runtime/k8s.io", pod.id, "state.json"), "utf8")) as { pid: number }).pid;

const isReady = async (pod: Pod) => (await pods.cri.podStatus(pod.id))?.state === PodSandboxState.SANDBOX_READY;

/** What CRI does not ask of a sandbox, but containerd's other clients may. */
async function answers({ id }: Pod): Promise<void> {
  const bundle = pods.containerd.workspace.path("state/io.containerd.sandbox.controller.v1.shim/k8s.io", id);
  const client = new TtrpcClient(readFileSync(join(bundle, "address"), "utf8").replace("unix://", ""));
  const call = async <I extends DescMessage, O extends DescMessage>(method: string, input: I, output: O, request: MessageInitShape<I>) =>
    fromBinary(output, await client.call("containerd.runtime.sandbox.v1.Sandbox", method, toBinary(input, create(input, request)), 20_000));
  try {
    await call("PingSandbox", sandbox.PingRequestSchema, sandbox.PingResponseSchema, { sandboxId: id });
    expect((await call("Platform", sandbox.PlatformRequestSchema, sandbox.PlatformResponseSchema, { sandboxId: id })).platform).toMatchObject({ os: "linux", architecture: "amd64" });
    const { metrics } = await call("SandboxMetrics", sandbox.SandboxMetricsRequestSchema, sandbox.SandboxMetricsResponseSchema, { sandboxId: id });
    expect([metrics?.id, metrics?.data?.typeUrl]).toEqual([id, expect.stringMatching(/^io\.containerd\.cgroups\.v[12]\.Metrics$/)]);
    await expect(call("PingSandbox", sandbox.PingRequestSchema, sandbox.PingResponseSchema, { sandboxId: "other" })).rejects.toMatchObject({ code: CODE.notFound });
    await expect(call("CreateSandbox", sandbox.CreateSandboxRequestSchema, sandbox.CreateSandboxResponseSchema, { sandboxId: id })).rejects.toMatchObject({ code: CODE.alreadyExists });
  } finally {
    client.close();
  }
}

describe.each(["namespace", "sentry"] as const)("%s", (mode) => {
  const handler = SANDBOXER_HANDLERS[mode];

  test("two containers in one sandbox of one shim: network, host name, /etc, /dev/shm, exec, logs, stats, their ends", async () => {
    const pod = await pods.run(`pair-${mode}`, handler, { sysctls: { "net.ipv4.ip_local_port_range": "20000 30000" } });
    expect(await isReady(pod)).toBe(true);
    const first = await pod.start("first", `echo begins; ${LOOP}`, { resources: { memoryLimitInBytes: 64n << 20n } });
    const second = await pod.start("second", `httpd -p 8080 -h /etc; ${LOOP}`);
    expect(await pods.containerd.shim(first)).toBe(await pods.containerd.shim(second));
    expect(parentOf(pauseOf(pod))).toBe(await pods.containerd.shim(first));
    const ip = (await pods.cri.podStatus(pod.id))?.network?.ip ?? "";
    expect(ip).toMatch(/^10\.97\.0\.\d+$/);
    expect((await sh(first, "ip -4 -o addr show eth0")).stdout).toContain(ip);
    const etc = await sh(first, "hostname; cat /etc/hostname /etc/resolv.conf; grep -c localhost /etc/hosts > /dev/null && echo hosts; cat /proc/sys/net/ipv4/ip_local_port_range; df /dev/shm | tail -1 | awk '{print $2}'");
    expect(etc.stdout.split("\n")).toEqual([`pair-${mode}`, `pair-${mode}`, "search default.svc", "nameserver 10.0.0.10", "hosts", "20000\t30000", "65536", ""]);
    expect((await sh(first, "echo shared > /dev/shm/file; exit 3")).code).toBe(3);
    expect((await sh(second, "cat /dev/shm/file")).stdout).toBe("shared\n");
    await eventually("the other is reached", async () => (await sh(first, "wget -qO- http://127.0.0.1:8080/hostname")).stdout === `pair-${mode}\n`);
    await eventually("it logs", () => pod.log("first").join() === "stdout F begins");
    await answers(pod);
    expect((await pods.cri.stats(first))?.memory?.workingSetBytes?.value).toBeGreaterThan(0n);
    await pods.cri.stop(first, 20);
    expect((await pods.exited(first)).exitCode).toBe(3);
    expect(await isReady(pod)).toBe(true);
    await pod.remove();
  });

  test("a pod that shares its processes", async () => {
    const shared = { namespaceOptions: { ...namespaceOptions, pid: NamespaceMode.POD } };
    const pod = await pods.run(`pids-${mode}`, handler, { security: shared });
    const [one, two] = [await pod.start("one", "exec sleep 1000", { security: shared }), await pod.start("two", "exec sleep 2000", { security: shared })];
    expect((await sh(one, "cat /proc/1/cmdline | tr '\\0' ' '")).stdout.trim()).toBe("/pause");
    expect((await sh(two, "pidof sleep | wc -w")).stdout.trim()).toBe("2");
    // An orphan is the pause program's to reap.
    await sh(one, "(sleep 0.1 &) ; true");
    await eventually("it is reaped", async () => (await sh(one, "grep -l '^State:.*Z' /proc/[0-9]*/status | wc -l")).stdout.trim() === "0");
    await pod.remove();
  });

  test.each<[string, (pod: Pod) => Promise<unknown>]>([
    ["without a container", async () => {}],
    ["with a container that was only created", (pod) => pod.create("one", LOOP)],
    ["with one that has ended", async (pod) => pods.exited(await pod.start("one", "exit 5"))],
    ["whose pause was killed", async (pod) => {
      await pod.start("one", LOOP);
      process.kill(pauseOf(pod), "SIGKILL");
      await eventually("it is not ready", async () => !(await isReady(pod)));
    }],
    ["whose shim was killed", async (pod) => {
      const id = await pod.start("one", LOOP);
      process.kill(await pods.containerd.shim(id), "SIGKILL");
      await pods.exited(id);
      // Until the shim's `delete` has done its work the connection's end is the answer.
      await eventually("it is not ready", async () => !(await isReady(pod).catch(() => true)));
    }],
    ["stopped", async (pod) => {
      const id = await pod.start("one", LOOP);
      await pods.cri.stopPod(pod.id);
      expect((await pods.exited(id)).exitCode).toBe(137);
      expect(await isReady(pod)).toBe(false);
    }],
  ])("removal of a pod %s: nothing is left", async (name, meet) => {
    const pod = await pods.run(`gone-${mode}-${name.replaceAll(" ", "-")}`, handler);
    await meet(pod);
    await pod.remove();
  });
});

test("containerd's restart: the pod runs on and is exec'd into, has another container, and can be removed", async () => {
  const pod = await pods.run("lasting", SANDBOXER_HANDLERS.sentry);
  const id = await pod.start("one", LOOP);
  await pods.containerd.restart();
  await eventually("the plugin is there", () => pods.cri.status(id).then(() => true, () => false), 30);
  expect((await pods.cri.status(id))?.state).toBe(ContainerState.CONTAINER_RUNNING);
  expect(await isReady(pod)).toBe(true);
  expect((await sh(id, "exit 4")).code).toBe(4);
  const another = await pod.start("two", LOOP);
  expect(await pods.containerd.shim(another)).toBe(await pods.containerd.shim(id));
  await pod.remove();
});

test("a shim that is killed while containerd is away: the pod is not ready, and can be removed", async () => {
  const pod = await pods.run("orphaned", SANDBOXER_HANDLERS.sentry);
  const id = await pod.start("one", LOOP);
  const shim = await pods.containerd.shim(id);
  process.kill(pods.containerd.daemon, "SIGSTOP");
  process.kill(shim, "SIGKILL");
  await pods.containerd.restart();
  await eventually("the plugin is there", () => pods.cri.podStatus(pod.id).then(() => true, () => false), 30);
  await eventually("it is not ready", async () => !(await isReady(pod)));
  expect((await pods.exited(id)).exitCode).not.toBe(0);
  await pod.remove();
});

test.each(["namespace", "sentry"] as const)("a pod with a user namespace, %s", async (mode) => {
  const maps = [{ containerId: 0, hostId: 200_000, length: 65_536 }];
  const security = { namespaceOptions: { ...namespaceOptions, usernsOptions: { mode: NamespaceMode.POD, uids: maps, gids: maps } } };
  const pod = await pods.run(`mapped-${mode}`, SANDBOXER_HANDLERS[mode], { security });
  expect(statSync(`/proc/${pauseOf(pod)}`).uid).toBe(200_000 + 65_535);
  const id = await pod.start("one", LOOP, { security });
  const pid = await pods.containerd.pid(id);
  expect(statSync(`/proc/${pid}`).uid).toBe(200_000);
  expect(namespaceOf(pid, "user")).toBe(namespaceOf(pauseOf(pod), "user"));
  const script = "id -u; stat -c '%u' /etc/hosts /etc/resolv.conf; echo x > /dev/shm/file && stat -c '%u' /dev/shm/file; echo told > /dev/stdout";
  expect(await sh(id, script)).toEqual({ code: 0, stdout: "0\n0\n0\n0\ntold\n", stderr: "" });
  await pod.remove();
});
