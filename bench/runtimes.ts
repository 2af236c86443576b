/**
 * The runtimes that are compared: each runs the same bundle with its own way of isolation. What is not on this machine, or cannot run a bundle on it,
 * is told of with the reason.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { plainBundle, type BenchBundle } from "./bundle.ts";
import { endAll, hold, holdStaying, lastLines, type Run, type RunOptions, type Start } from "./hold.ts";
import { installed } from "./installed.ts";
import { fetchRunsc } from "./runsc.ts";
import { home } from "./work.ts";

export interface Runtime {
  /** As in the result: `native`, `runc`, `tssandbox-sentry`, ... */
  readonly name: string;
  readonly version: string | undefined;
  /** Runs the bundle's process to its end, in the foreground. Nothing of it is left afterwards, whatever has happened. */
  run(bundle: BenchBundle, options: RunOptions): Promise<Run>;
  /** Starts it in the background, as an engine would: detached, where the runtime knows that. @param ready what it prints when it has come up. */
  start(bundle: BenchBundle, ready: string, options: RunOptions): Promise<Start>;
  /** What a user types to run it in the foreground: for those who time commands. */
  command(bundle: BenchBundle): readonly string[];
}

export interface LeftOut {
  readonly name: string;
  readonly version: string | undefined;
  readonly why: string;
}

/** How a runtime is used. */
export interface Commands {
  readonly name: string;
  readonly version?: readonly string[];
  /** Runs the bundle's process in the foreground, as the container `id`. */
  readonly run: CommandOf;
  /** Leaves the container running. In its absence `run` is kept running. */
  readonly detach?: CommandOf;
  /** Runs what follows on its command line in a container that is there. */
  readonly exec?: CommandOf;
  /** Ends the container, whatever state it is in, and removes what there is of it. */
  readonly remove?: CommandOf;
}

export type CommandOf = (bundle: BenchBundle, id: string) => readonly string[];

/** What cannot be had: its name, and why. */
export interface Absent {
  readonly name: string;
  readonly absent: string;
}

/** Seconds for a runtime to say "hello" in, or to remove a container. */
const TRIAL_SECONDS = 20;

/** The same root by chroot, the same volume, a network of its own: what the container would cost if isolation were free. */
const NATIVE = `
root=$1 volume=$2
shift 2
ip link set lo up
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
[ -z "$volume" ] || mount --bind "$volume" "$root/volume"
exec chroot "$root" "$@"`;

const native: Commands = {
  name: "native",
  run: ({ rootfs, volume, args, bare }) =>
    bare ? ["chroot", rootfs, ...args] : ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-ec", NATIVE, "native", rootfs, volume ?? "", ...args],
};

/** With the command line of runc. */
const likeRunc = (name: string, program: string, globals: (bundle: BenchBundle) => readonly string[] = () => []): Commands => ({
  name,
  version: [program, "--version"],
  run: (bundle, id) => [program, ...globals(bundle), "run", "--bundle", bundle.path, id],
  detach: (bundle, id) => [program, ...globals(bundle), "run", "--detach", "--bundle", bundle.path, id],
  exec: (bundle, id) => [program, ...globals(bundle), "exec", id],
  remove: (bundle, id) => [program, ...globals(bundle), "delete", "--force", id],
});

const bubblewrap = (program: string): Commands => ({
  name: "bwrap",
  version: [program, "--version"],
  run: ({ rootfs, volume, args }) => [
    program, "--unshare-all", "--die-with-parent", "--bind", rootfs, "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/dev/shm",
    ...(volume === undefined ? [] : ["--bind", volume, "/volume"]), ...args,
  ],
});

const ours = (name: string, ...globals: readonly string[]): Commands => likeRunc(`tssandbox-${name}`, join(home, "bin/tssandbox"), () => globals);

/** @param bundle its directory has runsc's state, so that nothing is left of it. */
const gvisor = (program: string, platform: string): Commands =>
  likeRunc(`runsc-${platform}`, program, ({ path }) => ["--ignore-cgroups", "--network=none", `--platform=${platform}`, "--root", join(path, "runsc")]);

const ifInstalled = (name: string, make: (program: string) => Commands): Commands | Absent => {
  const program = installed(name);
  return program === undefined ? { name, absent: "not installed" } : make(program);
};

/** Of this machine, in the order in which they are shown. @param wanted names; a runtime that nobody wants is not even looked for. */
export function knownRuntimes(wanted: (name: string) => boolean): readonly (Commands | Absent)[] {
  const platforms = ["systrap", "ptrace", "kvm"].filter((platform) => wanted(`runsc-${platform}`));
  const runsc = platforms.length === 0 ? undefined : fetchRunsc();
  const known: (Commands | Absent)[] = [
    native,
    ifInstalled("runc", (program) => likeRunc("runc", program)),
    ifInstalled("crun", (program) => likeRunc("crun", program)),
    ...platforms.map((platform) => gvisorOn(platform, runsc)),
    ifInstalled("bwrap", bubblewrap),
    ours("namespace", "--mode", "namespace"),
    ours("sentry", "--mode", "sentry", "--platform", "notify"),
    ours("strict", "--mode", "sentry", "--platform", "notify", "--policy", "strict"),
    ours("ptrace", "--mode", "sentry", "--platform", "ptrace"),
    ours("vm", "--mode", "vm"),
  ];
  return known.filter(({ name }) => wanted(name));
}

function gvisorOn(platform: string, runsc: string | undefined): Commands | Absent {
  const name = `runsc-${platform}`;
  if (runsc === undefined) return { name, absent: "not installed, and not to be had as a package of Debian" };
  if (platform === "kvm" && !existsSync("/dev/kvm")) return { name, absent: "no /dev/kvm" };
  return gvisor(runsc, platform);
}

/** Tries each: one that cannot say "hello" is left out. @param cpu the only processor that all may use. */
export async function tryRuntimes(all: readonly (Commands | Absent)[], { seconds = TRIAL_SECONDS, cpu }: { seconds?: number; cpu?: string | undefined } = {}): Promise<{ runtimes: Runtime[]; leftOut: LeftOut[] }> {
  const runtimes: Runtime[] = [];
  const leftOut: LeftOut[] = [];
  using bundle = plainBundle("hello");
  for (const one of all) {
    if ("absent" in one) {
      leftOut.push({ name: one.name, version: undefined, why: one.absent });
      continue;
    }
    const runtime = new CommandRuntime(one);
    const why = whyNot(await runtime.run(bundle, { seconds, cpu }));
    if (why === undefined) runtimes.push(runtime);
    else leftOut.push({ name: one.name, version: runtime.version, why });
  }
  return { runtimes, leftOut };
}

function whyNot(run: Run): string | undefined {
  if (run.kind === "failed") return run.why;
  if (run.code !== 0) return failureOf(run);
  return run.stdout.trim() === "hello" ? undefined : `the program's output was not to be seen, but ${JSON.stringify(run.stdout.slice(0, 80))}`;
}

/** Of a run that ended, but not well: one line. */
export const failureOf = ({ code, stderr }: { readonly code: number; readonly stderr: string }): string => `exit code ${code}${stderr.trim() === "" ? "" : `: ${lastLines(stderr)}`}`;

let started = 0;

/** What there is now and how it is removed. */
const live = new Map<string, () => Promise<void>>();
let closing = false;

/** Removes all containers, for a bench that is interrupted: whoever runs or starts one waits from now on. */
export async function removeContainers(): Promise<void> {
  closing = true;
  // What is half made is removed when nobody makes it any more.
  const known = [...live.values()];
  await endAll();
  await Promise.all(known.map((remove) => remove()));
}

async function waitIfClosing(): Promise<void> {
  if (closing) await new Promise<never>(() => undefined);
}

class CommandRuntime implements Runtime {
  readonly name: string;
  readonly version: string | undefined;
  readonly #commands: Commands;

  constructor(commands: Commands) {
    this.name = commands.name;
    this.#commands = commands;
    this.version = versionOf(commands.version);
  }

  async run(bundle: BenchBundle, options: RunOptions): Promise<Run> {
    await waitIfClosing();
    const id = this.#newContainer(bundle);
    const run = await hold(this.#commands.run(bundle, id), options);
    await waitIfClosing();
    // One that did not come to its end by itself may have left state, cgroups, mounts.
    if (run.kind === "failed" || run.code !== 0) await this.#remove(bundle, id);
    live.delete(id);
    return run;
  }

  command(bundle: BenchBundle): readonly string[] {
    return this.#commands.run(bundle, newId());
  }

  async start(bundle: BenchBundle, ready: string, options: RunOptions): Promise<Start> {
    await waitIfClosing();
    const id = this.#newContainer(bundle);
    const { run, detach, exec } = this.#commands;
    const start = await holdStaying((detach ?? run)(bundle, id), { ...options, ready, detaches: detach !== undefined, cleanUp: () => this.#remove(bundle, id) });
    await waitIfClosing();
    if (start.kind === "failed" || exec === undefined) return start;
    return { ...start, exec: (args, more) => hold([...exec(bundle, id), ...args], more) };
  }

  #newContainer(bundle: BenchBundle): string {
    const id = newId();
    live.set(id, () => this.#remove(bundle, id));
    return id;
  }

  /** Failure is not told of: often there is nothing left, and what has been measured counts. */
  async #remove(bundle: BenchBundle, id: string): Promise<void> {
    if (this.#commands.remove !== undefined) await hold(this.#commands.remove(bundle, id), { seconds: TRIAL_SECONDS });
    live.delete(id);
  }
}

function newId(): string {
  started += 1;
  return `bench-${process.pid}-${started}`;
}

/** The first line that it prints. */
function versionOf(command: readonly string[] | undefined): string | undefined {
  const [program, ...args] = command ?? [];
  if (program === undefined) return undefined;
  const line = spawnSync(program, args, { encoding: "utf8", timeout: TRIAL_SECONDS * 1000 }).stdout?.split("\n")[0]?.trim();
  return line === undefined || line === "" ? undefined : line;
}
