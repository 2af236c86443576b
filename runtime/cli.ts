/** The command line, as runc's users and engines know it. Source: runc(8), and what engines were seen to pass (test/engines). */
import { messageOf } from "../linux/errors.ts";
import { writeSync } from "node:fs";
import process from "node:process";
import { Command, CommanderError, Option } from "commander";
import { registerBench } from "../bench/command.ts";
import { CONFIG_FILE, readConfig } from "./config/config.ts";
import { NO_CONFIG, type Config } from "./config/schema.ts";
import { effectiveUid } from "../linux/credentials.ts";
import { PLATFORMS, type PlatformName } from "../policies/syscalls/platform.ts";
import { inUserNamespace } from "./container/id-maps.ts";
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
import type { Globals } from "./globals.ts";
import type { Registry } from "./commands/registry.ts";
import { Logger } from "./log.ts";
import { POLICY_NAMES, type PolicyName } from "../policies/syscalls/trapped.ts";
import { MODES, type Mode } from "./sandbox/mode.ts";
import { versionText } from "./version.ts";

interface GlobalFlags {
  readonly root?: string;
  readonly config?: string;
  readonly log?: string;
  readonly logFormat: "text" | "json";
  readonly debug?: boolean;
  readonly mode?: Mode;
  readonly policy?: PolicyName;
  readonly platform?: PlatformName;
  readonly strace?: boolean;
  readonly systemdCgroup?: boolean;
  readonly rootless?: string;
}

/** Exit codes of runc: 1 for every failure, 3 for a command that does not exist. */
const FAILURE = 1;
const UNKNOWN_COMMAND = 3;

/** @returns the exit code. */
export async function runCli(args: readonly string[]): Promise<number> {
  let code = 0;
  const program = new Command("tssandbox");
  configure(program);
  const registry: Registry = {
    program,
    action: (run, failureCode = FAILURE) => async (...actionArgs) => {
      const globals = configured(program);
        if (globals === undefined) {
          code = failureCode;
          return;
        }
      globals.log.debug(`called with ${JSON.stringify(args)}`);
      try {
        code = await run(globals, ...actionArgs);
        globals.log.flush();
        globals.log.debug(`ends with ${code}`);
      } catch (error) {
        globals.log.error(messageOf(error));
        code = failureCode;
      }
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
  exec: registerExec,
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

function configure(program: Command): void {
  program
    .description("run OCI containers in sandboxes")
    .version(versionText(), "-v, --version", "print the version")
    .option("--root <dir>", "directory for the containers' state (default: /run/tssandbox, or below $XDG_RUNTIME_DIR)")
    .option("--config <file>", `the host's configuration (default: ${CONFIG_FILE}, where there is one)`)
    .option("--log <file>", "write the log to this file as well")
    .addOption(new Option("--log-format <format>", "format of the log").choices(["text", "json"]).default("text"))
    .option("--debug", "log more")
    .addOption(new Option("--mode <mode>", "who plays the kernel for a new container (default: sentry)").choices(MODES).env("TSSANDBOX_MODE"))
    .addOption(new Option("--policy <policy>", "how much of the host's kernel a new sandbox's programs reach (default: balanced)").choices(POLICY_NAMES).env("TSSANDBOX_POLICY"))
    .addOption(new Option("--platform <platform>", "how a sandbox's system calls reach its kernel (default: what the host has)").choices(PLATFORMS).env("TSSANDBOX_PLATFORM"))
    .option("--strace", "print every system call of sandboxed programs, to the log or standard error; slow")
    .option("--systemd-cgroup", "let systemd make the cgroups; cgroupsPath is slice:prefix:name")
    .addOption(new Option("--rootless <when>", "whether to ignore cgroup permission errors").choices(["true", "false", "auto"]).default("auto"))
    .option("--criu <path>", "accepted for compatibility; without effect")
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

/** @returns undefined where the configuration cannot be used, which has been told. */
function configured(program: Command): Globals | undefined {
  const flags = program.opts<GlobalFlags>();
  try {
    return decideGlobals(flags, readConfig(flags.config ?? CONFIG_FILE, flags.config === undefined));
  } catch (error) {
    decideGlobals(flags, NO_CONFIG).log.error(messageOf(error));
    return undefined;
  }
}

function decideGlobals(flags: GlobalFlags, config: Config): Globals {
  const rootless = flags.rootless === "true" || (flags.rootless !== "false" && isOrdinaryUser());
  return {
    root: flags.root ?? config.root ?? defaultRoot(),
    config,
    mode: flags.mode,
    policy: flags.policy,
    platform: flags.platform,
    strace: flags.strace === true,
    systemdCgroup: flags.systemdCgroup ?? config.systemdCgroup ?? false,
    rootless,
    log: new Logger({ file: flags.log, format: flags.logFormat, debug: flags.debug === true, node: config.log }),
  };
}

function defaultRoot(): string {
  const runtimeDirectory = process.env["XDG_RUNTIME_DIR"];
  return runtimeDirectory && isOrdinaryUser() ? `${runtimeDirectory}/tssandbox` : "/run/tssandbox";
}

/** Not root, or root only of a user namespace, as rootless podman starts a runtime; USER tells it from root in a container. As runc decides. */
function isOrdinaryUser(): boolean {
  return effectiveUid() !== 0 || (process.env["USER"] !== "root" && inUserNamespace());
}

/** `--log FILE` wants the refusal too: an engine reads nothing else. */
function usageCode(error: CommanderError, program: Command, args: readonly string[]): number {
  if (error.exitCode === 0) return 0;
  const flags = program.opts<GlobalFlags>();
  if (flags.log !== undefined) new Logger({ file: flags.log, format: flags.logFormat, debug: false }).error(error.message.replace(/^error: /, ""));
  if (error.code === "commander.help" && args.length === 0) return 0;
  return error.code === "commander.unknownCommand" ? UNKNOWN_COMMAND : FAILURE;
}
