/** Runs a container by the engine: what an installation is for. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { greetingProgram } from "../../../linux/exec.unsafe.ts";
import type { Engine } from "./engine.ts";

const GREETING = "a sandbox runs\n";
const PROGRAM = "/greet";
const TIMEOUT_MS = 60_000;

/** @returns undefined where it ran, else what the engine said. */
export function verify({ name, runs }: Engine): string | undefined {
  // Not in /tmp, which a service may have for itself alone (systemd.exec(5), PrivateTmp).
  const root = mkdtempSync("/var/lib/tssandbox-check-");
  try {
    chmodSync(root, 0o755);
    writeFileSync(join(root, PROGRAM), greetingProgram(GREETING), { mode: 0o755 });
    const run = runs(root, PROGRAM);
    if (run === undefined) return `${name} has no client that could run a container without an image`;
    const prepared = run.before === undefined ? undefined : call(run.before);
    if (prepared?.failure !== undefined) return prepared.failure;
    const { output, failure } = call(run.command);
    if (run.after !== undefined) call(run.after);
    return failure ?? (output === GREETING ? undefined : `the container wrote ${JSON.stringify(output)}`);
  } finally {
    rmSync(root, { recursive: true });
  }
}

function call([command = "", ...args]: readonly string[]): { output: string; failure: string | undefined } {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8", timeout: TIMEOUT_MS });
  if (error !== undefined) return { output: "", failure: `${command}: ${error.message}` };
  return { output: stdout, failure: status === 0 ? undefined : stderr.trim() };
}
