import { labelsOf } from "../container/labels.ts";
import { execInContainer } from "../container/exec.ts";
import { catchSignals, openRelay, supervise, type Relay } from "../container/foreground.ts";
import { readText } from "../container/input.ts";
import { openConsole } from "../container/launch.ts";
import { Container } from "../container/store.ts";
import { inStep } from "../../linux/errors.ts";
import type { Globals } from "../globals.ts";
import type { Registry } from "./registry.ts";
import type { Logger } from "../log.ts";
import type { Process, Spec } from "../spec/config.ts";
import { checkedProcess, parseProcess } from "../spec/validate.ts";
import { collect, integer } from "./arguments.ts";

interface ExecFlags {
  readonly consoleSocket?: string;
  readonly cwd?: string;
  readonly env?: string[];
  readonly tty?: boolean;
  readonly user?: string;
  readonly additionalGids?: string[];
  readonly process?: string;
  readonly detach?: boolean;
  readonly pidFile?: string;
  readonly processLabel?: string;
  readonly apparmor?: string;
  readonly newPrivs: boolean;
  readonly cap?: string[];
  readonly preserveFds: number;
  readonly ignorePaused?: boolean;
  readonly cgroup?: string[];
}

/** What cannot be set up ends with 255, so that a caller can tell it from the command's own failure. */
const SETUP_FAILURE = 255;

export function registerExec({ program, action }: Registry): void {
  program
    .command("exec")
    .argument("<id>")
    .argument("[command...]")
    .description("run a further process in a container")
    .option("--console-socket <path>", "unix socket that receives the terminal's master")
    .option("--cwd <dir>", "working directory in the container")
    .option("-e, --env <name=value>", "one more environment variable", collect)
    .option("-t, --tty", "give it a terminal")
    .option("-u, --user <uid[:gid]>", "user and group by number")
    .option("-g, --additional-gids <gid>", "one more group", collect)
    .option("-p, --process <file>", "the whole process as JSON")
    .option("-d, --detach", "do not wait for it")
    .option("--pid-file <file>", "write its pid to this file")
    .option("--process-label <label>", "SELinux label")
    .option("--apparmor <profile>", "AppArmor profile")
    .option("--no-new-privs", "set no_new_privs")
    .option("-c, --cap <capability>", "one more capability", collect)
    .option("--preserve-fds <n>", "how many more descriptors, from 3 on, it inherits", integer(0, 1024), 0)
    .option("--cgroup <[controllers:]path>", "an existing cgroup below the container's own", collect)
    .option("--ignore-paused", "allow it in a paused container")
    .passThroughOptions()
    .action(action(runExecCommand, SETUP_FAILURE));
}

async function runExecCommand(globals: Globals, id: string, args: string[], flags: ExecFlags): Promise<number> {
  const container = Container.open(globals.root, id);
  globals.log.about(labelsOf(id, container.record.annotations));
  const spec = container.spec();
  const process = inStep("process", () => processOf(spec, args, flags, globals.log));
  const detached = flags.detach === true;
  const terminal = process.terminal === true;
  const target = inStep("console socket", () => openConsole(terminal, flags.consoleSocket, detached));
  const relay: Relay | undefined = terminal && target === undefined ? openRelay() : undefined;
  using signals = detached ? undefined : catchSignals();
  const pid = execInContainer(container, {
    spec,
    process,
    console: target ?? relay?.target,
    pidFile: flags.pidFile,
    preserveFds: flags.preserveFds,
    newKeyring: false,
    ignorePaused: flags.ignorePaused === true,
    cgroups: flags.cgroup ?? [],
    strace: globals.strace,
    log: globals.log,
  });
  globals.log.flush();
  const attached = relay?.attach();
  return signals === undefined ? 0 : await supervise(pid, signals, attached);
}

/** `--process` as it is; else the container's own process with the flags laid over it. */
function processOf(spec: Spec, args: readonly string[], flags: ExecFlags, log: Logger): Process {
  if (flags.process !== undefined) return log.warned(parseProcess(readText(flags.process, "--process")));
  return log.warned(checkedProcess(composed(spec, args, flags)));
}

function composed(spec: Spec, args: readonly string[], flags: ExecFlags): Process {
  if (args.length === 0) throw new Error("exec: give a command, or a process with --process");
  const { consoleSize, ...base }: Process = spec.process ?? { cwd: "/", user: { uid: 0, gid: 0 } };
  return {
    ...base,
    args: [...args],
    terminal: flags.tty === true,
    ...(flags.tty === true && consoleSize !== undefined ? { consoleSize } : {}),
    cwd: flags.cwd ?? base.cwd,
    env: [...(base.env ?? []), ...(flags.env ?? [])],
    user: userOf(base.user, flags),
    ...(!flags.newPrivs ? { noNewPrivileges: true } : {}),
    ...(flags.processLabel === undefined ? {} : { selinuxLabel: flags.processLabel }),
    ...(flags.apparmor === undefined ? {} : { apparmorProfile: flags.apparmor }),
    ...(flags.cap === undefined ? {} : { capabilities: withCapabilities(base.capabilities, flags.cap) }),
  };
}

function userOf(base: Process["user"], { user, additionalGids }: ExecFlags): Process["user"] {
  const groups = additionalGids === undefined ? {} : { additionalGids: [...(base.additionalGids ?? []), ...additionalGids.map((gid) => id("--additional-gids", gid))] };
  if (user === undefined) return { ...base, ...groups };
  const [uid = "", gid] = user.split(":");
  return { ...base, ...groups, uid: id("--user", uid), gid: gid === undefined ? base.gid : id("--user", gid) };
}

function id(flag: string, text: string): number {
  if (!/^\d{1,10}$/.test(text) || Number(text) > 0xffffffff) throw new Error(`${flag}: ${JSON.stringify(text)} is not a user or group number`);
  return Number(text);
}

function withCapabilities(base: Process["capabilities"], added: readonly string[]): NonNullable<Process["capabilities"]> {
  const set = (names: readonly string[] = []) => [...new Set([...names, ...added])];
  return { ...base, bounding: set(base?.bounding), effective: set(base?.effective), permitted: set(base?.permitted), inheritable: set(base?.inheritable), ambient: set(base?.ambient) };
}
