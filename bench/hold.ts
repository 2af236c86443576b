/** The door to bench/host/hold.c, which runs a command, times it, and ends all that it has started. */
import { spawn, type ChildProcess } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { constants } from "node:os";
import { compile } from "./work.ts";

export interface RunOptions {
  readonly seconds: number;
  /** The only processor that all of it may use; any of them where left out. */
  readonly cpu?: string | undefined;
}

/** What is kept of an output, in characters; the rest is dropped. */
const KEPT = 1 << 24;

export type Run =
  /** `code` as in a shell: 128 and the signal's number for one that a signal has ended. Milliseconds from before its fork. */
  | { readonly kind: "ended"; readonly code: number; readonly stdout: string; readonly stderr: string; readonly milliseconds: number; readonly firstOutput?: number }
  /** It could not be started, or took too long: then all of it was ended. */
  | { readonly kind: "failed"; readonly why: string; readonly stdout: string; readonly stderr: string };

/** Runs a command to its end, and ends what it leaves behind. */
export async function hold(command: readonly string[], { seconds, cpu = "any" }: RunOptions): Promise<Run> {
  const held = new Held("run", seconds, cpu, command);
  const report = await held.gone;
  const { stdout, stderr } = held;
  const failed = (why: string): Run => ({ kind: "failed", why, stdout, stderr });
  const [kind = "", ...numbers] = (report[0] ?? "").split(" ");
  if (kind === "timeout") return failed(`timed out after ${seconds} s`);
  if (kind === "failed") return failed(`${command[0]}: ${errnoName(Number(numbers[0]))}`);
  if (kind !== "exit") return failed(`the holder ended: ${lastLines(stderr)}`);
  const [code = 0, first = -1, total = 0] = numbers.map(Number);
  return { kind: "ended", code, stdout, stderr, milliseconds: total / 1e6, ...(first >= 0 && { firstOutput: first / 1e6 }) };
}

/** A command that stays, or whose container does. */
export interface Running extends AsyncDisposable {
  /** Of the host: all processes that the command has started and that are there now, whoever their parent became. */
  pids(): number[];
  readonly stdout: string;
  readonly stderr: string;
  /** Ends all of them. @throws where some could not be ended. */
  stop(): Promise<void>;
}

/** `exec` runs another command in the container, where the runtime knows that. */
export type Start = { readonly kind: "running"; readonly running: Running; readonly exec?: (args: readonly string[], options: RunOptions) => Promise<Run> } | { readonly kind: "failed"; readonly why: string };

export interface StayOptions extends RunOptions {
  /** What its output has when it has come up. */
  readonly ready: string;
  /** The command itself ends, and leaves a container behind. */
  readonly detaches: boolean;
  /** Called when it is to end, before the holder kills what is left. */
  readonly cleanUp: () => Promise<void>;
}

/** Starts a command that stays, or that leaves a container behind. */
export async function holdStaying(command: readonly string[], { seconds, cpu = "any", ready, detaches, cleanUp }: StayOptions): Promise<Start> {
  const held = new Held("stay", seconds, cpu, command, cleanUp);
  const why = await held.until(ready, detaches, seconds);
  if (why === undefined) return { kind: "running", running: held };
  await held.stop();
  return { kind: "failed", why: held.stderr === "" ? why : `${why}: ${lastLines(held.stderr)}` };
}

const all = new Set<Held>();

/** Ends all commands that are held, and what they have started. */
export async function endAll(): Promise<void> {
  await Promise.all([...all].map((held) => held.end()));
}

class Held implements Running {
  stdout = "";
  stderr = "";
  /** The lines of its report, when all has ended. */
  readonly gone: Promise<string[]>;
  readonly #child: ChildProcess;
  readonly #cleanUp: () => Promise<void>;
  #report = "";
  #changed: () => void = () => undefined;

  constructor(how: "run" | "stay", seconds: number, cpu: string, command: readonly string[], cleanUp: () => Promise<void> = async () => undefined) {
    const child = spawn(compile("bench/host/hold.c"), [how, String(seconds), cpu, ...command], { stdio: ["pipe", "pipe", "pipe", "pipe"] });
    this.#child = child;
    this.#cleanUp = cleanUp;
    const collect = (index: number, take: (text: string) => void) => {
      const stream = child.stdio[index];
      if (stream === null || stream === undefined || !("setEncoding" in stream)) throw new Error("the holder has no pipes");
      stream.setEncoding("utf8").on("data", (text: string) => (take(text), this.#changed()));
    };
    collect(1, (text) => (this.stdout = (this.stdout + text).slice(0, KEPT)));
    collect(2, (text) => (this.stderr = (this.stderr + text).slice(0, KEPT)));
    collect(3, (text) => (this.#report += text));
    this.gone = new Promise((resolve, reject) => {
      const end = () => resolve(this.#report.split("\n").filter((line) => line !== ""));
      child.once("error", reject).once("close", end);
      // A process that could not be ended may hold the standard error open.
      child.once("exit", () => setTimeout(end, 2000).unref());
    });
    all.add(this);
    const over = () => {
      all.delete(this);
      this.#changed();
    };
    void this.gone.then(over, over);
  }

  /** @returns why it has not come up, undefined if it has. */
  async until(ready: string, detaches: boolean, seconds: number): Promise<string | undefined> {
    const state = (): { why?: string } | undefined => {
      const code = /^(?:exit|failed) (\d+)/m.exec(this.#report)?.[1];
      if (this.stdout.includes(ready) && (!detaches || code === "0")) return {};
      // The container that it leaves may still be about to print.
      if (code !== undefined && code !== "0") return { why: `exit code ${code}` };
      return this.#child.exitCode === null ? undefined : { why: "it ended" };
    };
    const known = await new Promise<{ why?: string }>((resolve) => {
      const timer = setTimeout(() => resolve({ why: `not up after ${seconds} s` }), seconds * 1000);
      this.#changed = () => {
        const now = state();
        if (now === undefined) return;
        clearTimeout(timer);
        resolve(now);
      };
      this.#changed();
    });
    this.#changed = () => undefined;
    return known.why;
  }

  pids(): number[] {
    return this.#child.pid === undefined ? [] : descendants(this.#child.pid);
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode === null) await this.#cleanUp();
    const left = /^gone (\d+)$/m.exec((await this.end()).join("\n"))?.[1];
    if (left !== "0") throw new Error(`${left ?? "unknown"} processes could not be ended`);
  }

  /** @returns its report. */
  async end(): Promise<string[]> {
    this.#child.stdin?.end();
    return await this.gone;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** The last of a text, on one line: where programs say why. */
export const lastLines = (text: string): string => text.trim().split("\n").slice(-3).map((line) => line.trim()).join(" | ").slice(-300);

const errnoName = (errno: number): string => Object.entries(constants.errno).find(([, number]) => number === errno)?.[0] ?? `errno ${errno}`;

/** Source: proc_pid_stat(5); the name may have spaces and brackets. */
function parentOf(pid: number): number | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    return Number(text.slice(text.lastIndexOf(")") + 1).trim().split(" ")[1]);
  } catch {
    // It has ended.
    return undefined;
  }
}

function descendants(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const pid of readdirSync("/proc").map(Number).filter((pid) => pid > 0)) {
    const parent = parentOf(pid);
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  const found: number[] = [];
  for (let next = children.get(root) ?? []; next.length > 0; next = next.flatMap((pid) => children.get(pid) ?? [])) found.push(...next);
  return found;
}
