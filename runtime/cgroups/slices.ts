import { CgroupError } from "./files.ts";

/** A transient systemd unit that holds a container. */
export interface SystemdUnit {
  /** `prefix-name.scope`, or the name itself where it ends in `.slice`. */
  readonly name: string;
  /** The slice's unit name, not expanded. */
  readonly slice: string;
  /** Which service manager: the system's, or the calling user's own. */
  readonly bus: "system" | "user";
}

/** Source: systemd.unit(5), "String Escaping for Inclusion in Unit Names"; unit names are at most 255 bytes. */
const unitName = /^[A-Za-z0-9:_.\\@-]{1,255}$/;

/**
 * cgroupsPath `slice:prefix:name` to a unit. Empty means `:tssandbox:ID`; an empty slice means system.slice, for a user
 * manager user.slice. Source: runc's docs/systemd.md.
 * @throws CgroupError
 */
export function parseUnit(cgroupsPath: string, id: string, user: boolean): SystemdUnit {
  const [slice = "", prefix = "", name = "", ...rest] = (cgroupsPath === "" ? `:tssandbox:${id}` : cgroupsPath).split(":");
  if (cgroupsPath !== "" && (cgroupsPath.split(":").length !== 3 || rest.length > 0)) {
    throw new CgroupError("linux.cgroupsPath", `must be "slice:prefix:name" with --systemd-cgroup, is ${JSON.stringify(cgroupsPath)}`);
  }
  const unit = name.endsWith(".slice") ? name : `${prefix}-${name}.scope`;
  if (!unitName.test(unit)) throw new CgroupError("linux.cgroupsPath", `${JSON.stringify(unit)} is no valid unit name`);
  const inSlice = slice === "" ? (user ? "user.slice" : "system.slice") : slice === "-" ? "-.slice" : slice;
  expandSlice(inSlice);
  return { name: unit, slice: inSlice, bus: user ? "user" : "system" };
}

/**
 * The cgroup of a slice: `a-b.slice` is `/a.slice/a-b.slice`, `-.slice` is `/`. Source: systemd.slice(5).
 * @throws CgroupError
 */
export function expandSlice(slice: string): string {
  const parts = slice.slice(0, -".slice".length).split("-");
  if (slice === "-.slice") return "/";
  if (!slice.endsWith(".slice") || !unitName.test(slice) || parts.includes("")) {
    throw new CgroupError("linux.cgroupsPath", `${JSON.stringify(slice)} is no valid slice`);
  }
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join("-")}.slice`).join("");
}

/**
 * The cgroup of the user's service manager, from a cgroup below it: the part up to `user@UID.service`.
 * @throws CgroupError where this process does not run under one.
 */
export function userManagerCgroup(own: string): string {
  const manager = /^(.*\/user@\d+\.service)(\/|$)/.exec(own)?.[1];
  if (manager === undefined) throw new CgroupError("--systemd-cgroup", `this process (cgroup ${own}) does not run under a user's systemd`);
  return manager;
}
