/** Where the sentry is: in its own empty root, or, while the guest has a task, in namespaces and the root of the guest's. Source: namespaces(7). */
import { EPERM } from "../../../linux/abi/errno.ts";
import { O_DIRECTORY, O_PATH } from "../../../linux/abi/fcntl.ts";
import { isErrno } from "../../../linux/errors.ts";
import { Fd } from "../../../linux/fd.ts";
import { open, openAt, read } from "../../../linux/file.ts";
import { CLONE_NEW, setNamespace } from "../../../linux/namespace.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import type { Acting } from "../tasks/acting.ts";
import type { Surroundings } from "../tasks/surroundings.ts";
import type { GuestTasks } from "../tasks/tasks.ts";
import type { Errands } from "../volumes/errands.ts";
import type { Volumes } from "../volumes/volumes.ts";
import { Roots } from "./roots.ts";

/** Where the guest's network namespace is: its own, which it has made, or one that the sentry is in already, as the guest is. */
export type Network = "guest's own" | "joined";

export interface NamespacesOptions {
  /** The procfs of the sentry's own pid namespace. */
  readonly proc: Fd;
  readonly network: Network;
  readonly acting: Acting;
  readonly tasks: GuestTasks;
  readonly surroundings: Surroundings;
  readonly errands: Errands;
  readonly volumes: Volumes;
}

export class Namespaces {
  readonly roots: Roots;
  readonly #options: NamespacesOptions;
  #hasEntered = false;
  #ownRoot: Fd | undefined;
  #offsets = "";

  constructor(options: NamespacesOptions) {
    this.#options = options;
    this.roots = new Roots(options.proc, () => options.acting.asSentry());
  }

  get hasEntered(): boolean {
    return this.#hasEntered;
  }

  /**
   * Enters the guest's user namespace, whose mounts answer nobody else, and takes its root, from where its names mean what they mean to it. Not its
   * mount namespace, which would not end before us, nor would the gofers then. Before its first execve there is nothing to look up.
   */
  enter(task: number): void {
    if (this.#hasEntered) return;
    const pidfd = kernel.pidfd(task);
    if (pidfd < 0) return;
    const { proc, network, acting, tasks, volumes } = this.#options;
    using guest = new Fd(pidfd);
    const isFirst = this.#ownRoot === undefined;
    if (isFirst) {
      const own = open("/", O_PATH | O_DIRECTORY);
      setNamespace(guest, CLONE_NEW.user, "guest");
      acting.hasEnteredNamespace();
      enterCgroupNamespace(guest);
      if (network === "guest's own") setNamespace(guest, CLONE_NEW.net, "guest");
      this.#ownRoot = own;
    }
    acting.asSentry();
    if (!volumes.isEmpty) this.#sendDesks(task, isFirst);
    this.roots.enter(task);
    this.#hasEntered = true;
    using offsets = openAt(proc, `${task}/timens_offsets`, 0);
    this.#offsets = Buffer.from(read(offsets, 256)).toString("latin1");
    tasks.limitsFileSizes = tasks.fileSizeLimit(task) !== Infinity;
  }

  #sendDesks(task: number, isFirst: boolean): void {
    const { proc, errands, volumes } = this.#options;
    using mounts = openAt(proc, `${task}/mountinfo`, 0);
    volumes.learn(readAll(mounts));
    for (const desk of errands.desks) {
      const root = openAt(proc, `${task}/root`, O_PATH | O_DIRECTORY);
      const user = isFirst ? new Fd(kernel.pidfd(task)) : undefined;
      desk.enter(root.number, proc, user, user === undefined ? [root] : [root, user]);
    }
  }

  /** No task of the guest's is left: its file systems are let go. */
  leave(): void {
    if (!this.#hasEntered || this.#ownRoot === undefined) return;
    const { proc, acting, errands, surroundings } = this.#options;
    surroundings.drop();
    acting.asSentry();
    for (const desk of errands.desks) desk.enter(this.#ownRoot.number, proc, undefined);
    this.roots.leave(this.#ownRoot);
    this.#hasEntered = false;
  }

  /** What a clock of the guest's is ahead of the host's, in nanoseconds. Source: time_namespaces(7). */
  clockOffset(clock: "monotonic" | "boottime"): bigint {
    const [, seconds = "0", nanoseconds = "0"] = new RegExp(`^${clock}\\s+(-?\\d+)\\s+(\\d+)$`, "m").exec(this.#offsets) ?? [];
    return BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds);
  }
}

/** /proc/PID/cgroup and mountinfo name cgroups as whoever reads them sees them. One that the configuration lends the guest is not its to enter, nor ours. */
function enterCgroupNamespace(guest: Fd): void {
  try {
    setNamespace(guest, CLONE_NEW.cgroup, "guest");
  } catch (error) {
    if (!isErrno(error, EPERM)) throw error;
  }
}

function readAll(file: Fd): string {
  const chunks: Uint8Array[] = [];
  for (let chunk = read(file, 65_536); chunk.length > 0; chunk = read(file, 65_536)) chunks.push(chunk);
  return Buffer.concat(chunks).toString("latin1");
}
