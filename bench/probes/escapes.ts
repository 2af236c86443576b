/** What published escapes stood on, tried from inside. */
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { existsSync, lstatSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import process from "node:process";
import { exchangeNames } from "../../linux/file.ts";
import type { Outcome } from "../result.ts";
import type { Runtime } from "../runtimes.ts";
import { PROGRAM, probeBundle, whyOf, type ProbeContainer } from "./container.ts";
import { ESCAPES } from "./escape-table.ts";
import { judge, parseAttempts } from "./judge.ts";
import type { Behind } from "./tasks.ts";

const SECRET = "a file of the host";

/** An abstract socket of the host's network namespace. */
async function listen(name: string): Promise<Server> {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(`\0${name}`, resolve);
  });
  return server;
}

/** Two links out of the volume, to a file beside it. */
function fillVolume(volume: string): void {
  writeFileSync(join(volume, "../secret"), SECRET);
  symlinkSync(join(volume, "../secret"), join(volume, "whole-path"));
  symlinkSync("../secret", join(volume, "upwards"));
}

/** @param container what differs from an engine's. @returns by the attempts' names. */
export async function tryEscapes(runtime: Runtime, { guest }: Behind, container: Partial<ProbeContainer>): Promise<Map<string, Outcome>> {
  const name = `tssandbox-probe-${process.pid}`;
  using bundle = probeBundle({ args: ["escapes", `abstract=${name}`], profile: true, fillVolume, ...container });
  const server = await listen(name);
  try {
    const run = await runtime.run(bundle, { seconds: 40 });
    const seen = new Map(parseAttempts(run.stdout).map((attempt) => [attempt.attempt, attempt]));
    const missing: Outcome = { verdict: "unknown", detail: `the attempt was not made: ${whyOf(run)}` };
    return new Map(
      ESCAPES.map((escape) => {
        const attempt = seen.get(escape.attempt);
        return [escape.attempt, attempt === undefined ? missing : judge(attempt, escape, guest)];
      }),
    );
  } finally {
    server.close();
  }
}

/** Of the host's; a runtime that opens one before it changes its root would start the process in it. */
const firstDescriptor = 3;
const QUICK_DESCRIPTORS = 4;
const DESCRIPTORS = 8;

/**
 * CVE-2024-21626: the process is to be started in /proc/self/fd/N, a directory that the runtime has left open.
 * @returns `reached` where one of them was a directory outside of the container's root.
 */
export async function tryDirectories(runtime: Runtime, quick: boolean): Promise<Outcome> {
  let refusal: string | undefined;
  const last = firstDescriptor + (quick ? QUICK_DESCRIPTORS : DESCRIPTORS);
  for (let fd = last - 1; fd >= firstDescriptor; fd--) {
    using bundle = probeBundle({ args: ["escapes"], edit: (spec) => ({ ...spec, process: { ...spec.process!, cwd: `/proc/self/fd/${fd}` } }) });
    const run = await runtime.run(bundle, { seconds: 20 });
    const cwd = parseAttempts(run.stdout).find(({ attempt }) => attempt === "cwd");
    if (cwd !== undefined && cwd.result !== "no effect") return { verdict: "reached", detail: `started in /proc/self/fd/${fd}, which has no name inside: ${cwd.note}` };
    if (cwd === undefined) refusal = whyOf(run);
  }
  if (refusal === undefined) return { verdict: "unknown", detail: "started in its root: the runtime does not take the directory from config.json" };
  return { verdict: "blocked", detail: refusal };
}

const HUNT_MS = 1500;
const ENTRIES = 5;

/** What `probe hunt` has found. */
export function judgeHunt(stdout: string): Outcome {
  const lines = stdout.split("\n").map((line) => line.split("\t"));
  const found = (what: string) => lines.filter(([kind]) => kind === what);
  const [, seen = "0", closed = "0"] = found("hunted")[0] ?? [];
  const writable = found("exe").find(([, , how]) => how === "writable");
  if (writable !== undefined) return { verdict: "reached", detail: `${writable[1]} is within reach, and writable` };
  const outside = [...found("root"), ...found("cwd")][0];
  if (outside !== undefined) return { verdict: "reached", detail: `the ${outside[0]} of a process that enters is outside: ${outside[1]}` };
  if (seen === "0") return { verdict: "unknown", detail: "no process that enters was seen" };
  const images = found("exe").map(([, target, how]) => `${target} (${how})`);
  if (images.length > 0) return { verdict: "blocked", detail: `the image of a process that enters is seen, and not to be written: ${images.join(", ")}` };
  return { verdict: "blocked", detail: closed === "0" ? `${seen} processes entered, none of them with another image than the guest's` : `${seen} processes entered, and could not be looked into` };
}

/** CVE-2019-5736, CVE-2016-9962: processes enter by exec, and the guest looks at them from their first moment on. */
export async function tryExec(runtime: Runtime): Promise<Outcome> {
  using bundle = probeBundle({ args: ["hunt", String(HUNT_MS)] });
  const start = await runtime.start(bundle, "ready", { seconds: 20 });
  if (start.kind === "failed") return { verdict: "unknown", detail: start.why };
  await using running = start.running;
  if (start.exec === undefined) return { verdict: "unknown", detail: "the runtime cannot enter a container, or the bench does not know how" };
  for (let i = 0; i < ENTRIES; i++) await start.exec([PROGRAM, "true"], { seconds: 20 });
  for (let waited = 0; waited < 100 && !running.stdout.includes("hunted"); waited++) await new Promise((resolve) => setTimeout(resolve, 50));
  return judgeHunt(running.stdout);
}

const RACES = 20;

/**
 * CVE-2021-30465: while the runtime mounts on a directory in a volume, somebody with the same volume exchanges the directory for a link that leads
 * out. The link's runtime is a directory of ours: a mount that lands there has left the container. It would be in the container's mount namespace,
 * so what tells is a directory that the runtime makes for the mount: /volume/place/made.
 */
export async function tryMountRace(runtime: Runtime, rounds = RACES): Promise<Outcome> {
  let [started, landed] = [0, 0];
  for (let round = 0; round < rounds; round++) {
    using bundle = probeBundle({
      args: ["escapes"],
      fillVolume: (volume) => {
        mkdirSync(join(volume, "../outside"));
        mkdirSync(join(volume, "place"));
        symlinkSync(join(volume, "../outside"), join(volume, "link"));
      },
      edit: (spec) => ({ ...spec, mounts: [...(spec.mounts ?? []), { destination: "/volume/place/made", type: "tmpfs", source: "tmpfs", options: ["size=4k"] }] }),
    });
    const stop = exchange(bundle.volume ?? "");
    const run = await runtime.run(bundle, { seconds: 20 });
    stop();
    if (run.kind === "ended" && run.code === 0) started++;
    if (hasMade(join(bundle.path, "outside"))) return { verdict: "reached", detail: `after ${round + 1} starts a directory was made outside of the container` };
    if (["place", "link"].some((name) => hasMade(join(bundle.volume ?? "", name)))) landed++;
  }
  if (landed === 0) return { verdict: "unknown", detail: `none of ${rounds} starts has made a directory for the mount that could be seen in the volume` };
  return { verdict: "blocked", detail: `${rounds} starts, of which ${started} came about; the directory for the mount was made ${landed} times in the volume, and never outside` };
}

/** The directory itself, not what a link leads to. */
const hasMade = (directory: string) => lstatSync(directory).isDirectory() && existsSync(join(directory, "made"));

const AT_ONCE = 40;

/** Exchanges directory and link, again and again until it is told to stop. */
function exchange(volume: string): () => void {
  let going = true;
  const again = () => {
    if (!going) return;
    for (let i = 0; i < AT_ONCE; i++) exchangeNames(join(volume, "place"), join(volume, "link"));
    setImmediate(again);
  };
  again();
  return () => {
    going = false;
  };
}
