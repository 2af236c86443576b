import { existsSync, chownSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { EACCES, EBUSY, ENOENT, EOPNOTSUPP, EPERM, EROFS } from "../../linux/abi/errno.ts";
import { SIGNALS } from "../../linux/abi/signal.ts";
import type { LinuxDeviceCgroup, LinuxResources } from "../spec/config-resources.ts";
import { O_DIRECTORY, O_NOFOLLOW, O_PATH, O_WRONLY } from "../../linux/abi/fcntl.ts";
import { inStep, isErrno, SysError, messageOf } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { open } from "../../linux/file.ts";
import { applyLimits, applyUnified, asksForLimits, v2ControllersFor, type Directories } from "./apply.ts";
import { setRealtimeV1, wantsRealtime } from "./controllers/cpu.ts";
import { inheritCpusetV1, setCpusetV1, wantsCpuset } from "./controllers/cpuset.ts";
import { rejectLimitBelowUsage } from "./controllers/memory.ts";
import { setDevicesV1 } from "./controllers/devices-v1.ts";
import { defaultDeviceRules } from "./devices.ts";
import { setDevicesV2 } from "./devices-v2.ts";
import { waitUntil } from "../../linux/sleep.ts";
import { CgroupError, cgroupDir, joinCgroup, makeDir, readPidsRecursive, removeIfUnused, removeTree } from "./files.ts";
import { freezerV1, freezerV2, type Freezer } from "./freezer.ts";
import { parseProcCgroup } from "./layout.ts";
import { killTree, signalTree } from "./kill.ts";
import { oomSource, type OomSource } from "./oom.ts";
import type { CgroupPlan } from "./plan.ts";
import { readStats, type CgroupStats } from "./stats.ts";
import { createV2 } from "./v2.ts";


/**
 * A container's cgroup in every hierarchy. Order of use: `create`, `addProcess`, `set`; with the systemd driver it is
 * `addProcess` that starts the unit, since a scope cannot be empty.
 */
export interface Cgroup {
  /** Controller to absolute directory, '' for v2. What a rootless container could not get is missing after `create`. */
  readonly paths: Readonly<Record<string, string>>;
  /** Makes the directories, and sets what must be there before a process can join. @throws CgroupError, SysError */
  create(resources: LinuxResources): void;
  /**
   * For a process that is about to be born.
   * @param limited whether it has a memory limit: then what the child touches of its parent's memory at birth must not count.
   * @param beside as for `addProcess`. @throws SysError
   */
  openJoin(resources: LinuxResources, beside?: number): Joining;
  /**
   * Moves a process of this pid namespace, which must not be forking meanwhile: what it forks before it is in every
   * hierarchy stays outside of the others. Where the container has handed its v2 controllers down to cgroups of its
   * own, and so cannot have processes beside them, the process joins the one that `beside`, its init, is in.
   * @throws SysError
   */
  addProcess(pid: number, beside?: number): void;
  /** All of a new container's limits and its device rules, the default devices included. @throws CgroupError, SysError */
  set(resources: LinuxResources): void;
  /** What `update` changes: the limits named, nothing else; device rules only where `devices` is given. */
  update(resources: LinuxResources): void;
  /** v2 only: hands the cgroup to `uid`, so that the container may make cgroups of its own in it. */
  delegate(uid: number): void;
  freeze(): void;
  thaw(): void;
  isFrozen(): boolean;
  /** Every process in it and below it. */
  pids(): number[];
  /**
   * Sends a signal to all of them. SIGKILL also thaws, and returns only when none is left.
   * @throws SysError EBUSY where processes survive SIGKILL for 10 seconds.
   */
  kill(signal: number): void;
  stats(): CgroupStats;
  /** To be notified of OOM kills; undefined without a memory controller. */
  oomEvents(): OomSource | undefined;
  /** Removes it, cgroups that the container made in it, and parents that were made for it. It must have no processes. */
  destroy(): void;
}

/**
 * How a new process gets into the cgroups without waiting 10 to 25 ms for an RCU grace period, as moving another process does: by itself into
 * v1's, and by birth into v2's. What these two do not reach, `move` does.
 */
export interface Joining {
  /** v1's `tasks`, for the process, which has one thread, to write "0" to. Opened with our rights. */
  readonly tasks: readonly Fd[];
  /** v2's directory, for CLONE_INTO_CGROUP. */
  readonly birthplace: Fd | undefined;
  /** The rest, by the runtime. @param born whether the birth took place there. @throws SysError */
  move(pid: number, born: boolean): void;
}

const removeTimeoutMs = 5000;
const killTimeoutMs = 10_000;

/** The cgroups of a plan by way of the file system, without a manager. */
export class FsCgroup implements Cgroup {
  readonly plan: CgroupPlan;
  #paths: Record<string, string>;

  constructor(plan: CgroupPlan) {
    this.plan = plan;
    this.#paths = { ...plan.paths };
  }

  get paths(): Readonly<Record<string, string>> {
    return this.#paths;
  }

  create(resources: LinuxResources): void {
    this.#eachPath(resources, (controller, path) => this.#createOne(controller, path, resources));
    // Left frozen by a killed runtime, it would hold the new init for good.
    const freezer = this.#freezer();
    if (freezer?.isFrozen() === true) freezer.thaw();
  }

  #createOne(controller: string, path: string, resources: LinuxResources): void {
    const mountPoint = this.plan.mountPoints[controller] ?? "/";
    if (controller === "") {
      createV2(mountPoint, path, { needed: this.#v2Needs(resources), all: this.plan.layout === "v2" });
      return;
    }
    makeDirs(mountPoint, path);
    const dir = cgroupDir(controller, path);
    if (controller === "cpuset") {
      inheritCpusetV1(mountPoint, dirname(path));
      if (wantsCpuset(resources.cpu)) setCpusetV1(dir, resources.cpu);
      inheritCpusetV1(mountPoint, path);
    }
    if (controller === "cpu" && wantsRealtime(resources.cpu)) setRealtimeV1(dir, resources.cpu);
  }

  /** On a hybrid host only what v1 does not have is asked of v2. */
  #v2Needs(resources: LinuxResources): string[] {
    return v2ControllersFor(resources).filter((name) => this.#paths[name === "io" ? "blkio" : name] === undefined);
  }

  openJoin(resources: LinuxResources, beside?: number): Joining {
    const limited = (resources.memory?.limit ?? -1) > 0;
    const tasks: Fd[] = [];
    let birthplace: Fd | undefined;
    this.#eachPath({}, (controller, path) => {
      if (controller !== "") tasks.push(inStep(`cgroup ${controller}`, () => open(`${path}/tasks`, O_WRONLY | O_NOFOLLOW)));
      else if (!limited || this.plan.layout !== "v2") birthplace = inStep("cgroup v2", () => open(path, O_PATH | O_DIRECTORY));
    });
    return { tasks, birthplace, move: (pid, born) => this.#move(pid, beside, (controller) => controller === "" && !born) };
  }

  addProcess(pid: number, beside?: number): void {
    this.#move(pid, beside, () => true);
  }

  #move(pid: number, beside: number | undefined, wanted: (controller: string) => boolean): void {
    this.#eachPath({}, (controller, path) => {
      if (!wanted(controller)) return;
      try {
        joinCgroup(controller || "v2", path, pid);
      } catch (error) {
        const other = controller === "" && beside !== undefined && isErrno(error, EBUSY, EOPNOTSUPP) ? cgroupOf(beside, path) : undefined;
        if (other === undefined) throw error;
        joinCgroup("v2", other, pid);
      }
    });
  }

  /** Does `action` for every path. What a rootless container may not do is left out, unless it is going to need it. */
  #eachPath(resources: LinuxResources, action: (controller: string, path: string) => void): void {
    for (const [controller, path] of Object.entries(this.#paths)) {
      try {
        action(controller, path);
      } catch (error) {
        // ENOENT: opened again by its plan, which does not know what `create` could not get.
        if (!this.plan.optional || !isErrno(error, EACCES, EPERM, EROFS, ENOENT)) throw error;
        if (controller === "" && this.plan.layout === "v2" && asksForLimits(resources)) throw needsPermission(error);
        delete this.#paths[controller];
      }
    }
  }

  set(resources: LinuxResources): void {
    if (this.plan.optional && Object.keys(this.#paths).length === 0 && !asksForLimits(resources)) return;
    this.update({ ...resources, devices: [...(resources.devices ?? []), ...defaultDeviceRules] });
  }

  update(resources: LinuxResources): void {
    if (resources.unified !== undefined && Object.keys(resources.unified).length > 0 && this.plan.layout !== "v2") {
      throw new CgroupError("linux.resources.unified", "needs a host with cgroup v2 alone");
    }
    applyLimits(resources, this.#directories());
    if (resources.devices !== undefined) this.#setDevices(resources.devices);
    const path = this.#paths[""];
    if (resources.unified !== undefined && path !== undefined) applyUnified(cgroupDir("unified", path), resources.unified);
  }

  /** `checkBeforeUpdate`, for a manager that must not be told of a limit first. */
  checkUpdate({ memory }: LinuxResources): void {
    const path = this.#paths["memory"] ?? this.#paths[""];
    if (memory === undefined || path === undefined) return;
    rejectLimitBelowUsage(cgroupDir("memory", path), memory, this.#paths["memory"] === undefined ? "memory.current" : "memory.usage_in_bytes");
  }

  #directories(): Directories {
    return {
      v1: (controller) => (this.#paths[controller] === undefined ? undefined : cgroupDir(controller, this.#paths[controller])),
      v2: (controller) => {
        const path = this.#paths[""];
        if (path === undefined) return undefined;
        const dir = cgroupDir(controller, path);
        return dir.read("cgroup.controllers").trim().split(" ").includes(controller) ? dir : undefined;
      },
    };
  }

  /** A user namespace cannot set device rules, and needs none: it cannot open a device node that it makes. */
  #setDevices(rules: readonly LinuxDeviceCgroup[]): void {
    const { devices, "": unified } = this.#paths;
    try {
      if (devices !== undefined) setDevicesV1(cgroupDir("devices", devices), rules);
      else if (unified !== undefined) setDevicesV2(cgroupDir("devices", unified), rules);
    } catch (error) {
      if (!this.plan.rootless || !isErrno(error, EACCES, EPERM, EROFS)) throw error;
    }
  }

  delegate(uid: number): void {
    const path = this.#paths[""];
    if (path === undefined || this.plan.layout !== "v2") return;
    chownSync(path, uid, -1);
    for (const file of delegatedFiles()) {
      try {
        chownSync(`${path}/${file}`, uid, -1);
      } catch (error) {
        if (!isErrno(error, ENOENT)) throw error;
      }
    }
  }

  #freezer(): Freezer | undefined {
    const { freezer, "": unified } = this.#paths;
    if (freezer !== undefined) return freezerV1(cgroupDir("freezer", freezer));
    return unified === undefined ? undefined : freezerV2(cgroupDir("freezer", unified));
  }

  #needFreezer(): Freezer {
    const freezer = this.#freezer();
    if (freezer === undefined) throw new CgroupError("cgroup freezer", "the container has no cgroup that can be frozen");
    return freezer;
  }

  freeze(): void {
    this.#needFreezer().freeze();
  }

  thaw(): void {
    this.#needFreezer().thaw();
  }

  isFrozen(): boolean {
    return this.#freezer()?.isFrozen() ?? false;
  }

  /** One hierarchy answers for all: the v2 one, or the one that no container can leave without host privilege. */
  #pidsPath(): string | undefined {
    const { devices, freezer, pids } = this.#paths;
    return devices ?? freezer ?? pids ?? Object.values(this.#paths)[0];
  }

  pids(): number[] {
    const path = this.#pidsPath();
    return path === undefined ? [] : readPidsRecursive(path);
  }

  kill(signal: number): void {
    if (this.pids().length === 0) return;
    const freezer = existsSync(this.#paths["freezer"] ?? this.#paths[""] ?? "/nonexistent") ? this.#freezer() : undefined;
    const target = { pids: () => this.pids(), freezer, killFile: this.#killFile() };
    if (signal !== SIGNALS.SIGKILL) return signalTree(target, signal);
    killTree(target);
    if (!waitUntil(killTimeoutMs, () => this.pids().length === 0 || (killTree(target), false))) {
      throw new SysError({ step: "cgroup", syscall: "kill", path: this.#pidsPath(), errno: EBUSY, hint: `${this.pids().length} processes survive SIGKILL` });
    }
  }

  #killFile(): string | undefined {
    const file = `${this.#paths[""] ?? ""}/cgroup.kill`;
    return existsSync(file) ? file : undefined;
  }

  stats(): CgroupStats {
    return readStats(this.#paths);
  }

  oomEvents(): OomSource | undefined {
    return oomSource(this.#paths);
  }

  destroy(): void {
    for (const path of new Set(Object.values(this.#paths))) removeTree(path, removeTimeoutMs);
    for (const parent of this.plan.parents.toReversed()) removeIfUnused(parent);
  }
}

/** mkdir -p below the mount point. A parent may be removed by its last user between two steps: begun again then. */
export function makeDirs(mountPoint: string, path: string): void {
  for (let attempt = 0; ; attempt++) {
    try {
      makeMissing(mountPoint, path);
      return;
    } catch (error) {
      if (!isErrno(error, ENOENT) || attempt === 9 || !existsSync(mountPoint)) throw error;
    }
  }
}

function makeMissing(mountPoint: string, path: string): void {
  if (path === mountPoint || existsSync(path)) return;
  makeMissing(mountPoint, dirname(path));
  makeDir(path);
}

/** The v2 cgroup of a process, if it is below `path`: it may have been moved anywhere since. */
function cgroupOf(pid: number, path: string): string | undefined {
  const own = parseProcCgroup(readFileSync(`/proc/${pid}/cgroup`, "utf8")).get("");
  const name = path.slice(path.lastIndexOf("/"));
  const below = own?.slice(own.lastIndexOf(`${name}/`) + name.length);
  return own === undefined || !own.includes(`${name}/`) || !existsSync(`${path}${below}`) ? undefined : `${path}${below}`;
}

function needsPermission(error: unknown): CgroupError {
  const reason = messageOf(error);
  return new CgroupError("linux.resources", `limits were asked for, and this user may not make a cgroup (${reason})`);
}

/** Source: cgroups(7), "Delegation"; before 4.15 the list was fixed. */
function delegatedFiles(): string[] {
  try {
    return readFileSync("/sys/kernel/cgroup/delegate", "utf8").split("\n").filter((name) => /^[\w.]+$/.test(name));
  } catch {
    return ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"];
  }
}
