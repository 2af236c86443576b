import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { cgroupsOf, ignoreGone } from "../../support/host.ts";
import { projectRoot } from "../../support/paths.ts";
import { until } from "../../support/until.ts";

export const binary = join(projectRoot, "bin/tssandbox");

/** Who runs `do` on the host. */
export interface Caller {
  readonly name: "root" | "an ordinary user";
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly mode: "sentry" | "namespace";
}

export interface Result {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly flags?: readonly string[];
  /** Default: the caller's directory. */
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Default: none, and its end; null leaves it open, for `converse`. */
  readonly input?: string | null;
}

/** A `do` that has been started. */
export class Running {
  readonly child: ChildProcess;
  readonly result: Promise<Result>;
  stdout = "";
  stderr = "";

  constructor(caller: Caller, line: readonly string[], cwd: string, options: RunOptions) {
    const { uid, gid, home } = caller;
    const env = { PATH: process.env["PATH"] ?? "", HOME: home, TERM: "dumb", ...modeEnvironment(), ...options.env };
    this.child = spawn(line[0] ?? "", line.slice(1), { cwd, env, uid, gid, stdio: ["pipe", "pipe", "pipe"] });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => (this.stdout += text));
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.stderr += text));
    this.child.stdin?.on("error", () => {});
    if (options.input !== null) this.child.stdin?.end(options.input ?? "");
    this.result = new Promise((resolve, reject) => {
      this.child.on("error", reject);
      this.child.on("close", (code, signal) => resolve({ code, signal, stdout: this.stdout, stderr: this.stderr }));
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Types each text once its pattern has appeared behind the one before. */
  async converse(dialogue: readonly (readonly [pattern: RegExp, text: string])[]): Promise<Result> {
    let seen = 0;
    for (const [pattern, text] of dialogue) {
      const find = () => pattern.exec(this.stdout.slice(seen)) ?? false;
      const match = await until(`${pattern} on the terminal`, find).catch((error: unknown) => {
        throw new Error(`${String(error)}; there is ${JSON.stringify(this.stdout.slice(seen))}`);
      });
      seen += match.index + match[0].length;
      this.child.stdin?.write(text);
    }
    return await this.result;
  }

  async said(pattern: RegExp): Promise<void> {
    await until(`output ${pattern}`, () => pattern.test(this.stdout)).catch((error: unknown) => {
      throw new Error(`${String(error)}\nstdout: ${this.stdout}\nstderr: ${this.stderr}`);
    });
  }
}

/** A caller with a directory of his own, which is where `do` is called. */
export class Scene {
  readonly caller: Caller;
  readonly directory: string;

  constructor(caller: Caller) {
    this.caller = caller;
    this.directory = mkdtempSync(join(tmpdir(), "tss-do-"));
    chmodSync(this.directory, 0o755);
    chownSync(this.directory, caller.uid, caller.gid);
  }

  path(...names: string[]): string {
    return join(this.directory, ...names);
  }

  start(args: readonly string[], options: RunOptions = {}): Running {
    return new Running(this.caller, [binary, "do", ...(options.flags ?? []), "--", ...args], options.cwd ?? this.directory, options);
  }

  async run(args: readonly string[], options: RunOptions = {}): Promise<Result> {
    return await this.start(args, options).result;
  }

  async sh(script: string, options: RunOptions = {}): Promise<Result> {
    return await this.run(["sh", "-c", script], options);
  }

  /** The output of a script that must succeed without a word on standard error. */
  async must(script: string, options: RunOptions = {}): Promise<string> {
    const result = await this.sh(script, options);
    expect(result, script).toMatchObject({ code: 0, stderr: "" });
    return result.stdout;
  }

  /** A directory of the caller's below the scene's. */
  make(name: string, mode = 0o755): string {
    const path = this.path(name);
    mkdirSync(path);
    this.give(path, mode);
    return path;
  }

  give(path: string, mode: number): void {
    chownSync(path, this.caller.uid, this.caller.gid);
    chmodSync(path, mode);
  }
}

/** The sandboxes' traces on the host: state, cgroups, mounts, unpacked archives, of runtimes of this test's or all. */
export function traces(): string[] {
  const directories = ["/run/tssandbox", "/var/tmp", tmpdir(), ...readdirSync(tmpdir()).filter((name) => /^tssandbox-\d+$/.test(name)).map((name) => join(tmpdir(), name))];
  const state = directories.flatMap((directory) => (ignoreGone(() => readdirSync(directory)) ?? []).filter((name) => /^(tssandbox-)?do-\d+-/.test(name)).map((name) => join(directory, name)));
  const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n").filter((line) => /\/do-\d+-/.test(line));
  return [...state, ...mounts, ...cgroupsOf("do-").filter((path) => /\/do-\d+-[0-9a-f]{8}$/.test(path))];
}

/** Processes of the host whose command line contains the word. */
export function processesWith(word: string): number[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
    const command = ignoreGone(() => readFileSync(`/proc/${pid}/cmdline`, "latin1")) ?? "";
    return command.split("\0").includes(word);
  });
}

const MODE = "TSSANDBOX_MODE";

const modeEnvironment = (): Record<string, string> => (process.env[MODE] === undefined ? {} : { [MODE]: process.env[MODE] });

export const ROOT: Caller = { name: "root", uid: 0, gid: 0, home: "/root", mode: "sentry" };

/**
 * Declares tests as root, in the default mode and in namespace mode, and as an ordinary user, made for them. Afterwards nothing may be left on
 * the host.
 */
export function describeCallers(area: string, declare: (scene: () => Scene) => void): void {
  describe(`${area}, as root`, () => declare(withScene(() => ROOT, () => {})));
  describe(`${area}, as root, in namespace mode`, () => declare(withScene(() => ({ ...ROOT, mode: "namespace" }), () => {})));
  const account = `tssdo${process.pid}`;
  describe(`${area}, as an ordinary user, in namespace mode`, () => declare(withScene(() => addUser(account), () => void execFileSync("userdel", ["-r", account], { stdio: "ignore" }))));
}

export function describeRoot(area: string, declare: (scene: () => Scene) => void): void {
  describe(area, () => declare(withScene(() => ROOT, () => {})));
}

function withScene(enter: () => Caller, leave: () => void): () => Scene {
  let scene: Scene | undefined;
  beforeAll(() => {
    if (process.getuid?.() !== 0) throw new Error("these tests need root: they make users, mounts and cgroups");
    scene = new Scene(enter());
    // Sentry mode is the default, and what is tested by not being named. For all that a test starts, in whatever way.
    if (scene.caller.mode === "namespace") process.env[MODE] = "namespace";
    else delete process.env[MODE];
  });
  afterAll(async () => {
    delete process.env[MODE];
    try {
      const own = () => traces().every((trace) => !isOurs(trace));
      await until("a clean host", own).catch(() => expect(traces().filter(isOurs)).toEqual([]));
    } finally {
      if (scene !== undefined) removeAll(scene);
      leave();
    }
  });
  return () => {
    if (scene === undefined) throw new Error("no scene outside of tests");
    return scene;
  };
}

/** With the state directory that an ordinary user gets, which stays for his next sandbox. */
function removeAll({ directory, caller }: Scene): void {
  rmSync(directory, { recursive: true, force: true });
  if (caller.uid !== 0) rmSync(join(tmpdir(), `tssandbox-${caller.uid}`), { recursive: true, force: true });
}

/** Traces of a runtime that still runs belong to a test that runs beside this one. */
function isOurs(trace: string): boolean {
  const pid = /do-(\d+)-/.exec(trace)?.[1];
  return pid === undefined || ignoreGone(() => readFileSync(`/proc/${pid}/stat`, "utf8")) === undefined;
}

function addUser(name: string): Caller {
  execFileSync("useradd", ["--create-home", "--shell", "/bin/sh", name], { stdio: "ignore" });
  const fields = execFileSync("getent", ["passwd", name], { encoding: "utf8" }).trim().split(":");
  return { name: "an ordinary user", uid: Number(fields[2]), gid: Number(fields[3]), home: fields[5] ?? "/", mode: "namespace" };
}
