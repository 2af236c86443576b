import { CgroupError } from "../files.ts";
import { annotationProperties, type Property } from "./properties.ts";

/** A transient systemd unit that holds a container. */
export interface SystemdUnit {
  /** `prefix-name.scope`. */
  readonly name: string;
  /** The slice's unit name, not expanded. */
  readonly slice: string;
  /** Which service manager: the system's, or the calling user's own. */
  readonly bus: "system" | "user";
  /** What the config's annotations add. */
  readonly properties: readonly Property[];
}

/** Source: systemd.unit(5), "String Escaping for Inclusion in Unit Names"; unit names are at most 255 bytes. */
const unitName = /^[A-Za-z0-9:_.\\@-]{1,255}$/;

/**
 * cgroupsPath `slice:prefix:name` to a scope. Empty means `:tssandbox:ID`; an empty slice means system.slice, for a user
 * manager user.slice; `-` is the root slice. Source: runc's docs/systemd.md.
 * @throws CgroupError
 */
export function parseUnit(cgroupsPath: string, id: string, user: boolean, annotations?: Readonly<Record<string, string>>): SystemdUnit {
  const parts = (cgroupsPath === "" ? `:tssandbox:${id}` : cgroupsPath).split(":");
  const [slice = "", prefix = "", name = ""] = parts;
  if (parts.length !== 3) throw new CgroupError("linux.cgroupsPath", `must be "slice:prefix:name" with --systemd-cgroup, is ${JSON.stringify(cgroupsPath)}`);
  // A slice holds units, not processes.
  if (name.endsWith(".slice")) throw new CgroupError("linux.cgroupsPath", `${JSON.stringify(name)} is a slice, a container needs a scope`);
  const unit = `${prefix}-${name}.scope`;
  if (!unitName.test(unit)) throw new CgroupError("linux.cgroupsPath", `${JSON.stringify(unit)} is no valid unit name`);
  const inSlice = slice === "-" ? "-.slice" : slice || (user ? "user.slice" : "system.slice");
  expandSlice(inSlice);
  return { name: unit, slice: inSlice, bus: user ? "user" : "system", properties: annotationProperties(annotations) };
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
