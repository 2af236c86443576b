/** The command line, as runc's users and engines know it. Source: runc(8), and what engines were seen to pass (test/engines). */
import { registerCreate } from "./commands/create.ts";
import { registerDelete } from "./commands/delete.ts";
import { registerExec } from "./commands/exec.ts";
import { registerKill } from "./commands/kill.ts";
import type { Registry } from "./commands/registry.ts";
import { registerRun } from "./commands/run.ts";
import { registerStart } from "./commands/start.ts";
import { registerState } from "./commands/state.ts";
import { runFullCli } from "./full-cli.ts";
import { GLOBAL_OPTIONS, type GlobalFlags } from "./global-options.ts";
import { parseQuickly } from "./quick-command.ts";
import { FAILURE, runAction } from "./run-action.ts";

/** The commands of a container's life, which an engine waits for. */
export const LIFE: Readonly<Record<string, (registry: Registry) => void>> = {
  create: registerCreate,
  start: registerStart,
  run: registerRun,
  // Loaded at first use (scripts/parts.ts), and so not named before that.
  exec: (registry) => registerExec(registry),
  state: registerState,
  kill: registerKill,
  delete: registerDelete,
};

/** @returns the exit code. */
export async function runCli(args: readonly string[]): Promise<number> {
  let code = 0;
  const quick = parseQuickly(args, GLOBAL_OPTIONS, LIFE, (run, failureCode = FAILURE) => async (...actionArgs) => {
    code = await runAction(args, quick?.flags as unknown as GlobalFlags, failureCode, (globals) => run(globals, ...actionArgs));
  });
  if (quick === undefined) return await runFullCli(args);
  await quick.run();
  return code;
}
