import { existsSync, readFileSync } from "node:fs";
import type { LinuxResources } from "../../spec/config-resources.ts";
import { withWholeBandwidth } from "../controllers/cpu.ts";
import { FsCgroup, type Cgroup, type Joining } from "../cgroup.ts";
import { defaultDeviceRules } from "../devices.ts";
import { waitUntil } from "../../../linux/sleep.ts";
import { cgroupDir } from "../files.ts";
import type { OomSource } from "../oom.ts";
import type { CgroupPlan } from "../plan.ts";
import type { CgroupStats } from "../stats.ts";
import { attachProcess, BusError, isUnitExists, resetFailedUnit, setUnitProperties, startTransientUnit, stopUnit, systemdVersion, unitState } from "./bus.ts";
import { deviceProperties, limitProperties, unitProperties, type Property } from "./properties.ts";
import type { SystemdUnit } from "./slices.ts";

const jobTimeoutMs = 30_000;

/**
 * A container in a transient scope. systemd makes the cgroup and is told what it can understand; everything else, and
 * every exact value, is written to the files, which Delegate=yes leaves to us.
 */
export class SystemdCgroup implements Cgroup {
  readonly #plan: CgroupPlan;
  readonly #unit: SystemdUnit;
  readonly #files: FsCgroup;
  #resources: LinuxResources = {};

  constructor(plan: CgroupPlan, unit: SystemdUnit) {
    this.#plan = plan;
    this.#unit = unit;
    this.#files = new FsCgroup(plan);
  }

  get paths(): Readonly<Record<string, string>> {
    return this.#files.paths;
  }

  /** A scope without a process is refused by systemd: the first `addProcess` starts it. */
  create(resources: LinuxResources): void {
    this.#resources = resources;
  }

  /** systemd does the moving: it has to know of its scope's processes. */
  openJoin(_resources: LinuxResources, beside?: number): Joining {
    return { tasks: [], birthplace: undefined, move: (pid) => this.addProcess(pid, beside) };
  }

  addProcess(pid: number, beside?: number): void {
    if (Object.values(this.paths).some((path) => existsSync(path))) this.#attach(pid, beside);
    else this.#start(pid);
  }

  #attach(pid: number, beside: number | undefined): void {
    // A user may not move a process out of its session by hand, its service manager may.
    if (this.#unit.bus === "user") attachProcess(this.#unit.bus, this.#unit.name, pid);
    else this.#files.addProcess(pid, beside);
  }

  /** With its limits from the first moment; what systemd does not know of is made and joined afterwards. */
  #start(pid: number): void {
    const { bus, name, slice, properties } = this.#unit;
    const rules = [...(this.#resources.devices ?? []), ...defaultDeviceRules];
    const devices = this.#plan.rootless ? [] : deviceProperties(rules, this.#plan.layout);
    startUnit(bus, name, [
      ...unitProperties(`tssandbox container ${name}`, slice, pid, this.#plan.layout),
      ...limitProperties(this.#resources, this.#plan.layout, systemdVersion(bus)),
      ...devices,
      ...properties,
    ]);
    this.#awaitStart(pid);
    this.#files.create(this.#resources);
    if (this.#plan.layout !== "v2") this.#files.addProcess(pid);
  }

  /** The job is done when the process is where it is to be. */
  #awaitStart(pid: number): void {
    const { bus, name } = this.#unit;
    const isThere = (): boolean => existsSync(`/proc/${pid}/cgroup`) && readFileSync(`/proc/${pid}/cgroup`, "utf8").includes(`/${name}`);
    waitUntil(jobTimeoutMs, () => isThere() || ["failed", "inactive"].includes(unitState(bus, name)));
    const state = unitState(bus, name);
    if (isThere() && state === "active") return;
    resetFailedUnit(bus, name);
    throw new BusError(`StartTransientUnit ${name}`, `the unit is ${state} and process ${pid} not in it`);
  }

  set(resources: LinuxResources): void {
    this.#files.set(resources);
  }

  update(resources: LinuxResources): void {
    const { bus, name } = this.#unit;
    const devices = resources.devices === undefined || this.#plan.rootless ? [] : deviceProperties(resources.devices, this.#plan.layout);
    this.#files.checkUpdate(resources);
    setUnitProperties(bus, name, [...limitProperties(this.#complete(resources), this.#plan.layout, systemdVersion(bus)), ...devices]);
    this.#files.update(resources);
  }

  #complete(resources: LinuxResources): LinuxResources {
    const path = this.paths[""];
    if (this.#plan.layout !== "v2" || path === undefined) return resources;
    return { ...resources, cpu: withWholeBandwidth(cgroupDir("cpu", path), resources.cpu) };
  }

  delegate(uid: number): void {
    this.#files.delegate(uid);
  }

  freeze(): void {
    this.#files.freeze();
  }

  thaw(): void {
    this.#files.thaw();
  }

  isFrozen(): boolean {
    return this.#files.isFrozen();
  }

  pids(): number[] {
    return this.#files.pids();
  }

  kill(signal: number): void {
    this.#files.kill(signal);
  }

  stats(): CgroupStats {
    return this.#files.stats();
  }

  oomEvents(): OomSource | undefined {
    return this.#files.oomEvents();
  }

  /** systemd removes an empty scope by itself; what was made beside it, or below it, is ours to remove. */
  destroy(): void {
    const { bus, name } = this.#unit;
    if (stopUnit(bus, name)) waitUntil(jobTimeoutMs, () => ["inactive", "failed"].includes(unitState(bus, name)));
    resetFailedUnit(bus, name);
    this.#files.destroy();
  }
}

/** A failed unit of the same name may be left from before: forgotten, and tried once more. */
function startUnit(bus: SystemdUnit["bus"], name: string, properties: readonly Property[]): void {
  try {
    startTransientUnit(bus, name, properties);
  } catch (error) {
    if (!isUnitExists(error)) throw error;
    resetFailedUnit(bus, name);
    startTransientUnit(bus, name, properties);
  }
}
