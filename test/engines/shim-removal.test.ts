/** A pod is removed whatever has become of it: nothing stays, and nobody waits for long. */
import { execFileSync } from "node:child_process";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { readFileSync } from "node:fs";
import { ContainerState } from "./cri/generated/cri_pb.js";
import { HANDLERS } from "./cri/node.ts";
import { LOOP, type Pod, Pods } from "./cri/pods.ts";
import { eventually } from "./support.ts";

let pods: Pods;
beforeAll(async () => {
  pods = await Pods.start();
});
afterEach(async ({ task }) => {
  if (task.result?.state === "fail") pods = await pods.renewed();
});
afterAll(async () => pods?.[Symbol.asyncDispose]());

/** The processes of a container's sandbox. */
function sandboxOf(id: string): { sentry: { pid: number }; gofers: { pid: number }[] } {
  return JSON.parse(readFileSync(pods.containerd.workspace.path("runtime/k8s.io", id, "sandbox.json"), "utf8")) as ReturnType<typeof sandboxOf>;
}

/** What has become of the container "one", or the pod, before the pod is removed. */
type Fate = (pod: Pod) => Promise<void>;

const started = (pod: Pod) => pod.start("one", LOOP);

const FATES: Readonly<Record<string, Fate>> = {
  "without a container": async () => {},
  "created": async (pod) => void (await pod.create("one", LOOP)),
  "running": async (pod) => void (await started(pod)),
  "deaf to SIGTERM, with children": async (pod) => void (await pod.start("one", "trap '' TERM; (trap '' TERM; sleep 1000) & while :; do sleep 0.1; done")),
  "ended": async (pod) => void (await pods.exited(await pod.start("one", "exit 0"))),
  "stopped": async (pod) => pods.cri.stop(await started(pod), 5),
  "not to be started": async (pod) => {
    const id = await pod.create("one", "", { command: ["no-such-program"] });
    await expect(pods.cri.start(id)).rejects.toThrow();
  },
  "out of memory": async (pod) => void (await pods.exited(await pod.start("one", "exec tail /dev/zero", { resources: { memoryLimitInBytes: 32n << 20n } }))),
  "paused": async (pod) => void (await pods.containerd.ok("task", "pause", await started(pod))),
  "whose log has no room": async (pod) => {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tss-full", pod.config.logDirectory ?? ""]);
    const id = await pod.start("one", `for n in $(seq 500); do printf '%01000d\\n' $n; done; touch /done; ${LOOP}`);
    await eventually("all is written, or lost", async () => (await pods.cri.exec(id, "test", "-e", "/done")).code === 0);
  },
  "of four containers: one runs, one has ended, one is stopped, one was never started": async (pod) => {
    await started(pod);
    await pods.exited(await pod.start("two", "exit 1"));
    await pods.cri.stop(await pod.start("three", LOOP), 5);
    await pod.create("four", LOOP);
  },
  "with an exec that goes on, and one that has a terminal": async (pod) => {
    const id = await started(pod);
    const commands = [await pods.exec(id, ["sleep", "1000"]), await pods.exec(id, ["sh"], { stdin: true, tty: true })];
    await eventually("both run", async () => (await pods.cri.exec(id, "pidof", "sleep")).code === 0 && commands[1]?.stdout.text !== "");
  },
  "whose init was killed": async (pod) => {
    const id = await started(pod);
    process.kill(await pods.containerd.pid(id), "SIGKILL");
    await pods.exited(id);
  },
  "whose pause was killed": async (pod) => {
    await started(pod);
    process.kill(await pods.containerd.pid(pod.id), "SIGKILL");
    // Stopped, or already gone: CRI deletes a pause's task when it is told of its end.
    await eventually("containerd knows", async () => (await pods.containerd.task(pod.id))?.status !== "RUNNING");
  },
  "whose shim was killed": async (pod) => {
    const id = await started(pod);
    process.kill(await pods.containerd.shim(id), "SIGKILL");
    await pods.exited(id);
  },
  "whose shim was killed just now": async (pod) => process.kill(await pods.containerd.shim(await started(pod)), "SIGKILL") && undefined,
};

const SENTRY_FATES: Readonly<Record<string, Fate>> = {
  "whose sentry was killed": async (pod) => {
    const id = await started(pod);
    process.kill(sandboxOf(id).sentry.pid, "SIGKILL");
    await pods.exited(id);
  },
  "whose gofer was killed": async (pod) => {
    const id = await started(pod);
    process.kill(sandboxOf(id).gofers[0]?.pid ?? 0, "SIGKILL");
    await pods.exited(id);
  },
};

describe.each(["namespace", "sentry"] as const)("%s", (mode) => {
  const fates = Object.entries(mode === "sentry" ? { ...FATES, ...SENTRY_FATES } : FATES);
  test.each(fates)("%s", async (_name, meet) => {
    const pod = await pods.run(`${mode}-${fates.findIndex(([name]) => name === _name)}`, HANDLERS[mode]);
    await meet(pod);
    await pod.remove();
  });

  test("a container that is removed while it runs, and one of the same name after it", async () => {
    const pod = await pods.run(`${mode}-again`, HANDLERS[mode]);
    for (let round = 0; round < 2; round++) {
      const id = await started(pod);
      expect((await pods.cri.status(id))?.state).toBe(ContainerState.CONTAINER_RUNNING);
      await pods.cri.remove(id);
    }
    await pod.remove();
  });
});
