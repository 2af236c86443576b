import type { Linux, LinuxIDMapping, Mount, Spec } from "./config.ts";
import { checkMappings, hasNamespace } from "./check-namespaces.ts";
import { isBind, parseMountOptions, type ParsedMountOptions } from "./mount-parse.ts";
import { member, type Report } from "./report.ts";

// The rules for `mounts`: config.md#mounts, #linux-mount-options, and what runc checks (libcontainer/configs/validate).

export function checkMounts(spec: Spec, report: Report): void {
  spec.mounts?.forEach((mount, index) => {
    const at = member("mounts", index);
    const options = parseMountOptions(mount.options);
    destination(mount, at, report);
    bindSource(mount, options, at, report);
    bindData(options, at, report);
    contradictions(mount, at, report);
    copyUp(mount, options, at, report);
    idMapping(mount, options, spec.linux, at, report);
    if (report.rootless) rootlessOwners(options, spec.linux, at, report);
  });
}

/** "SHOULD be an absolute path [...] MAY be a relative path, in which case it MUST be interpreted as relative to /". */
function destination(mount: Mount, at: string, report: Report): void {
  const field = member(at, "destination");
  if (mount.destination === "") report.refuse(field, "must not be empty");
  if (mount.destination.startsWith("/")) return;
  report.warn(field, `relative path ${JSON.stringify(mount.destination)} is deprecated, taken as below /`);
  mount.destination = `/${mount.destination}`;
}

function bindSource(mount: Mount, options: ParsedMountOptions, at: string, report: Report): void {
  if (isBind(options) && (mount.source ?? "") === "") report.refuse(member(at, "source"), "is required for a bind mount");
}

/** The kernel ignores mount(2)'s data argument for a bind mount: an option there would silently do nothing (runc >= 1.2). */
function bindData(options: ParsedMountOptions, at: string, report: Report): void {
  if (isBind(options) && options.data.length > 0) {
    report.refuse(member(at, "options"), `a bind mount cannot have file system options: ${options.data.join(",")}`);
  }
}

const OPPOSITES = [
  ["ro", "rw"],
  ["rro", "rrw"],
  ["suid", "nosuid"],
  ["rsuid", "rnosuid"],
  ["dev", "nodev"],
  ["rdev", "rnodev"],
  ["exec", "noexec"],
  ["rexec", "rnoexec"],
  ["symfollow", "nosymfollow"],
  ["rsymfollow", "rnosymfollow"],
  ["sync", "async"],
  ["rro", "rw"],
] as const;

/** The later option wins, as in mount(8) and runc; engines append, so both may be there without a mistake. */
function contradictions({ options }: Mount, at: string, report: Report): void {
  if (options === undefined) return;
  for (const [one, other] of OPPOSITES) {
    if (!options.includes(one) || !options.includes(other)) continue;
    const winner = one === "rro" && other === "rw" ? "rro" : options.lastIndexOf(one) > options.lastIndexOf(other) ? one : other;
    report.warn(member(at, "options"), `${one} and ${other} contradict each other, ${winner} is used`);
  }
}

/** "copy up the contents to a tmpfs" */
function copyUp(mount: Mount, options: ParsedMountOptions, at: string, report: Report): void {
  if (options.copyUp && mount.type !== "tmpfs") report.refuse(member(at, "options"), `tmpcopyup is for tmpfs, the type is ${JSON.stringify(mount.type ?? "")}`);
}

/**
 * "If specified, [uidMappings] MUST be specified along with gidMappings"; with idmap or ridmap and "no uidMappings and
 * gidMappings specified and the container isn't using user namespaces, an error MUST be returned". runc: bind mounts only, and
 * not without the privilege of the host's user namespace.
 */
function idMapping(mount: Mount, options: ParsedMountOptions, linux: Linux | undefined, at: string, report: Report): void {
  const own = hasMappings(mount.uidMappings) || hasMappings(mount.gidMappings);
  if (!own && options.idmap === "none") return;
  if (!isBind(options)) report.refuse(own ? member(at, "uidMappings") : member(at, "options"), "id-mapped mounts must be bind mounts");
  if (report.rootless) report.refuse(own ? member(at, "uidMappings") : member(at, "options"), "id-mapped mounts need a privileged runtime");
  if (!own && !hasNamespace(linux, "user")) report.refuse(member(at, "options"), "idmap needs uidMappings and gidMappings, or a user namespace");
  if (!own) return;
  for (const key of ["uidMappings", "gidMappings"] as const) {
    if (!hasMappings(mount[key])) report.refuse(member(at, key), "is required: an id-mapped mount has uidMappings and gidMappings");
    checkMappings(mount[key], member(at, key), report);
  }
}

const hasMappings = (mappings: readonly LinuxIDMapping[] | undefined): boolean => mappings !== undefined && mappings.length > 0;

/** Without privilege a file system accepts only owners that the container's user namespace maps (runc: rootlessEUIDMount). */
function rootlessOwners(options: ParsedMountOptions, linux: Linux | undefined, at: string, report: Report): void {
  // The mappings of a namespace to join are not in the document.
  if (linux?.namespaces?.some(({ type, path }) => type === "user" && (path ?? "") !== "")) return;
  for (const option of options.data) {
    const owner = /^(uid|gid)=(\d+)$/.exec(option);
    if (owner === null) continue;
    const mappings = (owner[1] === "uid" ? linux?.uidMappings : linux?.gidMappings) ?? [];
    const id = Number(owner[2]);
    const mapped = mappings.some(({ containerID, size }) => id >= containerID && id < containerID + size);
    if (!mapped) report.refuse(member(at, "options"), `${option} is not mapped in the container's user namespace`);
  }
}
