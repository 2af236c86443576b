import type { Linux, LinuxDevice } from "./config-linux.ts";
import { checkList, checkRange, parseList } from "./numbers.ts";
import { member, type Report } from "./report.ts";

// The rules for the small sections of `linux`: devices, paths, cgroupsPath, personality, intelRdt, memoryPolicy.

export function checkLinux(linux: Linux, report: Report): void {
  linux.devices?.forEach((device, index) => deviceNode(device, member("linux.devices", index), report));
  cgroupsPath(linux, report);
  coveredPaths(linux, report);
  personality(linux, report);
  intelRdt(linux, report);
  memoryPolicy(linux, report);
}

/** "major, minor (int64, REQUIRED unless type is p)"; "full path to device". Bounds: include/linux/kdev_t.h. */
function deviceNode(device: LinuxDevice, at: string, report: Report): void {
  if (!device.path.startsWith("/")) report.refuse(member(at, "path"), `must be an absolute path, is ${JSON.stringify(device.path)}`);
  if (device.type === "p") return;
  for (const [key, max] of [["major", 0xfff], ["minor", 0xf_ffff]] as const) {
    if (device[key] === undefined) report.refuse(member(at, key), `is required for a device of type ${device.type}`);
    checkRange(device[key], 0, max, member(at, key), report);
  }
}

/** "Runtimes MAY consider certain cgroupsPath values to be invalid": a path that climbs could reach another container's cgroup. */
function cgroupsPath({ cgroupsPath: path = "" }: Linux, report: Report): void {
  if (path.split("/").includes("..")) report.refuse("linux.cgroupsPath", `must not contain .., is ${JSON.stringify(path)}`);
}

/** "The values MUST be absolute paths in the container namespace." */
function coveredPaths(linux: Linux, report: Report): void {
  for (const key of ["maskedPaths", "readonlyPaths"] as const) {
    const index = linux[key]?.findIndex((path) => !path.startsWith("/")) ?? -1;
    if (index >= 0) report.refuse(member(`linux.${key}`, index), `must be an absolute path, is ${JSON.stringify(linux[key]![index])}`);
  }
}

/** "Currently no flag values are supported." */
function personality({ personality: wanted }: Linux, report: Report): void {
  if ((wanted?.flags?.length ?? 0) > 0) report.refuse("linux.personality.flags", "must be empty: no flag is defined");
}

/** closID is a directory in resctrl ("/" its root); the schemata are lines of a file there (config-linux.md#intelrdt). */
function intelRdt({ intelRdt: rdt }: Linux, report: Report): void {
  if (rdt === undefined) return;
  const { closID = "", l3CacheSchema = "", memBwSchema = "", schemata = [] } = rdt;
  if (closID === "." || closID === ".." || (closID !== "/" && closID.includes("/"))) {
    report.refuse("linux.intelRdt.closID", `must be a directory name or /, is ${JSON.stringify(closID)}`);
  }
  if (l3CacheSchema.includes("\n")) report.refuse("linux.intelRdt.l3CacheSchema", "must be one line");
  if (memBwSchema !== "" && !/^MB:[^\n]*$/.test(memBwSchema)) report.refuse("linux.intelRdt.memBwSchema", "must be one line that starts with MB:");
  const broken = schemata.findIndex((line) => line.includes("\n"));
  if (broken >= 0) report.refuse(`linux.intelRdt.schemata[${broken}]`, "must be one line");
}

/** set_mempolicy(2): which modes take nodes. runc: validator.go, memoryPolicy. */
function memoryPolicy({ memoryPolicy: policy }: Linux, report: Report): void {
  if (policy === undefined) return;
  const field = "linux.memoryPolicy.nodes";
  checkList(policy.nodes, field, report);
  const count = parseList(policy.nodes ?? "").length;
  switch (policy.mode) {
    case "MPOL_DEFAULT":
    case "MPOL_LOCAL":
      if (count > 0) report.refuse(field, `must be empty for ${policy.mode}`);
      return;
    case "MPOL_BIND":
    case "MPOL_INTERLEAVE":
    case "MPOL_WEIGHTED_INTERLEAVE":
    case "MPOL_PREFERRED_MANY":
      if (count === 0) report.refuse(field, `must name at least one node for ${policy.mode}`);
      return;
    case "MPOL_PREFERRED":
      return;
    default:
      policy.mode satisfies never;
  }
}
