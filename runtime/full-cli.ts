/** The whole command line, help and refusals included, by commander: for whatever quick-command.ts leaves to it. */
import { writeSync } from "node:fs";
import { Command, CommanderError, Option } from "./commander.ts";
import { registerBench } from "../bench/command.ts";
import { registerCompletion } from "./commands/manual/completion.ts";
import { registerMan } from "./commands/manual/man.ts";
import { registerCreate } from "./commands/create.ts";
import { registerDebug } from "./commands/debug.ts";
import { registerDelete } from "./commands/delete.ts";
import { registerDo } from "./commands/do.ts";
import { registerEvents } from "./commands/events.ts";
import { registerExec } from "./commands/exec.ts";
import { registerFeatures } from "./commands/features.ts";
import { registerInstall, registerUninstall } from "./commands/install/command.ts";
import { registerKill } from "./commands/kill.ts";
import { registerList } from "./commands/list.ts";
import { registerMetrics } from "./commands/metrics/command.ts";
import { registerPause } from "./commands/pause.ts";
import { registerPs } from "./commands/ps.ts";
import { registerRun } from "./commands/run.ts";
import { registerSpec } from "./commands/spec.ts";
import { registerStart } from "./commands/start.ts";
import { registerState } from "./commands/state.ts";
import { registerSyscalls } from "./commands/syscalls.ts";
import { registerUpdate } from "./commands/update.ts";
import { registerVm } from "./commands/vm.ts";
import type { Registry } from "./commands/registry.ts";
import { GLOBAL_OPTIONS, type GlobalFlags } from "./global-options.ts";
import { Logger } from "./log.ts";
import { FAILURE, runAction } from "./run-action.ts";
import { versionText } from "./version.ts";

/** Exit code of runc for a command that does not exist. */
const UNKNOWN_COMMAND = 3;

/** @returns the exit code. */
export async function runFullCli(args: readonly string[]): Promise<number> {
  let code = 0;
  const program = new Command("tssandbox");
  configure(program);
  const registry: Registry = {
    program,
    action: (run, failureCode = FAILURE) => async (...actionArgs) => {
      code = await runAction(args, program.opts<GlobalFlags>(), failureCode, (globals) => run(globals, ...actionArgs));
    },
  };
  for (const register of commandsFor(args)) register(registry);
  try {
    await program.parseAsync(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return usageCode(error, program, args);
  }
  return code;
}

const pauseAndResume = (registry: Registry) => registerPause(registry);

/** Those that are loaded at first use (scripts/build.ts) are not named before that. */
const COMMANDS: Readonly<Record<string, (registry: Registry) => void>> = {
  create: registerCreate,
  start: registerStart,
  run: registerRun,
  exec: (registry) => registerExec(registry),
  state: registerState,
  list: (registry) => registerList(registry),
  kill: registerKill,
  delete: registerDelete,
  ps: (registry) => registerPs(registry),
  pause: pauseAndResume,
  resume: pauseAndResume,
  update: (registry) => registerUpdate(registry),
  events: (registry) => registerEvents(registry),
  spec: (registry) => registerSpec(registry),
  features: (registry) => registerFeatures(registry),
  syscalls: (registry) => registerSyscalls(registry),
  debug: (registry) => registerDebug(registry),
  do: (registry) => registerDo(registry),
  bench: (registry) => registerBench(registry),
  vm: (registry) => registerVm(registry),
  completion: (registry) => registerCompletion(registry),
  man: (registry) => registerMan(registry),
  metrics: (registry) => registerMetrics(registry),
  install: (registry) => registerInstall(registry),
  uninstall: (registry) => registerUninstall(registry),
};

/** Setting all commands up costs a tenth of a start: only those are that the arguments name, or all where they name none. */
function commandsFor(args: readonly string[]): ReadonlySet<(registry: Registry) => void> {
  if (args[0] === "--version" || args[0] === "-v") return new Set();
  // They are about all of them.
  if (args.some((arg) => arg === "completion" || arg === "man")) return new Set(Object.values(COMMANDS));
  const named = args.flatMap((arg) => (Object.hasOwn(COMMANDS, arg) ? (COMMANDS[arg] ?? []) : []));
  return new Set(named.length === 0 || args[0] === "help" ? Object.values(COMMANDS) : named);
}

/** Declares the global options and how the program speaks. */
export function configure(program: Command): void {
  program.description("run OCI containers in sandboxes").version(versionText(), "-v, --version", "print the version");
  for (const { flags, description, choices, initial, env } of GLOBAL_OPTIONS) {
    const option = new Option(flags, description);
    if (choices !== undefined) option.choices(choices);
    if (initial !== undefined) option.default(initial);
    if (env !== undefined) option.env(env);
    program.addOption(option);
  }
  program
    .enablePositionalOptions()
    .exitOverride()
    .showHelpAfterError(false)
    .configureOutput({
      // Node's own streams take milliseconds to come up.
      writeOut: (text) => void writeSync(1, text),
      writeErr: (text) => void writeSync(2, text),
      outputError: (text) => void writeSync(2, text.replace(/^error: /, "tssandbox: ")),
    });
}

/** `--log FILE` wants the refusal too: an engine reads nothing else. */
function usageCode(error: CommanderError, program: Command, args: readonly string[]): number {
  if (error.exitCode === 0) return 0;
  const flags = program.opts<GlobalFlags>();
  if (flags.log !== undefined) new Logger({ file: flags.log, format: flags.logFormat, debug: false }).error(error.message.replace(/^error: /, ""));
  if (error.code === "commander.help" && args.length === 0) return 0;
  return error.code === "commander.unknownCommand" ? UNKNOWN_COMMAND : FAILURE;
}
