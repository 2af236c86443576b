/** A machine to be changed: this one, in a mount namespace with layers over /etc and /usr/local and directories of its own for what engines keep. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { projectRoot } from "../support/paths.ts";
import { eventually, execute, type ExecuteOptions, type Result, Workspace } from "./support.ts";

const LAYERED = ["/etc", "/usr/local"];
const EMPTY = ["/run", "/var/lib/containerd", "/var/lib/containers", "/var/lib/docker", "/var/lib/cni", "/var/tmp", "/opt"];

/** In the machine's /run. */
const READY = "/run/tss-machine-ready";

/** A checkout below one of those directories stays where it is. */
const SETUP = `
set -e
root=$1 checkout=$2
for d in ${LAYERED.join(" ")}; do
  mkdir -p $root/upper$d $root/work$d
  mount -t overlay -o lowerdir=$d,upperdir=$root/upper$d,workdir=$root/work$d machine $d
done
for d in ${EMPTY.join(" ")}; do
  mkdir -p $root$d $d
  case $checkout in $d/*) mkdir -p $root$checkout; mount --bind $checkout $root$checkout;; esac
  mount --rbind $root$d $d
done
: >${READY}
exec sleep infinity
`;

/** Another Debian, as the root of a machine with a network of its own; what is changed in it stays in memory. */
const SETUP_ROOT = `
set -e
base=$1 root=$2
mkdir -p $root/upper $root/work $root/new
mount -t overlay -o lowerdir=$base,upperdir=$root/upper,workdir=$root/work machine $root/new
ip link set lo up
cd $root/new
for d in proc sys dev; do mount --rbind /$d $d; done
mount -t tmpfs run run
# containerd's snapshots: an overlay is no upper layer of another one.
mkdir -p var/lib/containerd
mount -t tmpfs containerd var/lib/containerd
pivot_root . mnt
: >${READY}
umount --lazy /mnt
exec sleep infinity
`;

export class Machine implements AsyncDisposable {
  readonly workspace: Workspace;
  /** A process in its mount namespace. */
  readonly holder: number;

  private constructor(workspace: Workspace, holder: number) {
    this.workspace = workspace;
    this.holder = holder;
  }

  /** This machine, in layers. */
  static start(name: string): Promise<Machine> {
    return Machine.#launch(name, (directory) => ["unshare", "--mount", "--propagation", "private", "sh", "-c", SETUP, "sh", directory, projectRoot]);
  }

  /** One whose root file system is a copy of `base`, a directory. */
  static startFrom(base: string, name: string): Promise<Machine> {
    return Machine.#launch(name, (directory) => ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", SETUP_ROOT, "sh", base, directory]);
  }

  static async #launch(name: string, command: (directory: string) => readonly string[]): Promise<Machine> {
    const workspace = new Workspace(name);
    const [program = "", ...args] = command(workspace.path("machine"));
    const holder = spawn(program, args, { stdio: "ignore", env: { ...process.env, ...workspace.env } });
    holder.unref();
    const machine = new Machine(workspace, holder.pid ?? 0);
    try {
      await eventually("the machine is there", () => existsSync(machine.outside(READY)));
    } catch (error) {
      await workspace[Symbol.asyncDispose]();
      throw error;
    }
    return machine;
  }

  /** A path of the machine's for this process. */
  outside(path: string): string {
    return `/proc/${this.holder}/root${path}`;
  }

  argv(...command: readonly string[]): string[] {
    return ["nsenter", `--mount=/proc/${this.holder}/ns/mnt`, `--net=/proc/${this.holder}/ns/net`, ...command];
  }

  run(command: readonly string[], options: ExecuteOptions = {}): Promise<Result> {
    return execute(this.argv(...command), { ...options, env: { PATH: "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", ...this.workspace.env, ...options.env } });
  }

  sh(script: string, ...words: readonly string[]): Promise<Result> {
    return this.run(["sh", "-c", script, ...words]);
  }

  /** For what must succeed; returns its standard output as it is. */
  async ok(...command: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(command);
    if (code !== 0) throw new Error(`${command.join(" ")}: exit ${code}\n${stdout}${stderr}`);
    return stdout;
  }

  /** Undefined where there is none. */
  async read(path: string): Promise<string | undefined> {
    const { code, stdout } = await this.run(["cat", path]);
    return code === 0 ? stdout : undefined;
  }

  write(path: string, content: string): void {
    mkdirSync(this.outside(dirname(path)), { recursive: true });
    writeFileSync(this.outside(path), content);
  }

  /** Starts a daemon that lives as long as the machine. @returns its pid. */
  daemon(log: string, ...command: readonly string[]): number {
    const child = spawn("sh", ["-c", 'log=$1; shift; exec "$@" >>$log 2>&1', "sh", this.workspace.path(log), ...this.argv(...command)], {
      stdio: "ignore",
      env: { ...process.env, PATH: "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", ...this.workspace.env },
    });
    child.unref();
    return child.pid ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.workspace[Symbol.asyncDispose]();
  }
}
