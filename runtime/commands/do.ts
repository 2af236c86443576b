import { messageOf } from "../../linux/errors.ts";
import { Option } from "../commander.ts";
import type { Globals } from "../globals.ts";
import type { Registry } from "./registry.ts";
import { decideOptions, type DoFlags } from "../do/options.ts";
import { exitCodeOf } from "../do/failure.ts";
import { runSandbox } from "../do/sandbox.ts";
import { bytes, collect, duration, integer, InvalidArgumentError } from "./arguments.ts";

export function registerDo({ program, action }: Registry): void {
  program
    .command("do")
    .argument("[command...]", "the program and its arguments, after --")
    .description("run an untrusted command in a sandbox: no image, no network, nothing of the host writable")
    .option("--rootfs <path>", "in the place of the host's root: a directory, a tar archive (.gz, .zst, .xz), an OCI layout or a tar of one")
    .option("--rw", "let it write to the current directory; else that is read-only as well")
    .option("--bind <source[:destination][:ro|:rw]>", "show a further file or directory; read-only unless :rw", collect)
    .option("-e, --env <name[=value]>", "set a variable, or pass the caller's on", collect)
    .option("--cwd <dir>", "working directory (default: the current one)")
    .option("--hostname <name>", "host name inside", hostname, "sandbox")
    .option("--user <uid[:gid]>", "ids inside (default: the caller's); always unprivileged ones on the host", user)
    .addOption(new Option("--network <kind>", "none: only a loopback of its own; host: the host's").choices(["none", "host"]).default("none"))
    .option("--allow-net <host[:port]>", "let it reach this name, *.name, address or network on the network, and nothing else; may be repeated", collect)
    .option("--memory <bytes>", "limit, with a suffix k, m or g", bytes(1))
    .option("--cpus <number>", "limit, for example 1.5", cpus)
    .option("--pids <number>", "limit of processes and threads (default: 1024)", integer(1, 4_194_304))
    .option("--timeout <time>", "end it after 30s, 5m, ...; the exit code is 124 then", timeout)
    .passThroughOptions()
    .action(action(doCommand));
}

async function doCommand(globals: Globals, args: string[], flags: DoFlags): Promise<number> {
  try {
    return await runSandbox(globals, decideOptions(args, flags));
  } catch (error) {
    globals.log.error(messageOf(error));
    return exitCodeOf(error);
  }
}

function cpus(text: string): number {
  const value = Number(text);
  // The kernel's smallest quota is 1 ms in a period of 100.
  if (!/^\d+(\.\d+)?$/.test(text) || value < 0.01 || value > 8192) throw new InvalidArgumentError("It must be a number of CPUs such as 2 or 0.5.");
  return value;
}

/** The longest that a timer can wait. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

function timeout(text: string): number {
  const value = duration(text);
  if (value <= 0 || value > MAX_TIMEOUT_MS) throw new InvalidArgumentError("It must be more than 0 and at most 24 days.");
  return value;
}

function hostname(text: string): string {
  if (!/^[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?$/.test(text)) throw new InvalidArgumentError("It must be a host name of at most 64 characters.");
  return text;
}

function user(text: string): { uid: number; gid: number } {
  const [uid, gid] = text.split(":").map((part) => (/^\d{1,9}$/.test(part) ? Number(part) : Number.NaN));
  if (uid === undefined || Number.isNaN(uid) || Number.isNaN(gid ?? uid)) throw new InvalidArgumentError("It must be UID or UID:GID, by number.");
  return { uid, gid: gid ?? uid };
}
