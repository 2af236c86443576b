import { readFileSync, statfsSync } from "node:fs";
import { CgroupError } from "./files.ts";
import { unescapeField } from "../../linux/mount-text.ts";

/** v1: no v2 mount. hybrid: v1 hierarchies beside a v2 mount. v2: a v2 mount alone. Source: cgroups(7). */
export type CgroupLayout = "v1" | "hybrid" | "v2";

/** One mounted hierarchy. */
export interface Hierarchy {
  /** v1: the controllers of the mount, or `name=systemd`. v2: those its root offers. */
  readonly controllers: readonly string[];
  readonly mountPoint: string;
  /** The cgroup that the mount shows at its mount point: `/`, except in a container or a bind mount. */
  readonly root: string;
  /** Where this process is, seen from the hierarchy's root. */
  readonly own: string;
}

/** What the host offers, read once: a plan is computed from it alone. */
export interface CgroupHost {
  readonly layout: CgroupLayout;
  readonly v1: readonly Hierarchy[];
  readonly v2: Hierarchy | undefined;
}

/** `CGROUP2_SUPER_MAGIC`. Source: statfs(2). */
const cgroup2Magic = 0x63677270;

/** Mount options of a v1 mount that name no controller. Source: cgroup1_show_options() in kernel/cgroup/cgroup-v1.c. */
const flagOptions = new Set(["rw", "ro", "noprefix", "xattr", "cpuset_v2_mode", "favordynmods", "clone_children", "none", "all"]);

interface CgroupMount {
  readonly type: "cgroup" | "cgroup2";
  readonly mountPoint: string;
  readonly root: string;
  readonly options: readonly string[];
}

/** The cgroup mounts in the text of /proc/self/mountinfo. Source: proc_pid_mountinfo(5). */
export function parseCgroupMounts(mountinfo: string): CgroupMount[] {
  return mountinfo.split("\n").flatMap((line): CgroupMount[] => {
    const [left = "", right = ""] = line.split(" - ");
    const [type, , options = ""] = right.split(" ");
    if (type !== "cgroup" && type !== "cgroup2") return [];
    const [, , , root = "/", mountPoint = ""] = left.split(" ");
    return [{ type, root: unescapeField(root), mountPoint: unescapeField(mountPoint), options: options.split(",") }];
  });
}

/** Controller to path, from the text of /proc/PID/cgroup; the v2 entry has the name ''. Source: cgroups(7). */
export function parseProcCgroup(text: string): ReadonlyMap<string, string> {
  const own = new Map<string, string>();
  for (const line of text.split("\n").filter(Boolean)) {
    const [, controllers = "", ...path] = line.split(":");
    for (const controller of controllers.split(",")) own.set(controller, path.join(":"));
  }
  return own;
}

/** Pure: `rootControllers` are the words of the v2 mount's cgroup.controllers. */
export function hostFrom(mountinfo: string, procCgroup: string, rootControllers: (mountPoint: string) => readonly string[]): CgroupHost {
  const own = parseProcCgroup(procCgroup);
  const mounts = parseCgroupMounts(mountinfo);
  const v1 = mounts.filter((mount) => mount.type === "cgroup").map((mount) => {
    const controllers = mount.options.filter((option) => !flagOptions.has(option) && !option.startsWith("release_agent="));
    return { controllers, mountPoint: mount.mountPoint, root: mount.root, own: own.get(controllers[0] ?? "") ?? "/" };
  }).filter(firstOfItsControllers());
  const mount2 = mounts.find((mount) => mount.type === "cgroup2");
  const v2 = mount2 && { controllers: rootControllers(mount2.mountPoint), mountPoint: mount2.mountPoint, root: mount2.root, own: own.get("") ?? "/" };
  return { layout: v2 === undefined ? "v1" : v1.length === 0 ? "v2" : "hybrid", v1, v2 };
}

/** A hierarchy may be mounted several times; the first mount is as good as the others. */
function firstOfItsControllers(): (hierarchy: Hierarchy) => boolean {
  const seen = new Set<string>();
  return ({ controllers }) => {
    const key = controllers.join(",");
    return seen.has(key) ? false : seen.add(key) !== undefined;
  };
}

/** Looks at the mounts, /proc/self/cgroup and the file system's magic. @throws CgroupError where the mount is not what it claims. */
export function readHost(): CgroupHost {
  return hostFrom(readFileSync("/proc/self/mountinfo", "utf8"), readFileSync("/proc/self/cgroup", "utf8"), (mountPoint) => {
    if (statfsSync(mountPoint).type !== cgroup2Magic) throw new CgroupError(mountPoint, "another file system is mounted over the cgroup v2 mount");
    return readFileSync(`${mountPoint}/cgroup.controllers`, "utf8").trim().split(" ").filter(Boolean);
  });
}

export function detectLayout(): CgroupLayout {
  return readHost().layout;
}
