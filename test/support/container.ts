import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { makeBundle, type Bundle, type BundleOptions } from "./bundle.ts";
import type { RuntimeUnderTest } from "./contract.ts";
import { cgroupsOf, hostState, ignoreGone, nothingLeft, processesOf, type HostState } from "./host.ts";
import { parseProbe, type Probe } from "./probe.ts";
import { Call, type CallOptions, type ExitStatus, type Result } from "./runtime.ts";
import type { Process, Spec } from "./spec.ts";
import { SLOWNESS, until } from "./until.ts";

export type ContainerState = {
  ociVersion: string;
  id: string;
  pid: number;
  status: "created" | "running" | "paused" | "stopped";
  bundle: string;
  rootfs: string;
  created: string;
  owner: string;
  annotations?: Record<string, string>;
};

export type CommandOptions = CallOptions & {
  /** Options of the subcommand, before the id. */
  readonly flags?: readonly string[];
  /** Options before the subcommand, after `--root`. */
  readonly global?: readonly string[];
  /** A command that executes the runtime, for example `nice -n 5`. */
  readonly prefix?: readonly string[];
};

export type ExecOptions = CommandOptions & { readonly process?: Partial<Process> & Pick<Process, "args"> };

export type ContainerOptions = BundleOptions & {
  /** Share the state directory of another container. */
  readonly stateRoot?: string;
};

/**
 * One container of the runtime under test with a bundle, a state directory and an id of its own. `must*` methods throw with
 * the runtime's standard error if the command fails; the others return its result. Disposing it deletes the container by
 * force, kills what the runtime left and removes the bundle.
 */
export class Container {
  readonly runtime: RuntimeUnderTest;
  readonly bundle: Bundle;
  readonly id: string;
  readonly stateRoot: string;
  readonly pidFile: string;
  #init: Call | undefined;

  constructor(runtime: RuntimeUnderTest, options: ContainerOptions) {
    this.runtime = runtime;
    this.bundle = makeBundle(options);
    this.id = this.bundle.id;
    this.stateRoot = options.stateRoot ?? this.bundle.path("state");
    this.pidFile = this.bundle.path("pid");
    mkdirSync(this.stateRoot, { recursive: true });
  }

  get spec(): Spec {
    return this.bundle.spec;
  }

  get rootfs(): string {
    return this.bundle.rootfs;
  }

  /** Starts `RUNTIME --root STATE [global] COMMAND [flags] WORDS` without waiting for it. */
  call(command: string, words: readonly string[], options: CommandOptions = {}): Call {
    const line = [...(options.prefix ?? []), this.runtime.path, "--root", this.stateRoot, ...(options.global ?? []), command, ...(options.flags ?? []), ...words];
    return new Call(line, { dir: this.bundle.path("io"), ...options });
  }

  /** Runs a subcommand with the id as its first word. */
  async command(name: string, words: readonly string[] = [], options: CommandOptions = {}): Promise<Result> {
    return await this.call(name, [this.id, ...words], options).result();
  }

  async create(options: CommandOptions = {}): Promise<Result> {
    const flags = ["--bundle", this.bundle.dir, "--pid-file", this.pidFile, ...(options.flags ?? [])];
    const result = await this.command("create", [], { ...options, flags });
    if (result.code === 0) this.#init = result.call;
    return result;
  }

  /** The foreground `run`: returns when the container's process has ended. */
  async run(options: CommandOptions = {}): Promise<Result> {
    return await this.startRun(options).result();
  }

  startRun(options: CommandOptions = {}): Call {
    return this.call("run", [this.id], { ...options, flags: ["--bundle", this.bundle.dir, ...(options.flags ?? [])] });
  }

  async start(): Promise<Result> {
    return await this.command("start");
  }

  async kill(...words: string[]): Promise<Result> {
    return await this.command("kill", words);
  }

  async delete(...flags: string[]): Promise<Result> {
    return await this.command("delete", [], { flags });
  }

  /** `exec` with a command line, or with a process document if `options.process` is given. */
  async exec(args: readonly string[], options: ExecOptions = {}): Promise<Result> {
    return await this.startExec(args, options).result();
  }

  startExec(args: readonly string[], options: ExecOptions = {}): Call {
    const flags = [...(options.flags ?? [])];
    if (options.process === undefined) return this.call("exec", [this.id, ...args], { ...options, flags });
    const path = this.bundle.path(`process-${performance.now()}.json`);
    const defaults = { user: { uid: 0, gid: 0 }, env: ["PATH=/bin"], cwd: "/" };
    writeFileSync(path, JSON.stringify({ ...defaults, ...options.process }));
    return this.call("exec", [this.id], { ...options, flags: ["--process", path, ...flags] });
  }

  async mustCreate(options: CommandOptions = {}): Promise<void> {
    succeed("create", await this.create(options));
  }

  async mustStart(): Promise<void> {
    succeed("start", await this.start());
  }

  /** create and start. */
  async mustBegin(options: CommandOptions = {}): Promise<void> {
    await this.mustCreate(options);
    await this.mustStart();
  }

  /** The foreground `run`, which must end with code 0; returns the container's standard output. */
  async mustRun(options: CommandOptions = {}): Promise<string> {
    const result = await this.run(options);
    succeed("run", result);
    return result.stdout;
  }

  /** Runs the container, whose command must be /probe, in the foreground. */
  async probe(options: CommandOptions = {}): Promise<Probe> {
    return parseProbe(await this.mustRun(options));
  }

  async mustExec(args: readonly string[], options: ExecOptions = {}): Promise<string> {
    const result = await this.exec(args, options);
    succeed("exec", result);
    return result.stdout;
  }

  async mustCommand(name: string, words: readonly string[] = [], options: CommandOptions = {}): Promise<string> {
    const result = await this.command(name, words, options);
    succeed(name, result);
    return result.stdout;
  }

  /** What the runtime says about the container; throws if it does not know it. */
  async state(): Promise<ContainerState> {
    return JSON.parse(await this.mustCommand("state")) as ContainerState;
  }

  async status(): Promise<string> {
    const result = await this.command("state");
    return result.code === 0 ? (JSON.parse(result.stdout) as ContainerState).status : "absent";
  }

  /** The pid of the container's process, from the pid file. */
  get pid(): number {
    return Number(readFileSync(this.pidFile, "utf8"));
  }

  /** What the container's process has written so far, after `create`. */
  get stdout(): string {
    return this.#created().stdout;
  }

  get stderr(): string {
    return this.#created().stderr;
  }

  /** The wait status of the container's process after `create`, as the engine above the runtime sees it. */
  async exitStatus(): Promise<ExitStatus> {
    const pid = this.pid;
    const late = new Promise<never>((_resolve, reject) => {
      setTimeout(() => reject(new Error(`the container's process ${pid} has not ended`)), 15_000 * SLOWNESS).unref();
    });
    const status = (await Promise.race([this.#created().orphans, late])).get(pid);
    if (status === undefined) throw new Error(`process ${pid} did not become a child of the caller of create`);
    return status;
  }

  /** Waits until the container's standard output matches. */
  async outputMatching(pattern: RegExp, timeoutMs = 20_000): Promise<string> {
    return await until(`output ${pattern} of ${this.id}`, () => pattern.test(this.stdout) && this.stdout, timeoutMs);
  }

  hostState(): HostState {
    return hostState(this.id, this.bundle.dir, this.stateRoot);
  }

  /** Asserts that no mount, cgroup, process or state of the container is on the host. */
  async expectNothingLeft(): Promise<void> {
    const clean = () => JSON.stringify(this.hostState()) === JSON.stringify(nothingLeft);
    await until("a clean host", clean, 10_000).catch(() => {});
    expect(this.hostState()).toEqual(nothingLeft);
  }

  #created(): Call {
    if (this.#init === undefined) throw new Error("create has not succeeded");
    return this.#init;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (existsSync(join(this.stateRoot, this.id)) || this.#init !== undefined) await this.delete("--force");
    await until("the end of what the runtime left", () => killStragglers(this.id)).catch(() => {});
    await Promise.race([this.#init?.orphans, new Promise((resolve) => setTimeout(resolve, 2000).unref())]);
    for (const dir of cgroupsOf(this.id).reverse()) await until(`removal of ${dir}`, () => removeCgroup(dir)).catch(() => {});
    this.bundle[Symbol.dispose]();
  }
}

/** False while a killed process is still on its way out. */
function removeCgroup(dir: string): boolean {
  try {
    rmdirSync(dir);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT";
  }
  return true;
}

/** Thaws and kills what is still there; whether nothing was. */
function killStragglers(id: string): boolean {
  for (const dir of cgroupsOf(id)) {
    for (const [file, value] of [["freezer.state", "THAWED"], ["cgroup.freeze", "0"]] as const) {
      if (existsSync(join(dir, file))) ignoreGone(() => writeFileSync(join(dir, file), value));
    }
  }
  const left = processesOf(id);
  for (const line of left) ignoreGone(() => process.kill(Number(line.split(" ")[0]), "SIGKILL"));
  return left.length === 0;
}

/** Throws with the runtime's own words if a command did not end with code 0. */
export function succeed(name: string, result: Result): void {
  if (result.code !== 0) throw new Error(`${name} ended with ${result.code ?? `signal ${result.signal}`}: ${result.stderr || result.stdout}`);
}
