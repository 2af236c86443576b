/**
 * Many pods at once, round after round: none is stuck, and none leaves anything. The default handler has fifty, three times; the other few, for time's sake. With
 * `TSSANDBOX_LOAD=50x3` all have so many, containerd's own shim too, and it is told what 100 idle pods take (docs/kubernetes.md).
 */
import { readdirSync, readFileSync } from "node:fs";
import { loadavg } from "node:os";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { HANDLERS, RUNC_HANDLER } from "./cri/node.ts";
import { type Pod, Pods } from "./cri/pods.ts";

const ASKED = process.env["TSSANDBOX_LOAD"];
const MEASURES = ASKED !== undefined;
const IDLE = 100;

let pods: Pods;
beforeAll(async () => {
  pods = await Pods.start();
});
afterEach(async ({ task }) => {
  if (task.result?.state === "fail") pods = await pods.renewed();
});
afterAll(async () => pods?.[Symbol.asyncDispose]());

/** Milliseconds of each step, for each pod. */
type Times = Record<"pod" | "container" | "exec" | "removal", number[]>;

async function timed<T>(times: number[], action: () => Promise<T>): Promise<T> {
  const begin = performance.now();
  const result = await action();
  times.push(performance.now() - begin);
  return result;
}

async function live(name: string, handler: string, times: Times): Promise<void> {
  const pod = await timed(times.pod, () => pods.run(name, handler));
  const id = await timed(times.container, () => pod.start("one", "exec sleep 1000"));
  expect(await timed(times.exec, () => pods.cri.exec(id, "echo", name))).toEqual({ code: 0, stdout: `${name}\n`, stderr: "" });
  await timed(times.removal, () => pods.cri.removePod(pod.id));
}

/** Of the daemon: it must have no more after a round than it had after the one before. */
const descriptors = () => readdirSync(`/proc/${pods.containerd.daemon}/fd`).length;

/** The value below which this part of them lies. */
const quantile = (all: readonly number[], part: number) => all.toSorted((a, b) => a - b)[Math.min(all.length - 1, Math.floor(all.length * part))] ?? 0;

function show(handler: string, pods: number, rounds: number, times: Times): void {
  const rows = Object.entries(times).map(([step, all]) => step.padEnd(10) + [0.5, 0.9, 1].map((part) => quantile(all, part).toFixed(0).padStart(7)).join(""));
  process.stdout.write(`${handler}: ${pods} pods x ${rounds}, load ${loadavg()[0]?.toFixed(1)}; ms at 50 %, 90 %, 100 %\n${rows.join("\n")}\n`);
}

const handlers = [...Object.values(HANDLERS), ...(MEASURES ? [RUNC_HANDLER] : [])];

/** How many pods, and how often. */
function loadOf(handler: string): [pods: number, rounds: number] {
  const [count = 0, rounds = 1] = (ASKED ?? (handler === HANDLERS.sentry ? "50x3" : "8x2")).split("x").map(Number);
  return [count, rounds];
}

test.each(handlers)("%s: rounds of pods that are made, exec'd into and removed", { timeout: 1_200_000 }, async (handler) => {
  const times: Times = { pod: [], container: [], exec: [], removal: [] };
  const [count, rounds] = loadOf(handler);
  let before = Infinity;
  for (let round = 0; round < rounds; round++) {
    await Promise.all(Array.from({ length: count }, (_, n) => live(`${handler}-${round}-${n}`, handler, times)));
    await pods.containerd.expectNothingLeft("", 90);
    expect(await pods.cri.listPods()).toEqual([]);
    // Go keeps a few of its own; a pod has more than ten.
    expect(descriptors()).toBeLessThan(before + count);
    before = Math.min(before, descriptors());
  }
  show(handler, count, rounds, times);
});

/** Of all that the pods have, in MiB: memory of one's own, and a part of what is shared. */
function memory(): number {
  const files = pods.containerd.pidsOfPods().map((pid) => readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"));
  return files.reduce((sum, text) => sum + Number(/^Pss:\s+(\d+)/m.exec(text)?.[1] ?? 0), 0) / 1024;
}

if (MEASURES) test.each(handlers)(`%s: the memory of ${IDLE} idle pods`, { timeout: 1_200_000 }, async (handler) => {
  const all: Pod[] = [];
  while (all.length < IDLE) {
    all.push(...(await Promise.all(Array.from({ length: 10 }, (_, n) => pods.run(`idle-${all.length + n}`, handler)))));
    await Promise.all(all.slice(-10).map((pod) => pod.start("one", "exec sleep 100000")));
  }
  process.stdout.write(`${handler}: ${(memory() / IDLE).toFixed(1)} MiB a pod\n`);
  for (const pod of all) await pods.cri.removePod(pod.id);
  await pods.containerd.expectNothingLeft("");
});
