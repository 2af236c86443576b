import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, vi } from "vitest";
import { ensurePackages } from "../packages.ts";
import { ensureImages, type Image } from "./images.ts";
import { cgroupsNamed, commandOf, descendantsOf, eventually, execute, type ExecuteOptions, inTerminal, isAlive, mountsBelow, parentOf, type Result, RUNTIME, Workspace } from "./support.ts";

const NAMESPACE = "tss";
const LAST_LINES = 100;

/** How a container is run by the runtime under test. */
export interface Driver {
  /** Arguments of `ctr run`. */
  readonly arguments: (workspace: Workspace) => readonly string[];
  /** What a shim's command line contains. */
  readonly shim: string;
  /** Where containerd finds the shim, before PATH. */
  readonly directory?: string;
  /** Where containerd and ctr are, unless those are meant that are installed. */
  readonly binaries?: string;
  /** Of the daemon, which hands it on to shims, and they to the runtime. */
  readonly env?: Readonly<Record<string, string>>;
  /** With the CRI plugin, as the kubelet uses containerd. */
  readonly cri?: CriNode;
}

/** What a Kubernetes node adds. */
export interface CriNode {
  /** Of the plugin, as TOML. */
  readonly configuration: (workspace: Workspace) => string;
  /** In front of containerd's command line. */
  readonly launcher: (workspace: Workspace) => readonly string[];
}

/** By containerd's own shim, in the runtime's default mode. */
export const RUNC_SHIM: Driver = {
  arguments: (workspace) => ["--runc-binary", RUNTIME, "--runc-root", workspace.path("runtime")],
  shim: "containerd-shim-runc-v2",
};

/** A containerd with root, state and sockets of its own, and `ctr` as its client. */
export class Containerd implements AsyncDisposable {
  readonly workspace: Workspace;
  /** Where a `ctr` that gets killed may leave its FIFOs. */
  readonly fifos: string;
  readonly #driver: Driver;
  readonly #own: number[] = [];
  readonly #ids = new Set<string>();

  private constructor(driver: Driver, workspace: Workspace) {
    this.#driver = driver;
    this.workspace = workspace;
    this.fifos = workspace.path("fifos");
  }

  static start(...images: readonly Image[]): Promise<Containerd> {
    return Containerd.startFor(RUNC_SHIM, ...images);
  }

  static async startFor(driver: Driver, ...images: readonly Image[]): Promise<Containerd> {
    await ensurePackages(["containerd"]);
    await ensureImages(...images);
    const containerd = new Containerd(driver, new Workspace("containerd"));
    await containerd.#launch();
    for (const image of images) await containerd.ok("images", "import", image.archive);
    return containerd;
  }

  async #launch(): Promise<void> {
    writeFileSync(this.workspace.path("config.toml"), configuration(this.workspace, this.#driver.cri));
    this.#spawn([...(this.#driver.cri?.launcher(this.workspace) ?? []), "containerd", "--config", this.workspace.path("config.toml")], "containerd.log");
    await eventually("containerd answers", async () => (await this.ctr("version")).code === 0);
    this.#spawn(this.argv("events"), "events");
  }

  /** As a node does when containerd dies, or is updated: its containers live on. */
  async restart(): Promise<void> {
    const old = this.#own.splice(0);
    for (const pid of old) if (isAlive(pid)) process.kill(pid, "SIGKILL");
    await eventually("containerd ends", () => old.every((pid) => !isAlive(pid)));
    await this.#launch();
  }

  /** Starts a process that lives as long as the workspace, its output in a file. */
  #spawn([command = "", ...args]: readonly string[], output: string): void {
    const file = openSync(this.workspace.path(output), "a");
    const child = spawn(command, args, { env: { ...process.env, PATH: [this.#driver.directory, this.#driver.binaries, process.env["PATH"]].filter((part) => part !== undefined).join(":"), ...this.workspace.env, ...this.#driver.env }, stdio: ["ignore", file, file] });
    child.unref();
    if (child.pid !== undefined) this.#own.push(child.pid);
  }

  /** The CRI plugin has one of its own. */
  get #namespace(): string {
    return this.#driver.cri === undefined ? NAMESPACE : "k8s.io";
  }

  argv(...args: readonly string[]): string[] {
    return [join(this.#driver.binaries ?? "", "ctr"), "--address", this.workspace.path("containerd.sock"), "--namespace", this.#namespace, ...args];
  }

  ctr(...args: readonly string[]): Promise<Result> {
    return execute(this.argv(...args));
  }

  /** For a command that must succeed; returns its trimmed stdout. */
  async ok(...args: readonly string[]): Promise<string> {
    const done = await this.ctr(...args);
    if (done.code !== 0) throw new Error(`ctr ${args.join(" ")}: exit ${done.code}\n${done.stdout}${done.stderr}`);
    return done.stdout.trim();
  }

  /** The arguments of `ctr run` for a container with the runtime under test. */
  #runArguments(id: string, image: Image, options: readonly string[], command: readonly string[]): string[] {
    const runtime = [...this.#driver.arguments(this.workspace), "--cgroup", `${this.workspace.cgroup}/${id}`, "--fifo-dir", this.fifos];
    this.#ids.add(id);
    return ["run", ...runtime, ...options, image.name, id, ...command];
  }

  run(id: string, image: Image, options: readonly string[], command: readonly string[], how: ExecuteOptions = {}): Promise<Result> {
    return execute(this.argv(...this.#runArguments(id, image, ["--rm", ...options], command)), how);
  }

  runInTerminal(id: string, image: Image, command: readonly string[], how: ExecuteOptions): Promise<Result> {
    return execute(inTerminal(this.argv(...this.#runArguments(id, image, ["--rm", "--tty"], command))), how);
  }

  /** Starts a detached container without streams. */
  async background(id: string, image: Image, options: readonly string[], ...command: readonly string[]): Promise<void> {
    await this.ok(...this.#runArguments(id, image, ["--detach", "--null-io", ...options], command));
  }

  /** A task's status and pid, undefined when containerd has no such task. */
  async task(id: string): Promise<{ pid: number; status: string } | undefined> {
    const rows = (await this.ok("task", "list")).split("\n").map((line) => line.split(/\s+/));
    const [, pid, status] = rows.find(([name]) => name === id) ?? [];
    return status === undefined ? undefined : { pid: Number(pid), status };
  }

  async pid(id: string): Promise<number> {
    return (await this.task(id))?.pid ?? 0;
  }

  /** The shim of a running task. */
  async shim(id: string): Promise<number> {
    const shim = parentOf(await this.pid(id));
    expect(commandOf(shim)).toContain(this.#driver.shim);
    return shim;
  }

  /** containerd itself. */
  get daemon(): number {
    return this.#own[0] ?? 0;
  }

  /** Shims, and all that descends from them. */
  pidsOfPods(): number[] {
    return this.processes().flatMap((pid) => [pid, ...descendantsOf(pid)]).filter((pid, i, all) => all.indexOf(pid) === i);
  }

  /** Processes that containerd started: shims, and whatever a runtime left behind. */
  processes(): number[] {
    return this.workspace.processes().filter((pid) => !this.#own.includes(pid));
  }

  /** Kills a task whatever its state, and removes task and container. */
  async remove(id: string): Promise<void> {
    await this.ctr("task", "delete", "--force", id);
    await this.ok("container", "delete", id);
  }

  /** Topics of the events about a task so far, in order. */
  events(id: string): string[] {
    const lines = readFileSync(this.workspace.path("events"), "utf8").split("\n");
    return lines.filter((line) => line.includes(`"${id}"`)).flatMap((line) => /\/tasks\/\S+/.exec(line)?.[0] ?? []);
  }

  /** The end of its log, with the shims' messages. */
  lastWords(): string {
    return readFileSync(this.workspace.path("containerd.log"), "utf8").split("\n").slice(-LAST_LINES).join("\n");
  }

  /** Nothing of a container is left: no shim (after `seconds` at most), mount, cgroup, bundle, nothing in the runtime's own state. */
  async expectNothingLeft(id: string, seconds = 30): Promise<void> {
    const { workspace } = this;
    await eventually("the shim ends", () => this.processes().length === 0, seconds).catch((error: Error) => {
      throw new Error(`${error.message}: ${this.processes().map((pid) => `${pid} ${commandOf(pid)}`).join("; ")}`);
    });
    const states = ["io.containerd.runtime.v2.task", "io.containerd.sandbox.controller.v1.shim"].map((plugin) => workspace.path("state", plugin, this.#namespace));
    const directories = [workspace.path("runtime", this.#namespace), ...states];
    // containerd may be told of the end only now.
    await vi.waitFor(() => {
      expect(cgroupsNamed(`${workspace.cgroup}/${id}`)).toEqual([]);
      expect(mountsBelow(workspace.path("state"))).toEqual([]);
      for (const directory of directories) expect(existsSync(directory) ? readdirSync(directory) : []).toEqual([]);
    }, { timeout: 30_000 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.workspace[Symbol.asyncDispose]();
    for (const id of this.#ids) rmSync(this.#shimSocket(id), { force: true });
    // Made by the shims, and hardly used: the containers' state is in the workspace.
    for (const name of ["runc", "tssandbox"]) await execute(["rmdir", "--parents", "--ignore-fail-on-non-empty", `/run/containerd/${name}/${NAMESPACE}`]);
  }

  /** A shim that gets killed leaves its socket, whose name is fixed (containerd, runtime/v2/shim/util_unix.go). */
  #shimSocket(id: string): string {
    const name = join(this.workspace.path("containerd.sock"), NAMESPACE, id);
    return join("/run/containerd/s", createHash("sha256").update(name).digest("hex"));
  }
}

// Without a CNI configuration the CRI plugin complains; ctr does without both.
const configuration = (workspace: Workspace, cri: CriNode | undefined): string => `
version = 2
root = "${workspace.path("root")}"
state = "${workspace.path("state")}"
disabled_plugins = [${cri === undefined ? '"io.containerd.grpc.v1.cri"' : ""}]
[grpc]
address = "${workspace.path("containerd.sock")}"
[ttrpc]
address = "${workspace.path("containerd.sock.ttrpc")}"
${cri?.configuration(workspace) ?? ""}`;
