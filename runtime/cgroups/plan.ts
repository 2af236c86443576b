import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { CgroupError, readPidsRecursive } from "./files.ts";
import { readHost, type CgroupHost, type CgroupLayout, type Hierarchy } from "./layout.ts";
import { managerCgroup } from "./systemd/bus.ts";
import { expandSlice, parseUnit, type SystemdUnit } from "./systemd/slices.ts";

/**
 * Where a container's cgroup is, or is going to be: plain JSON. It goes into state.json before anything is created, so
 * that `delete --force` finds what a killed runtime left; later commands open the cgroup by it.
 */
export interface CgroupPlan {
  readonly layout: CgroupLayout;
  /** Absolute directory per controller (v1: `memory`, `name=systemd`, ...); '' is the v2 cgroup. */
  readonly paths: Readonly<Record<string, string>>;
  /** Mount point per entry of `paths`. */
  readonly mountPoints: Readonly<Record<string, string>>;
  /** Directories above them that did not exist, outermost first: removed again with the container, if unused by then. */
  readonly parents: readonly string[];
  /** Set with the systemd driver. */
  readonly unit?: SystemdUnit | undefined;
  /** A rootless container that named no cgroup may run without one, as long as it asks for no limit. */
  readonly optional: boolean;
  readonly rootless: boolean;
}

export interface PlanRequest {
  /** linux.cgroupsPath. */
  readonly cgroupsPath: string | undefined;
  readonly id: string;
  /** The global flag --systemd-cgroup. */
  readonly systemd: boolean;
  readonly rootless: boolean;
  /** The config's; `org.systemd.property.*` among them go to the systemd unit. */
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  /** Default: this host. */
  readonly host?: CgroupHost;
  /** The cgroup of the user's service manager; asked for with a rootless systemd driver only. */
  readonly userManager?: () => string;
}

/**
 * Decides which cgroups a container gets, and changes nothing. An absolute path is taken from each hierarchy's mount
 * point; a relative or missing one (then `id`) from the runtime's own cgroup, on v2 from the one above it, since a
 * cgroup with processes cannot hand controllers down. Source: runc's cgroup drivers, cgroups(7).
 * @throws CgroupError for an unsafe path, a host without cgroups, or a cgroup that has processes already.
 */
export function planCgroup({ cgroupsPath = "", id, systemd, rootless, annotations, host = readHost(), userManager = () => managerCgroup("user") }: PlanRequest): CgroupPlan {
  if (systemd && rootless) requireRootlessSystemd(host);
  const unit = systemd ? parseUnit(cgroupsPath, id, rootless, annotations) : undefined;
  const placed = unit === undefined ? placeByPath(checkedPath(cgroupsPath, id), host) : placeByUnit(unit, host, unit.bus === "user" ? userManager() : "/");
  if (!rootless) requireDevices(host);
  const paths = Object.fromEntries(placed.map(({ controller, path }) => [controller, path]));
  refuseOccupied(Object.values(paths));
  return {
    layout: host.layout,
    paths,
    mountPoints: Object.fromEntries(placed.map(({ controller, mountPoint }) => [controller, mountPoint])),
    parents: unit === undefined ? [...new Set(placed.flatMap(missingParents))] : [],
    unit,
    optional: rootless && cgroupsPath === "",
    rootless,
  };
}

interface Placed {
  readonly controller: string;
  readonly mountPoint: string;
  readonly path: string;
}

/** @throws CgroupError for `..`, control characters, or the root itself. */
export function checkedPath(cgroupsPath: string, id: string): string {
  const path = cgroupsPath === "" ? id : cgroupsPath;
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(path)) throw new CgroupError("linux.cgroupsPath", "contains a control character");
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) throw new CgroupError("linux.cgroupsPath", `${JSON.stringify(path)} contains ".."`);
  if (parts.length === 0) throw new CgroupError("linux.cgroupsPath", `${JSON.stringify(path)} is the root cgroup`);
  return `${path.startsWith("/") ? "/" : ""}${parts.join("/")}`;
}

/** `own` as seen below the mount point; the mount point itself where it lies outside of what is mounted. */
function ownBelowMount({ mountPoint, root, own }: Hierarchy): string {
  const below = root === "/" ? own : own === root || own.startsWith(`${root}/`) ? own.slice(root.length) : "/";
  return below.startsWith("/..") ? mountPoint : join(mountPoint, below);
}

const join = (base: string, path: string): string => `${base}/${path}`.replace(/\/+/g, "/").replace(/(.)\/$/, "$1");

function placeByPath(path: string, host: CgroupHost): Placed[] {
  const absolute = path.startsWith("/");
  const base = (hierarchy: Hierarchy): string => (absolute ? hierarchy.mountPoint : ownBelowMount(hierarchy));
  const v1 = everyV1(host, (hierarchy) => join(base(hierarchy), path));
  if (host.v2 === undefined) return v1;
  const own = base(host.v2);
  const parent = host.layout === "v2" && own !== host.v2.mountPoint ? dirname(own) : own;
  return [...v1, { controller: "", mountPoint: host.v2.mountPoint, path: join(absolute ? own : parent, path) }];
}

function placeByUnit(unit: SystemdUnit, host: CgroupHost, manager: string): Placed[] {
  const path = `${join(manager, expandSlice(unit.slice))}/${unit.name}`;
  const v1 = everyV1(host, (hierarchy) => join(hierarchy.mountPoint, path));
  return host.v2 === undefined ? v1 : [...v1, { controller: "", mountPoint: host.v2.mountPoint, path: join(host.v2.mountPoint, path) }];
}

function everyV1(host: CgroupHost, pathIn: (hierarchy: Hierarchy) => string): Placed[] {
  return host.v1.flatMap((hierarchy) =>
    hierarchy.controllers.map((controller) => ({ controller, mountPoint: hierarchy.mountPoint, path: pathIn(hierarchy) })),
  );
}

function requireRootlessSystemd(host: CgroupHost): void {
  if (host.layout !== "v2") throw new CgroupError("--systemd-cgroup", "a rootless container needs cgroup v2 for the systemd driver");
}

/** Without it a root container could open any device node that it makes. */
function requireDevices(host: CgroupHost): void {
  if (host.v2 === undefined && !host.v1.some(({ controllers }) => controllers.includes("devices"))) {
    throw new CgroupError("cgroup", "this host has neither a devices controller nor cgroup v2 mounted");
  }
}

/** Whatever is found in the container's cgroup later must be the container's: it is going to be killed and removed. */
function refuseOccupied(paths: readonly string[]): void {
  for (const path of paths) {
    // As a rule it does not exist, which is one call to find out.
    if (!existsSync(path)) continue;
    const count = readPidsRecursive(path).length;
    if (count > 0) throw new CgroupError("linux.cgroupsPath", `${path} has ${count} processes already`);
  }
}

function missingParents({ path, mountPoint }: Placed): string[] {
  const parent = dirname(path);
  if (parent === mountPoint || parent === "/" || existsSync(parent)) return [];
  return [...missingParents({ path: parent, mountPoint, controller: "" }), parent];
}
