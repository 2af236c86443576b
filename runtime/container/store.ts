/**
 * The state directory of containers: `ROOT/ID/` holds
 *   state.json   the record, replaced by rename
 *   config.json  the configuration as it was at create, never read from the bundle again
 *   lock         locked by whoever changes the container
 *   created      locked by init until it executes the program
 *   start.sock   init's end of `start`
 */
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, rmdirSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { EEXIST, ENOENT, ENOTEMPTY } from "../../linux/abi/errno.ts";
import { isErrno, messageOf } from "../../linux/errors.ts";
import { effectiveUid } from "../../linux/credentials.ts";
import { Fd } from "../../linux/fd.ts";
import { lockFile } from "../../linux/flock.ts";
import { waitUntil } from "../../linux/sleep.ts";
import type { CgroupPlan } from "../cgroups/index.ts";
import type { Hooks, Spec } from "../spec/config.ts";
import { validateId } from "../spec/id.ts";
import { parseConfig } from "../spec/validate.ts";
import type { PolicyName } from "../../policies/syscalls/names.ts";
import type { Mode } from "../sandbox/mode.ts";
import type { HostedMachine } from "../vm/host-resources.ts";
import type { RdtPlan } from "./intel-rdt.ts";

/** What outlives the runtime's process. Plain JSON. */
export interface ContainerRecord {
  readonly id: string;
  readonly mode: Mode;
  /** In sentry mode, what exec follows too. */
  readonly policy?: PolicyName | undefined;
  /** Id of the first container of the sandbox that it belongs to; undefined for one with a sandbox of its own. */
  readonly sandbox?: string | undefined;
  /** init's pid on the host; 0 while it is being created. */
  readonly pid: number;
  /** Start time of that process in clock ticks since boot, so that a reused pid is not taken for it. */
  readonly startTime: string;
  readonly bundle: string;
  /** Absolute. */
  readonly rootfs: string;
  /** RFC 3339 with nanoseconds. */
  readonly created: string;
  /** Milliseconds from `created` to a process that waits for `start`; undefined until then. */
  readonly createMs?: number;
  readonly annotations: Readonly<Record<string, string>>;
  /** The user who created it. */
  readonly ownerId: number;
  readonly rootless: boolean;
  readonly cgroup: CgroupPlan;
  /** The cgroup directories that it really got, by controller. */
  readonly cgroupPaths: Readonly<Record<string, string>>;
  /** Its groups in the resctrl file system, if it has any. */
  readonly rdt?: RdtPlan | undefined;
  /** Whether init has a pid namespace of its own: then its end is the end of all. */
  readonly ownPidNamespace: boolean;
  readonly ociVersion: string;
  /** In mode vm, of the container that has brought the machine. */
  readonly machine?: HostedMachine | undefined;
  /** In mode vm: bytes, of the last update; else it is the configuration's. */
  readonly memoryLimit?: number;
  /** Those that run after create. */
  readonly hooks: Pick<Hooks, "poststart" | "poststop">;
}

/** An operation that the container's state forbids, or a container that is not there. */
export class ContainerError extends Error {
  override readonly name = "ContainerError";
}

const DIRECTORY_MODE = 0o711;

export class Container {
  readonly directory: string;
  record: ContainerRecord;

  private constructor(directory: string, record: ContainerRecord) {
    this.directory = directory;
    this.record = record;
  }

  /** Claims the id. @returns the container and its lock. @throws ContainerError where it is taken; SysError, and then nothing is left. */
  static create(root: string, record: ContainerRecord, configText: string): { container: Container; lock: Fd } {
    mkdirSync(root, { recursive: true, mode: DIRECTORY_MODE });
    const directory = join(root, record.id);
    try {
      mkdirSync(directory, { mode: DIRECTORY_MODE });
    } catch (error) {
      throw isErrno(error, EEXIST) ? taken(root, record.id) : error;
    }
    const container = new Container(directory, record);
    try {
      // First of all: without it nobody may take the directory for what a killed create has left.
      const lock = container.lock();
      writeFileSync(container.path("config.json"), configText, { mode: 0o600 });
      container.save(record);
      return { container, lock };
    } catch (error) {
      container.remove();
      throw error;
    }
  }

  static directoryOf(root: string, id: string): string {
    return join(root, id);
  }

  /** @throws ContainerError where the id is taken: asked before anything else is, so that this is the answer. */
  static refuseTaken(root: string, id: string): void {
    if (existsSync(join(root, id))) throw taken(root, id);
  }

  /** @throws ContainerError where there is none. */
  static open(root: string, id: string): Container {
    validateId(id);
    const container = Container.tryOpen(root, id);
    if (container === undefined) throw new ContainerError(`container ${JSON.stringify(id)} does not exist (in ${root})`);
    return container;
  }

  static tryOpen(root: string, id: string): Container | undefined {
    const directory = join(root, id);
    if (!existsSync(join(directory, "state.json"))) return undefined;
    return new Container(directory, readRecord(join(directory, "state.json")));
  }

  /** @param warn is told of what cannot be read: one damaged container does not hide the others. */
  static list(root: string, warn: (message: string) => void = () => {}): Container[] {
    if (!existsSync(root)) return [];
    return readdirSync(root).flatMap((id) => {
      try {
        return Container.tryOpen(root, id) ?? [];
      } catch (error) {
        warn(messageOf(error));
        return [];
      }
    });
  }

  path(name: "state.json" | "config.json" | "lock" | "created" | "start.sock"): string {
    // Node's join() looks at each character: V8 would find it worth optimizing, for a millisecond, when a start has used it thirty times.
    return `${this.directory}/${name}`;
  }

  save(record: ContainerRecord): void {
    const temporary = `${this.path("state.json")}.new`;
    writeFileSync(temporary, JSON.stringify(record), { mode: 0o600 });
    renameSync(temporary, this.path("state.json"));
    this.record = record;
  }

  /** The configuration as it was at create. */
  spec(): Spec {
    return parseConfig(readFileSync(this.path("config.json"), "utf8"), { rootless: effectiveUid() !== 0 }).value;
  }

  /** `lockDirectory`, for a container that must be there. @throws ContainerError where it has been deleted meanwhile. */
  lock(): Fd {
    const lock = lockDirectory(this.directory);
    if (lock === undefined) throw new ContainerError(`container ${JSON.stringify(this.record.id)} does not exist: it has just been deleted`);
    return lock;
  }

  /** Reads what another process may have changed. Preconditions: locked. */
  reload(): void {
    this.record = readRecord(this.path("state.json"));
  }

  openLock(name: "lock" | "created"): Fd {
    return new Fd(openSync(this.path(name), "a", 0o600));
  }

  /** Whether somebody holds one of the locks. */
  isLocked(name: "lock" | "created"): boolean {
    if (!existsSync(this.path(name))) return false;
    const fd = openSync(this.path(name), "r");
    try {
      return !lockFile(fd, "shared", false);
    } finally {
      closeSync(fd);
    }
  }

  remove(): void {
    removeDirectory(this.directory);
  }
}

const LOCK_TIMEOUT_MS = 10_000;

/**
 * Waits until nobody else changes the container in `directory`; ends when the descriptor is closed or the process ends.
 * @returns undefined where there is no such directory, or none any more.
 * @throws ContainerError where the other one takes more than 10 seconds, in a hook for example.
 */
export function lockDirectory(directory: string): Fd | undefined {
  const path = `${directory}/lock`;
  for (;;) {
    const lock = openOrMissing(path);
    if (lock === undefined) return undefined;
    if (!waitUntil(LOCK_TIMEOUT_MS, () => lockFile(lock, "exclusive", false))) {
      throw new ContainerError(`container ${basename(directory)} is being changed by another process, for more than ${LOCK_TIMEOUT_MS / 1000} s now`);
    }
    // The container may have been deleted while we waited, and another one made in its place: then this is nobody's lock.
    if (fstatSync(lock.number).ino === statSync(path, { throwIfNoEntry: false })?.ino) return lock;
    lock.close();
  }
}

function openOrMissing(path: string): Fd | undefined {
  try {
    return new Fd(openSync(path, "a", 0o600));
  } catch (error) {
    if (isErrno(error, ENOENT)) return undefined;
    throw error;
  }
}

const FILES = ["start.sock", "created", "config.json", "state.json.new", "state.json", "lock"] as const;

/**
 * Removes the files by their names, which takes no descriptor: create cleans up also where it failed for want of those. What else there is, a
 * lock file made anew by somebody who waits for it, needs the descriptors.
 */
export function removeDirectory(directory: string): void {
  for (const name of FILES) removeFile(`${directory}/${name}`);
  try {
    rmdirSync(directory);
  } catch (error) {
    if (isErrno(error, ENOTEMPTY)) rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 5 });
    else if (!isErrno(error, ENOENT)) throw error;
  }
}

/** By one system call, where rmSync makes three. */
function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!isErrno(error, ENOENT)) throw error;
  }
}

function readRecord(path: string): ContainerRecord {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as ContainerRecord;
  } catch (error) {
    throw new ContainerError(`${path} is damaged (${messageOf(error)}); delete --force removes the container's state`, { cause: error });
  }
}

function taken(root: string, id: string): ContainerError {
  return new ContainerError(`container with given ID already exists: ${id} in ${root}`);
}
