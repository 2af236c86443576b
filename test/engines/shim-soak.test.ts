/**
 * Pods that come and go while things go wrong: shims, sentries, gofers and inits are killed, containerd restarts, the volume for logs is full, hooks take
 * their time. What has met no fault must work; everything must go. Two and a half minutes; `TSSANDBOX_SOAK` has other seconds, `TSSANDBOX_SEED` repeats a run's choices.
 */
import { execFileSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { HANDLERS, SLOW_HANDLER } from "./cri/node.ts";
import { type Pod, Pods } from "./cri/pods.ts";
import { eventually, parentOf } from "./support.ts";

const SECONDS = Number(process.env["TSSANDBOX_SOAK"] ?? 150);
const SEED = Number(process.env["TSSANDBOX_SEED"] ?? Date.now() % 1_000_000);
const WORKERS = 3;
/** How long anything may need until it is gone. */
const CONVERGES_SECONDS = 90;

let pods: Pods;
// For each try: what a failed one has left would fail the next.
beforeEach(async () => {
  pods = await Pods.start();
  mkdirSync(pods.containerd.workspace.path("logs"));
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tss-soak", pods.containerd.workspace.path("logs")]);
});
afterEach(async ({ task }) => {
  if (task.result?.state === "fail") process.stdout.write(`${pods?.containerd.lastWords()}\n`);
  await pods?.[Symbol.asyncDispose]();
});

/** Numbers from 0 to 1, the same for the same seed. Source: mulberry32. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

type Random = () => number;
const pick = <T>(next: Random, from: readonly T[]): T => from[Math.floor(next() * from.length)] as T;

const KILLED = ["nobody", "nobody", "shim", "sentry", "gofer", "init", "pause"] as const;

/** What goes wrong for all: whoever lives through it may fail. */
class Weather {
  /** How often containerd has gone. */
  restarts = 0;
  full = false;

  async restart(): Promise<void> {
    this.restarts++;
    await pods.containerd.restart();
    await eventually("the plugin is there", () => pods.cri.listPods().then(() => true, () => false), CONVERGES_SECONDS);
    this.restarts++;
  }

  async fillLogs(seconds: number): Promise<void> {
    const file = pods.containerd.workspace.path("logs/filler");
    const fd = openSync(file, "w");
    try {
      this.full = true;
      for (;;) writeSync(fd, Buffer.alloc(4096));
    } catch {
      // Full, as it should be.
    } finally {
      closeSync(fd);
    }
    await sleep(seconds * 1000);
    rmSync(file);
    this.full = false;
  }
}

interface Score {
  lives: number;
  /** By what had been done to it. */
  readonly ended: Record<string, number>;
}

const victims: Readonly<Record<Exclude<(typeof KILLED)[number], "nobody">, (pod: Pod, id: string) => Promise<number | undefined>>> = {
  shim: async (_pod, id) => parentOf(await pods.containerd.pid(id)),
  sentry: async (_pod, id) => sandboxOf(id)?.sentry.pid,
  gofer: async (_pod, id) => sandboxOf(id)?.gofers[0]?.pid,
  init: async (_pod, id) => pods.containerd.pid(id),
  pause: async (pod) => pods.containerd.pid(pod.id),
};

function sandboxOf(id: string): { sentry: { pid: number }; gofers: { pid: number }[] } | undefined {
  const file = pods.containerd.workspace.path("runtime/k8s.io", id, "sandbox.json");
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as ReturnType<typeof sandboxOf>) : undefined;
}

async function kill(who: (typeof KILLED)[number], pod: Pod, id: string): Promise<void> {
  const victim = who === "nobody" ? undefined : await victims[who](pod, id);
  // 0 and 1 are not told apart from "no such task" by whoever asks.
  if (victim !== undefined && victim > 1) process.kill(victim, "SIGKILL");
}

/** A pod from its making to its removal. @throws where something failed, though nobody did anything to it. */
async function live(name: string, weather: Weather, next: Random, score: Score): Promise<void> {
  const [handler, who] = [pick(next, [...Object.values(HANDLERS), HANDLERS.sentry, SLOW_HANDLER]), pick(next, KILLED)];
  const before = weather.restarts;
  let pod: Pod | undefined;
  try {
    pod = await pods.run(name, handler);
    const id = await pod.start("one", "while :; do echo a line of the log; sleep 0.2; done");
    expect((await pods.cri.exec(id, "echo", name)).stdout).toBe(`${name}\n`);
    await kill(who, pod, id);
    if (who === "nobody") expect((await pods.cri.exec(id, "sh", "-c", "exit 3")).code).toBe(3);
    else await pods.cri.exec(id, "true").catch(() => {});
    if (next() < 0.5) await pods.cri.stop(id, 1);
  } catch (error) {
    if (who === "nobody" && weather.restarts === before && before % 2 === 0) throw new Error(`${name} of ${handler}, to which nothing was done: ${String(error)}`, { cause: error });
  }
  const made = pod;
  // containerd is away, most likely.
  if (made === undefined) return sleep(200);
  await goes(`${name} of ${handler} (killed: ${who})`, made.id);
  score.lives++;
  score.ended[who] = (score.ended[who] ?? 0) + 1;
}

/** As the kubelet does: again and again. @throws with the last refusal */
async function goes(what: string, id: string): Promise<void> {
  let refusal = "";
  const removed = () => pods.cri.removePod(id).then(() => true, (error: unknown) => {
    refusal = String(error);
    return false;
  });
  await eventually(`${what} goes`, removed, CONVERGES_SECONDS).catch((error: unknown) => {
    throw new Error(`${String(error)}: ${refusal}`, { cause: error });
  });
}

async function misfortune(weather: Weather, next: Random, end: number): Promise<void> {
  while (performance.now() < end) {
    await sleep(3000 + next() * 7000);
    if (next() < 0.5) await weather.restart();
    else await weather.fillLogs(1 + next() * 2);
  }
}

test(`${SECONDS} seconds of faults, seed ${SEED}: what has met none works, and all of it goes`, { timeout: (SECONDS + 300) * 1000 }, async () => {
  const weather = new Weather();
  const score: Score = { lives: 0, ended: {} };
  const end = performance.now() + SECONDS * 1000;
  const worker = async (number: number) => {
    const next = random(SEED + number);
    for (let n = 0; performance.now() < end; n++) await live(`soak-${number}-${n}`, weather, next, score);
  };
  await Promise.all([misfortune(weather, random(SEED), end), ...Array.from({ length: WORKERS }, (_, number) => worker(number))]);
  process.stdout.write(`soak, seed ${SEED}: ${score.lives} pods, ${weather.restarts / 2} restarts of containerd; killed: ${JSON.stringify(score.ended)}\n`);
  expect(score.lives).toBeGreaterThan(WORKERS);
  // Those whose making containerd's death has interrupted: the kubelet removes what it does not know.
  for (const id of await pods.cri.listPods()) await goes(id, id);
  // A shim that is not asked for anything, since containerd has died, ends after half a minute.
  await pods.containerd.expectNothingLeft("", CONVERGES_SECONDS);
});
