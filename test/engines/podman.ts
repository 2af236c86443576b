import { chownSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { expect } from "vitest";
import { ensurePackages } from "../packages.ts";
import { withFuse } from "../support/user.ts";
import { BUSYBOX, ensureImages, type Image } from "./images.ts";
import { cgroupsNamed, commandOf, eventually, execute, type ExecuteOptions, inTerminal, type Result, RUNTIME, Workspace } from "./support.ts";

const PACKAGES = ["podman", "containernetworking-plugins", "catatonit", "iptables"];

/** An ordinary user to run podman as. */
export interface User {
  readonly uid: number;
  readonly gid: number;
}

export interface PodmanOptions {
  readonly user?: User;
  /** Left out: the runtime's default one. */
  readonly mode?: "namespace";
}

/** A podman whose storage, state, locks and containers' cgroups are all its own. */
export class Podman implements AsyncDisposable {
  readonly workspace: Workspace;
  readonly #command: readonly string[];
  readonly #user: User | undefined;

  private constructor(workspace: Workspace, { user, mode }: PodmanOptions) {
    this.workspace = workspace;
    this.#user = user;
    const path = (name: string) => workspace.path(name);
    this.#command = ["podman", "--root", path("root"), "--runroot", path("run"), "--tmpdir", path("tmp"), "--runtime", RUNTIME, ...(mode === undefined ? [] : ["--runtime-flag", `mode=${mode}`]), "--cgroup-manager", "cgroupfs", "--storage-driver", "overlay"];
  }

  static async start(name: string, images: readonly Image[], options: PodmanOptions = {}): Promise<Podman> {
    const { user } = options;
    await ensurePackages(PACKAGES);
    await ensureImages(...images);
    const podman = new Podman(new Workspace(name, user?.uid), options);
    for (const directory of ["cwd", "home", "xdg"]) {
      mkdirSync(podman.workspace.path(directory), { mode: 0o700 });
      if (user !== undefined) chownSync(podman.workspace.path(directory), user.uid, user.gid);
    }
    writeFileSync(podman.workspace.path("containers.conf"), configuration(podman.workspace));
    for (const image of images) await podman.ok("load", "--quiet", "--input", image.archive);
    return podman;
  }

  /** The whole command line, for a terminal. A container's options come right after run, create or `pod create`. */
  argv(...args: readonly string[]): string[] {
    const verb = args[0] === "pod" ? 2 : 1;
    const creates = ["run", "create"].includes(args[verb - 1] ?? "");
    // An ordinary user has no cgroup to put a container in.
    const parent = creates && this.#user === undefined ? ["--cgroup-parent", this.workspace.cgroup] : [];
    return [...this.#command, ...args.slice(0, verb), ...parent, ...args.slice(verb)];
  }

  call(args: readonly string[], options: ExecuteOptions = {}): Promise<Result> {
    const { workspace } = this;
    const own = { HOME: workspace.path("home"), XDG_RUNTIME_DIR: workspace.path("xdg") };
    const env = { ...workspace.env, CONTAINERS_CONF: workspace.path("containers.conf"), ...(this.#user && own) };
    // conmon 2.1 writes files into the directory that podman was called in.
    if (this.#user === undefined) return execute(args, { cwd: workspace.path("cwd"), ...options, env });
    const { uid, gid } = this.#user;
    const become = ["setpriv", "--reuid", String(uid), "--regid", String(gid), "--clear-groups", "--inh-caps=-all"];
    return execute([...withFuse(0o666), ...become, ...args], { cwd: workspace.path("cwd"), ...options, env });
  }

  podman(...args: readonly string[]): Promise<Result> {
    return this.call(this.argv(...args));
  }

  /** For a command that must succeed; returns its trimmed stdout. */
  async ok(...args: readonly string[]): Promise<string> {
    return succeeded(await this.podman(...args), args);
  }

  /** `podman run --rm` of a shell script in the busybox image, which must succeed; returns its trimmed stdout. */
  sh(options: readonly string[], script: string): Promise<string> {
    return this.ok("run", "--rm", ...options, BUSYBOX.name, "sh", "-c", script);
  }

  /** Starts a detached container from the busybox image and returns its id. */
  background(options: readonly string[], ...command: readonly string[]): Promise<string> {
    return this.ok("run", "--detach", ...options, BUSYBOX.name, ...command);
  }

  inTerminal(args: readonly string[], options: ExecuteOptions & { rows?: number; columns?: number } = {}): Promise<Result> {
    const argv = inTerminal(this.argv(...args), options.rows, options.columns);
    return this.call(argv, { dialogue: [], ...options }); // an end of stdin would become a Ctrl-D
  }

  /** A Go template over `podman inspect`. */
  inspect(name: string, template: string): Promise<string> {
    return this.ok("inspect", "--format", template, name);
  }

  async pids(name: string): Promise<{ init: number; conmon: number }> {
    const [init, conmon] = (await this.inspect(name, "{{.State.Pid}} {{.State.ConmonPid}}")).split(" ").map(Number);
    return { init: init ?? 0, conmon: conmon ?? 0 };
  }

  remove(...names: readonly string[]): Promise<string> {
    return this.ok("rm", "--force", "--time", "0", ...names);
  }

  /** conmon processes, and whatever a runtime left behind. Rootless podman keeps one process to hold its namespaces. */
  monitors(): number[] {
    return this.workspace.processes().filter((pid) => !/^(podman|catatonit -P)$/.test(commandOf(pid)));
  }

  /** Nothing of these containers is left: no monitor, no cgroup, nothing the runtime knows. */
  async expectNothingLeft(...ids: readonly string[]): Promise<void> {
    await eventually("conmon ends", () => this.monitors().length === 0);
    expect(this.workspace.members()).toEqual([]);
    expect(ids.flatMap(cgroupsNamed)).toEqual([]);
    const known = await this.call([RUNTIME, "list", "--quiet"]);
    expect(known).toMatchObject({ code: 0 });
    expect(known.stdout.split("\n").filter((id) => ids.includes(id))).toEqual([]);
    for (const id of ids) expect(await this.call([RUNTIME, "state", id])).toMatchObject({ code: 1 });
  }

  /** Removes pods, containers and images, which also tells the runtime to delete what it knows, then the workspace. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.podman("pod", "rm", "--all", "--force", "--time", "0").catch(() => {});
    await this.podman("rm", "--all", "--force", "--time", "0").catch(() => {});
    await this.workspace[Symbol.asyncDispose]();
  }
}

export function succeeded(result: Result, what: readonly string[]): string {
  if (result.code !== 0) throw new Error(`${what.join(" ")}: exit ${result.code}\n${result.stdout}${result.stderr}`);
  return result.stdout.trim();
}

// The limits are ones that root without CAP_SYS_RESOURCE may set. File locks: the default is one shared memory segment
// for all of root's podman instances. conmon gets only the environment named here, and hands it to the runtime.
const configuration = ({ directory, env }: Workspace): string => `
[containers]
netns = "none"
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
[engine]
events_logger = "file"
lock_type = "file"
conmon_env_vars = ${JSON.stringify(["PATH=/usr/sbin:/usr/bin:/sbin:/bin", ...Object.entries(env).map((pair) => pair.join("="))])}
runtime_supports_json = ["${basename(RUNTIME)}"]
[network]
network_config_dir = "${join(directory, "cni")}"
`;
