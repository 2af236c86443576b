/** The same command in a Debian root, natively and in a sandbox. */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { inTerminal, RUNTIME } from "../engines/support.ts";
import { Container } from "../support/container.ts";
import { debianDevelopmentRoot } from "../support/debian.ts";
import { workDir } from "../support/paths.ts";
import { Call } from "../support/runtime.ts";
import type { Spec } from "../support/spec.ts";
import { until } from "../support/until.ts";

/** The platform that this run of the tests is about. */
export const PLATFORM = process.env["TSSANDBOX_PLATFORM"] === "ptrace" ? "ptrace" : "notify";

export interface Command {
  readonly args: readonly string[];
  /** Runs on a terminal, of which this is typed: each text once its pattern has appeared, or so many milliseconds after. */
  readonly dialogue?: readonly (readonly [pattern: RegExp, text: string, after?: number])[];
  /** Directories of the host's, by their mount points. */
  readonly lend?: Readonly<Record<string, string>>;
  /** For the sandbox alone. */
  readonly edit?: (spec: Spec) => void;
  /** Seconds; 150 unless told. */
  readonly timeout?: number;
}

export interface Outcome {
  /** Null where a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export const bash = (script: string): readonly string[] => ["/bin/bash", "-c", script];

/** What engines give by default. */
const CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "SETGID", "SETUID", "SETFCAP", "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"] as const;
const GUEST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const NAMESPACES = ["--mount", "--pid", "--fork", "--kill-child", "--net", "--ipc", "--uts"];

const environment = { GUEST_PATH, CAPABILITIES: CAPABILITIES.map((name) => `+${name.toLowerCase()}`).join(",") };

export async function runNatively(command: Command): Promise<Outcome> {
  const root = await debianDevelopmentRoot();
  const scratch = mkdtempSync(join(workDir, "native-"));
  const pairs = Object.entries(command.lend ?? {}).flatMap(([target, source]) => [source, target]);
  const line = ["unshare", ...NAMESPACES, "sh", join(import.meta.dirname, "native.sh"), root, scratch, ...pairs, "--", ...onTerminal(command, command.args)];
  try {
    return await launch(line, command, environment);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** With the same configuration, by another runtime. */
export async function runUnderRunc(command: Command): Promise<Outcome> {
  await using container = await makeContainer(command);
  const { bundle, id, spec, stateRoot } = container;
  const layer = 'mount -t tmpfs none "$2" && cd "$2" && mkdir upper work root && mount -t overlay -o "lowerdir=$1,upperdir=upper,workdir=work,userxattr" none root && shift 2 && exec "$@"';
  const lower = spec.root.path;
  spec.root.path = join(bundle.rootfs, "root");
  bundle.write();
  return await launch(["unshare", "--mount", "sh", "-c", layer, "sh", lower, bundle.rootfs, "runc", "--root", stateRoot, "run", "--bundle", bundle.dir, id], command, {});
}

export async function runInSandbox(command: Command): Promise<Outcome> {
  await using sandbox = await makeContainer(command);
  const line = [RUNTIME, "--mode", "sentry", "--root", sandbox.stateRoot, "run", "--bundle", sandbox.bundle.dir, sandbox.id];
  const done = await launch(onTerminal(command, line), command, {});
  await sandbox.expectNothingLeft();
  return done;
}

/** Natively the terminal is one of the root's own, which a program can find by its name. */
const onTerminal = ({ dialogue = [] }: Command, line: readonly string[]) => (dialogue.length > 0 ? inTerminal(line) : line);

/** Waits for all that was started, not only for the command itself. */
async function launch(line: readonly string[], { dialogue = [], timeout = 150 }: Command, env: Readonly<Record<string, string>>): Promise<Outcome> {
  const call = new Call(line, { env, timeout: timeout * 1000, ...(dialogue.length > 0 ? { input: "pipe" } : {}) });
  try {
    await converse(call, dialogue);
  } catch (error) {
    process.kill(await call.pid, "SIGKILL");
    throw error;
  }
  const { code, stdout, stderr } = await call.result();
  await call.orphans;
  return { code, stdout, stderr };
}

async function converse(call: Call, dialogue: NonNullable<Command["dialogue"]>): Promise<void> {
  let seen = 0;
  for (const [pattern, text, after = 0] of dialogue) {
    const rest = () => call.stdout.slice(seen);
    const match = await until(`${pattern} on the terminal`, () => pattern.exec(rest()) ?? false, 60_000).catch((error: Error) => {
      throw new Error(`${error.message}; there is ${JSON.stringify(rest())}`);
    });
    seen += match.index + match[0].length;
    await sleep(after);
    call.stdin?.write(text);
  }
}

/** A container that is not created yet. */
export async function makeContainer({ args, dialogue = [], lend = {}, edit }: Omit<Command, "timeout">): Promise<Container> {
  const root = await debianDevelopmentRoot();
  return new Container({ path: RUNTIME, version: "tssandbox" }, {
    args,
    rootfs: "empty",
    edit: (spec) => {
      describe(spec, root, dialogue.length > 0);
      for (const [destination, source] of Object.entries(lend)) spec.mounts.push({ destination, type: "bind", source, options: ["bind"] });
      edit?.(spec);
    },
  });
}

function describe(spec: Spec, root: string, terminal: boolean): void {
  const capabilities = CAPABILITIES.map((name) => `CAP_${name}`);
  spec.root = { path: root };
  spec.hostname = "guest";
  Object.assign(spec.process!, {
    terminal,
    env: [`PATH=${GUEST_PATH}`, "HOME=/root", "TERM=xterm", "LC_ALL=C.UTF-8"],
    capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
    rlimits: [{ type: "RLIMIT_NOFILE", soft: 1024, hard: 1024 }],
  });
}

/** @param command is called for each run, so that each has directories of its own to lend. */
export async function runBoth(command: Command | (() => Command)): Promise<{ readonly native: Outcome; readonly sandbox: Outcome }> {
  const make = typeof command === "function" ? command : () => command;
  return { native: await runNatively(make()), sandbox: await runInSandbox(make()) };
}

/** A new directory on the host. */
export function freshDirectory(): string {
  return mkdtempSync(join(workDir, "lent-"));
}
