/** `exec --cgroup`: existing cgroups below the container's own. Source: runc-exec(8), `[controller[,...]:]path`. */
import { existsSync } from "node:fs";
import { openCgroup, type Cgroup, type CgroupPlan } from "../cgroups/index.ts";
import type { Container } from "./store.ts";

/** The cgroup that a further process joins. @throws Error naming what is wrong with `--cgroup`. */
export function cgroupBelow({ record }: Container, wanted: readonly string[]): Cgroup {
  if (wanted.length > 0 && record.cgroup.unit?.bus === "user") throw new Error("--cgroup: with a user's systemd only the container's own cgroup can be joined");
  return openCgroup({ ...record.cgroup, paths: pathsBelow(record.cgroupPaths, record.cgroup.layout, wanted) });
}

type Paths = Readonly<Record<string, string>>;

function pathsBelow(paths: Paths, layout: CgroupPlan["layout"], wanted: readonly string[]): Paths {
  const below: Record<string, string> = { ...paths };
  for (const entry of wanted) {
    const colon = entry.indexOf(":");
    const path = checkedPath(entry, entry.slice(colon + 1));
    const controllers = colon === -1 ? allControllers(paths, layout, wanted) : entry.slice(0, colon).split(",");
    for (const controller of controllers) below[controller] = existing(entry, paths[controller], path);
  }
  return below;
}

function checkedPath(entry: string, path: string): string {
  if (path.split("/").includes("..")) throw new Error(`--cgroup: ${JSON.stringify(entry)} leads out of the container's cgroup`);
  return path.split("/").filter((part) => part !== "" && part !== ".").map((part) => `/${part}`).join("");
}

/** One path for all of them stands alone. A hybrid host's v2 cgroup holds no controller that a container's manager would divide. */
function allControllers(paths: Paths, layout: CgroupPlan["layout"], wanted: readonly string[]): string[] {
  if (wanted.length > 1) throw new Error("--cgroup: a path without a controller is for all of them, and cannot be given with others");
  return Object.keys(paths).filter((controller) => controller !== "" || layout === "v2");
}

function existing(entry: string, own: string | undefined, path: string): string {
  if (own === undefined) throw new Error(`--cgroup: ${JSON.stringify(entry)} names a controller that the container has no cgroup of`);
  if (!existsSync(own + path)) throw new Error(`--cgroup: ${own}${path} does not exist`);
  return own + path;
}
