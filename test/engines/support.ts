import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const REPOSITORY = fileURLToPath(new URL("../../", import.meta.url));

/** The OCI runtime that the engines drive. `TSSANDBOX_TEST_RUNTIME` names another one: the suite must pass with runc too. */
export const RUNTIME = process.env["TSSANDBOX_TEST_RUNTIME"] ?? join(REPOSITORY, "bin/tssandbox");

/** What is costly to build and may be kept between runs. */
export const CACHE = join(REPOSITORY, ".cache/engines");

/** Inherited by every process that a workspace starts, and so the way to find what it left behind. */
const MARK = "TSSANDBOX_TEST_WORKSPACE";
const CGROUP_ROOT = "/sys/fs/cgroup";

export interface Result {
  /** Undefined if a signal ended the command. */
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ExecuteOptions {
  readonly input?: string;
  /** Each text is sent once its pattern has appeared on stdout, after the match before it. */
  readonly dialogue?: readonly (readonly [RegExp, string])[];
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly uid?: number;
  readonly gid?: number;
  /** Seconds; the command is then killed and the promise rejects. */
  readonly timeout?: number;
  readonly onStart?: (pid: number) => void;
}

/**
 * Runs a command to its end: until it has exited and everybody who inherited its output has closed it.
 *
 * @throws Error with the output so far when it does not start or does not end in time (60 s unless said).
 */
export function execute(argv: readonly string[], options: ExecuteOptions = {}): Promise<Result> {
  const [command = "", ...args] = argv;
  const { cwd, uid, gid } = options;
  const child = spawn(command, args, {
    stdio: "pipe",
    env: { ...process.env, LC_ALL: "C.UTF-8", ...options.env },
    ...(cwd === undefined ? {} : { cwd }),
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
  });
  if (child.pid !== undefined) options.onStart?.(child.pid);
  return finished(child, argv, options);
}

function finished(child: ChildProcess, argv: readonly string[], options: ExecuteOptions): Promise<Result> {
  const output = { stdout: "", stderr: "" };
  const said = converse(child, options);
  for (const name of ["stdout", "stderr"] as const) {
    child[name]?.setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
      said(output.stdout);
    });
  }
  return new Promise((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`${argv.join(" ")}: ${why}\n${output.stdout}${output.stderr}`));
    const seconds = options.timeout ?? 120;
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      fail(`not finished after ${seconds} s`);
    }, seconds * 1000);
    child.once("error", (error) => fail(error.message));
    child.once("close", (code) => {
      clearTimeout(timer);
      resolve({ code: code ?? undefined, ...output });
    });
  });
}

/** Feeds stdin; returns the function to call whenever stdout has grown. Without a dialogue stdin ends after the input. */
function converse(child: ChildProcess, { input, dialogue }: ExecuteOptions): (stdout: string) => void {
  child.stdin?.on("error", () => {}); // EPIPE: the command need not read all of it
  if (input !== undefined) child.stdin?.write(input);
  if (dialogue === undefined) {
    child.stdin?.end();
    return () => {};
  }
  const waiting = [...dialogue];
  let seen = 0;
  return (stdout) => {
    for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
      const match = next[0].exec(stdout.slice(seen));
      if (match === null) return;
      seen += match.index + match[0].length;
      child.stdin?.write(next[1]);
      waiting.shift();
    }
  };
}

/** A command line that runs `argv` in a new terminal of the given size, passing its exit code on. */
export function inTerminal(argv: readonly string[], rows = 33, columns = 101): string[] {
  const quoted = argv.map((word) => `'${word.replaceAll("'", String.raw`'\''`)}'`).join(" ");
  return ["script", "--quiet", "--return", "--flush", "--command", `stty rows ${rows} cols ${columns}; exec ${quoted}`, "/dev/null"];
}

/**
 * Waits until `probe` returns something else than undefined or false.
 *
 * @throws Error naming `what` after `seconds`.
 */
export async function eventually<T>(what: string, probe: () => T | Promise<T>, seconds = 60): Promise<Exclude<T, undefined | false>> {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value as Exclude<T, undefined | false>;
    if (performance.now() > end) throw new Error(`${what}: not so after ${seconds} s`);
    await sleep(50);
  }
}

// Every reader of /proc below returns nothing for a process that is gone in the meantime.
const read = (path: string): string => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
};

const list = (path: string): string[] => {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
};

export const allPids = (): number[] => list("/proc").filter((name) => /^\d+$/.test(name)).map(Number);

export const isAlive = (pid: number): boolean => !["", "Z", "X"].includes(statusField(pid, "State")[0] ?? "");

export const parentOf = (pid: number): number => Number(statusField(pid, "PPid"));

export const commandOf = (pid: number): string => read(`/proc/${pid}/cmdline`).split("\0").join(" ").trim();

/** A field of /proc/PID/status, or "" when the process is gone. */
export function statusField(pid: number, field: string): string {
  return new RegExp(`^${field}:\\s*(.*)$`, "m").exec(read(`/proc/${pid}/status`))?.[1] ?? "";
}

/** The namespace's identity, as in `net:[4026531840]`. */
export const namespaceOf = (pid: number, type: string): string => readlinkSync(`/proc/${pid}/ns/${type}`);

/** All that descends from `pid`, without itself. */
export function descendantsOf(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const each of allPids()) children.set(parentOf(each), [...(children.get(parentOf(each)) ?? []), each]);
  const found: number[] = [];
  const visit = (parent: number) => {
    for (const child of children.get(parent) ?? []) {
      found.push(child);
      visit(child);
    }
  };
  visit(pid);
  return found;
}

/** Directories of the cgroup hierarchies whose path contains `text`, deepest first. */
export function cgroupsNamed(text: string): string[] {
  const found: string[] = [];
  const visit = (directory: string, depth: number) => {
    for (const entry of depth === 0 ? [] : entries(directory)) {
      visit(join(directory, entry), depth - 1);
      if (join(directory, entry).includes(text)) found.push(join(directory, entry));
    }
  };
  visit(CGROUP_ROOT, 6);
  return found;
}

function entries(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  } catch {
    return [];
  }
}

/** A file of a process's cgroup in a v1 controller, trimmed; "" when there is none. */
export function cgroupFile(pid: number, controller: string, file: string): string {
  const line = read(`/proc/${pid}/cgroup`).split("\n").find((each) => each.split(":")[1]?.split(",").includes(controller));
  const path = line?.split(":").slice(2).join(":") ?? "";
  return read(join(CGROUP_ROOT, controller, path, file)).trim();
}

/** The members of a process's cgroup in a v1 controller, itself included. */
export const cgroupMembers = (pid: number, controller = "pids"): number[] =>
  cgroupFile(pid, controller, "cgroup.procs").split("\n").filter(Boolean).map(Number);

export const mountsBelow = (directory: string): string[] =>
  read("/proc/self/mountinfo").split("\n").map((line) => line.split(" ")[4] ?? "").filter((point) => point.startsWith(`${directory}/`));

/** What one test file starts and writes, so that all of it can be found and removed again. */
export class Workspace implements AsyncDisposable {
  readonly directory: string;
  /** A cgroup path of its own for every container of the file. */
  readonly cgroup: string;
  readonly env: Readonly<Record<string, string>>;

  /** @param uid - who may write in it */
  constructor(name: string, uid = 0) {
    this.directory = mkdtempSync(join(tmpdir(), `tss-${name}-`));
    // Images unpack and vanish faster than on disk. Mode: a container's mapped root walks through it.
    execFileSync("mount", ["-t", "tmpfs", "-o", `mode=0711,uid=${uid},size=1500m`, "tss-engines", this.directory]);
    this.cgroup = `/${basename(this.directory)}`;
    this.env = { [MARK]: this.directory };
  }

  path(...names: string[]): string {
    return join(this.directory, ...names);
  }

  /** Processes that inherited this workspace's environment: engines, monitors, shims, and whatever a runtime left. */
  processes(): number[] {
    return allPids().filter((pid) => isAlive(pid) && read(`/proc/${pid}/environ`).split("\0").includes(`${MARK}=${this.directory}`));
  }

  /** Processes in the cgroups of this workspace. */
  members(): number[] {
    return cgroupsNamed(this.cgroup).flatMap((path) => read(join(path, "cgroup.procs")).split("\n").filter(Boolean).map(Number));
  }

  /** Ends every process, then removes mounts, cgroups and files. */
  async [Symbol.asyncDispose](): Promise<void> {
    await eventually("the workspace's processes end", () => {
      const left = [...this.processes(), ...this.members()];
      // A paused task dies only when it is thawed.
      for (const path of cgroupsNamed(this.cgroup)) thaw(path);
      for (const pid of left) kill(pid);
      return left.length === 0;
    });
    for (const point of [...mountsBelow(this.directory).reverse(), this.directory]) await execute(["umount", "--lazy", point]);
    await eventually("the workspace's cgroups go", () => cgroupsNamed(this.cgroup).map(removeDirectory).every(Boolean));
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function thaw(path: string): void {
  const file = join(path, "freezer.state");
  if (existsSync(file)) writeQuietly(file, "THAWED");
}

function writeQuietly(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch {
    // The cgroup went away with its last task.
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Gone already.
  }
}

function removeDirectory(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch {
    return !existsSync(path);
  }
}
