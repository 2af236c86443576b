/**
 * Cases that must run in a forked child of a single-threaded Node: what they do to namespaces, filters or descriptors ends with them, and
 * vitest's own process, having threads, cannot fork.
 *
 *   scripts/topic.ts:    defineCases({ "a name": (arg) => value });     runs in the child
 *   topic.test.ts:       expect(runCase(script, "a name", arg)).toEqual(value);
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { SysError } from "../../linux/errors.ts";
import { writeAll } from "../../linux/file.ts";
import { fork } from "../../linux/fork.unsafe.ts";
import { shellCode, waitPid } from "../../linux/process.ts";
import { projectRoot } from "./paths.ts";

/** The project's own Node, whichever runs the tests. */
export const nodePath = join(projectRoot, "node_modules", "node", "bin", "node");

/** What a process needs to fork; see linux/fork.unsafe.ts. */
export const FORK_FLAGS = ["--single-threaded", "--v8-pool-size=0"] as const;

export interface Finished {
  /** Null where a signal ended it. */
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a script by the project's Node. @param flags Node's own; those for forking where left out. */
export function runScript(script: string, args: readonly string[] = [], flags: readonly string[] = FORK_FLAGS, timeoutMs = 30_000): Finished {
  const done = spawnSync(nodePath, [...flags, script, ...args], { encoding: "utf8", timeout: timeoutMs, maxBuffer: 64 << 20 });
  if (done.error !== undefined) throw done.error;
  return { code: done.status, signal: done.signal, stdout: done.stdout, stderr: done.stderr };
}

/** The value that a case returned. @throws Error with what it wrote on standard error where it failed. */
export function runCase(script: string, name: string, ...args: string[]): unknown {
  const { code, signal, stdout, stderr } = runScript(script, [name, ...args]);
  if (code !== 0) throw new Error(`case ${JSON.stringify(name)} ended with ${signal ?? code}: ${stderr}`);
  return JSON.parse(stdout) as unknown;
}

export type Case = (...args: string[]) => unknown;

/** Runs the case named on the command line in a forked child and prints its value as JSON; a bigint becomes a decimal string. */
export function defineCases(cases: Readonly<Record<string, Case>>): void {
  const [name = "", ...args] = process.argv.slice(2);
  const run = cases[name];
  if (run === undefined) throw new Error(`no case ${JSON.stringify(name)}`);
  const ended = waitPid(fork(() => report(() => run(...args))));
  process.exitCode = ended === undefined ? 1 : shellCode(ended.status);
}

function report(run: () => unknown): number {
  try {
    const text = JSON.stringify(run() ?? null, (_key, value: unknown) => (typeof value === "bigint" ? value.toString() : value));
    writeAll(1, text);
    return 0;
  } catch (error) {
    writeAll(2, `${error instanceof Error ? error.stack : String(error)}\n`);
    return 1;
  }
}

/** The symbolic errno that `action` is refused with, or `ok`. Other errors pass. */
export function refusal(action: () => unknown): string {
  try {
    action();
    return "ok";
  } catch (error) {
    if (error instanceof SysError) return error.code;
    throw error;
  }
}

/** The message of whatever `action` throws. */
export function messageOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  throw new Error("nothing was thrown");
}

/** Runs `main` in a forked child. @returns its exit code as a shell reports it. */
export function exitCodeOf(main: () => number): number {
  const ended = waitPid(fork(main));
  if (ended === undefined) throw new Error("the child cannot be waited for");
  return shellCode(ended.status);
}
