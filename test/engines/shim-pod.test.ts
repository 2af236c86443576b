/** A pod's containers in one sandbox: what containerd makes of it. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { NamespaceMode, PodSandboxState } from "./cri/generated/cri_pb.js";
import { HANDLERS } from "./cri/node.ts";
import { LOOP, namespaceOptions, type Pod, Pods } from "./cri/pods.ts";
import { eventually } from "./support.ts";

let pods: Pods;
beforeAll(async () => {
  pods = await Pods.start();
});
afterAll(async () => pods?.[Symbol.asyncDispose]());

interface Sandbox {
  readonly sentry: { readonly pid: number };
  readonly gofers: readonly { readonly pid: number }[];
  readonly ids: { readonly guest: readonly { readonly hostID: number }[] };
}

const sandboxOf = (id: string): Sandbox => JSON.parse(readFileSync(pods.containerd.workspace.path("runtime/k8s.io", id, "sandbox.json"), "utf8")) as Sandbox;

async function podOfTwo(name: string): Promise<{ pod: Pod; first: string; second: string }> {
  const pod = await pods.run(name, HANDLERS.sentry);
  return { pod, first: await pod.start("first", LOOP), second: await pod.start("second", LOOP) };
}

test("one sentry for all of a pod, gofers and ids for each container; limits are each one's own", async () => {
  const pod = await pods.run("one-sentry", HANDLERS.sentry);
  const large = await pod.start("large", LOOP, { resources: { memoryLimitInBytes: 128n << 20n } });
  const small = await pod.start("small", LOOP, { resources: { memoryLimitInBytes: 64n << 20n } });
  const all = [pod.id, large, small].map(sandboxOf);
  expect(new Set(all.map(({ sentry }) => sentry.pid)).size).toBe(1);
  expect(new Set(all.map(({ ids }) => ids.guest[0]?.hostID)).size).toBe(3);
  const gofers = all.flatMap((one) => one.gofers.map(({ pid }) => pid));
  expect(new Set(gofers).size).toBe(gofers.length);
  const memory = async (id: string) => (await pods.cri.exec(id, "sed", "-n", "s/^MemTotal: *//p", "/proc/meminfo")).stdout;
  expect([await memory(large), await memory(small)]).toEqual([`${128 << 10} kB\n`, `${64 << 10} kB\n`]);
  await pod.remove();
});

test("processes are each container's own; shared, where the pod says so, they can be seen and signalled", async () => {
  const { pod: apart, first } = await podOfTwo("apart");
  expect((await pods.cri.exec(first, "ps", "-o", "args")).stdout).not.toContain("2147483647");
  await apart.remove();

  const shared = { namespaceOptions: { ...namespaceOptions, pid: NamespaceMode.POD } };
  const pod = await pods.run("together", HANDLERS.sentry, { security: shared });
  const victim = await pod.start("victim", "exec sleep 12345", { security: shared });
  const other = await pod.start("other", LOOP, { security: shared });
  expect((await pods.cri.exec(other, "ps", "-o", "args")).stdout).toMatch(/sleep 2147483647\n(.*\n)*sleep 12345\n/);
  expect((await pods.cri.exec(other, "sh", "-c", "kill -KILL $(ps -o pid,args | awk '$2 == \"sleep\" && $3 == 12345 {print $1}')")).code).toBe(0);
  expect(await pods.exited(victim)).toMatchObject({ exitCode: 137 });
  expect((await pods.cri.exec(other, "echo", "goes on")).stdout).toBe("goes on\n");
  await pod.remove();
});

test("a debug container joins the processes of the one that it is about", async () => {
  const { pod, first, second } = await podOfTwo("debugged");
  const debug = await pod.start("debug", LOOP, { security: { namespaceOptions: { ...namespaceOptions, pid: NamespaceMode.TARGET, targetId: first } } });
  const root = async (id: string) => (await pods.cri.exec(debug, "sh", "-c", `test -e /proc/1/root/${id} && echo there`)).stdout;
  await pods.cri.exec(first, "touch", "/of-the-first");
  await pods.cri.exec(second, "touch", "/of-the-second");
  expect([await root("of-the-first"), await root("of-the-second")]).toEqual(["there\n", ""]);
  await pod.remove();
});

test("a gofer that is killed ends its container alone; the sentry, all of them", async () => {
  const { pod, first, second } = await podOfTwo("killed");
  process.kill(sandboxOf(first).gofers[0]!.pid, "SIGKILL");
  expect(await pods.exited(first)).toMatchObject({ exitCode: 137 });
  expect((await pods.cri.exec(second, "uname", "-s")).stdout).toBe("Linux\n");
  const third = await pod.start("third", LOOP);
  process.kill(sandboxOf(second).sentry.pid, "SIGKILL");
  for (const id of [second, third]) expect(await pods.exited(id)).toMatchObject({ exitCode: 137 });
  await eventually("the pod is not ready", async () => (await pods.cri.podStatus(pod.id))?.state === PodSandboxState.SANDBOX_NOTREADY);
  await expect(pod.start("late", LOOP)).rejects.toThrow();
  await pod.remove();
});

test("when the pause container ends, containerd deletes it, and the others end", async () => {
  const { pod, first, second } = await podOfTwo("without-pause");
  process.kill(await pods.containerd.pid(pod.id), "SIGKILL");
  for (const id of [first, second]) expect(await pods.exited(id)).toMatchObject({ exitCode: 137 });
  await eventually("the pod is not ready", async () => (await pods.cri.podStatus(pod.id))?.state === PodSandboxState.SANDBOX_NOTREADY);
  await pod.remove();
});
