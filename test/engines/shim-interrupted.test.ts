/** What happens while a container is being made: containerd dies, its pod is removed. The hook of `SLOW_HANDLER` keeps it from being ready. */
import { rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { holdOf, SLOW_HANDLER } from "./cri/node.ts";
import { LOOP, type Pod, Pods } from "./cri/pods.ts";
import { fetchContainerd2 } from "./newer.ts";
import { allPids, commandOf, eventually } from "./support.ts";

let pods: Pods;
const hookRuns = () => allPids().some((pid) => commandOf(pid).includes(holdOf(pods.containerd.workspace)));

const ready = () => eventually("the plugin is there", () => pods.cri.listPods().then(() => true, () => false), 60);

/** Does `action` while a container of the pod is being made. @returns whether containerd said that it was started. */
async function whileMade(pod: Pod, action: () => Promise<unknown>): Promise<boolean> {
  const hold = holdOf(pods.containerd.workspace);
  writeFileSync(hold, "");
  const started = pod.start("one", LOOP).then(() => true, () => false);
  try {
    await eventually("the hook runs", hookRuns);
    await action();
  } finally {
    rmSync(hold);
  }
  await eventually("the hook ends", () => !hookRuns());
  return await started;
}

/** Whether it is, or has been, removed. */
const gone = (pod: Pod) => pods.cri.removePod(pod.id).then(() => true, async () => !(await pods.cri.listPods()).includes(pod.id));

describe.each([
  ["1.6", async () => undefined],
  ["2", fetchContainerd2],
])("containerd %s", (_version, fetch) => {
  beforeAll(async () => {
    pods = await Pods.start(await fetch());
  });
  afterEach(async ({ task }) => {
    if (task.result?.state === "fail") pods = await pods.renewed();
  });
  afterAll(async () => pods?.[Symbol.asyncDispose]());

  test("dies: the next one finds the container, and can remove the pod", async () => {
    const pod = await pods.run("restart", SLOW_HANDLER);
    const started = await whileMade(pod, async () => {
      await pods.containerd.restart();
      // One that is told of no task is ready at once; one that waits for it does so for two seconds at a time.
      await Promise.race([ready(), sleep(3000)]);
    });
    expect(started).toBe(false);
    await ready();
    // The container is made now, if nobody has removed it.
    await sleep(1000);
    await pods.cri.removePod(pod.id);
    // A shim that nobody asks for anything ends after half a minute.
    await pods.containerd.expectNothingLeft(pod.id, 90);
  });

  test("the pod is removed", async () => {
    const pod = await pods.run("removal", SLOW_HANDLER);
    await whileMade(pod, () => pods.cri.removePod(pod.id).catch(() => {}));
    await eventually("it goes", () => gone(pod), 60);
    await pods.containerd.expectNothingLeft(pod.id);
  });
});
