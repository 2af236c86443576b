/** The command line of `do`, decided. */
import { realpathSync, statSync } from "node:fs";
import { isAbsolute, normalize, resolve } from "node:path";
import process from "node:process";
import type { UserIds } from "../../linux/credentials.ts";
import { messageOf } from "../../linux/errors.ts";
import { parseTarget } from "../network/egress-rules.ts";
import type { Loan } from "./lend.ts";
import { topOf } from "./paths.ts";
import type { Limits, Network } from "./spec.ts";

/** As commander hands it over. */
export interface DoFlags {
  readonly rootfs?: string;
  readonly rw?: boolean;
  readonly bind?: readonly string[];
  readonly env?: readonly string[];
  readonly cwd?: string;
  readonly hostname: string;
  readonly user?: UserIds;
  readonly network: Network;
  readonly allowNet?: readonly string[];
  readonly memory?: number;
  readonly cpus?: number;
  readonly pids?: number;
  readonly timeout?: number;
}

export interface DoOptions {
  /** Empty: the image's own command. */
  readonly args: readonly string[];
  /** The host's root where it is undefined. */
  readonly rootfs: string | undefined;
  readonly loans: readonly Loan[];
  readonly env: readonly string[];
  /** The one that was asked for. */
  readonly cwd: string | undefined;
  readonly here: string;
  readonly hostname: string;
  readonly user: UserIds | undefined;
  readonly network: Network;
  /** Egress rules (runtime/network/egress-rules.ts) for a network of the sandbox's own; undefined: there is none. */
  readonly egress: string | undefined;
  readonly limits: Limits;
  /** Infinity for none. */
  readonly timeoutMs: number;
}

/** Enough for builds, and far from what troubles a host. */
const DEFAULT_PIDS = 1024;

/** @throws Error naming the option. */
export function decideOptions(args: readonly string[], flags: DoFlags): DoOptions {
  if (args.length === 0 && flags.rootfs === undefined) throw new Error("do: give a command, as in: tssandbox do -- ls");
  const here = realpathSync(process.cwd());
  return {
    args,
    rootfs: flags.rootfs,
    loans: [...currentDirectory(here, flags), ...(flags.bind ?? []).map((text) => parseBind(text, here)), ...nameResolution(flags)],
    env: (flags.env ?? []).flatMap(passedOn),
    cwd: flags.cwd === undefined ? undefined : resolve(here, flags.cwd),
    here,
    hostname: flags.hostname,
    user: flags.user,
    network: flags.network,
    egress: allowed(flags),
    limits: { memory: flags.memory, cpus: flags.cpus, pids: flags.pids ?? DEFAULT_PIDS },
    timeoutMs: flags.timeout ?? Infinity,
  };
}

const KERNEL_DIRECTORIES = new Set(["/proc", "/sys", "/dev"]);

/** `/` itself is what the root file system shows anyway. */
function currentDirectory(here: string, { rw }: DoFlags): Loan[] {
  const writable = rw === true;
  if (here === "/" || KERNEL_DIRECTORIES.has(topOf(here))) {
    if (writable) throw new Error(`--rw: ${here} cannot be lent; change to the directory that the command is to write to`);
    return [];
  }
  return [{ source: here, destination: here, writable, option: writable ? "--rw" : "current directory" }];
}

/** SRC[:DST][:ro|rw]; SRC counts from the current directory. */
function parseBind(text: string, here: string): Loan {
  const option = `--bind ${text}`;
  const parts = text.split(":");
  const last = parts.at(-1);
  const writable = last === "rw";
  if (parts.length > 1 && (last === "ro" || last === "rw")) parts.pop();
  const [from = "", to, ...rest] = parts;
  if (from === "" || rest.length > 0) throw new Error(`${option}: it must be SOURCE[:DESTINATION][:ro|:rw]`);
  const source = sourceOf(resolve(here, from), option);
  if (to !== undefined && !isAbsolute(to)) throw new Error(`${option}: the destination must be an absolute path`);
  const destination = to === undefined ? source : normalize(to).replace(/(.)\/$/, "$1");
  if (destination === "/" || KERNEL_DIRECTORIES.has(topOf(destination))) throw new Error(`${option}: nothing can be bound on ${destination}`);
  return { source, destination, writable, option };
}

function sourceOf(path: string, option: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    throw new Error(`${option}: ${path}: ${(error as NodeJS.ErrnoException).code ?? "cannot be resolved"}`, { cause: error });
  }
}

/** @throws Error for what is neither an address, a network nor a name. */
function allowed({ network, allowNet = [] }: DoFlags): string | undefined {
  if (allowNet.length === 0) return undefined;
  if (network === "host") throw new Error("--allow-net: the host's network, which --network host gives, has no bounds; leave that out");
  for (const target of allowNet) {
    try {
      parseTarget(target);
    } catch (error) {
      throw new Error(`--allow-net: ${messageOf(error)}`, { cause: error });
    }
  }
  return allowNet.map((target) => `allow ${target}`).join("; ");
}

/** With a network that leads somewhere go the host's name servers; /etc/resolv.conf is often a link into /run, which is hidden. */
function nameResolution({ network, allowNet = [], rootfs }: DoFlags): Loan[] {
  const path = "/etc/resolv.conf";
  if ((network === "none" && allowNet.length === 0) || statSync(path, { throwIfNoEntry: false }) === undefined) return [];
  const source = realpathSync(path);
  if (rootfs !== undefined) return [{ source, destination: path, writable: false, option: path }];
  return source === path ? [] : [{ source, destination: source, writable: false, option: path }];
}

const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** What every program gets. Little, and nothing that the caller has not named: an environment holds tokens. */
export function defaultEnvironment(): string[] {
  return [PATH, `TERM=${process.env["TERM"] ?? "xterm"}`, `LANG=${process.env["LANG"] ?? "C.UTF-8"}`];
}

/** NAME=VALUE, or NAME for the caller's value; one that the caller does not have is left out. */
function passedOn(text: string): string[] {
  const name = text.split("=")[0] ?? "";
  if (name === "" || text.includes("\0")) throw new Error(`--env ${JSON.stringify(text)}: it must be NAME or NAME=VALUE`);
  if (text.includes("=")) return [text];
  const value = process.env[text];
  return value === undefined ? [] : [`${text}=${value}`];
}

