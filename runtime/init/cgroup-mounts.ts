/** Mounts of type `cgroup`: the container's own part of each hierarchy. Source: runtime-spec config-linux.md, cgroups(7), cgroup_namespaces(7). */
import * as ms from "../../linux/abi/mount.ts";
import { EBUSY, EPERM } from "../../linux/abi/errno.ts";
import { isErrno } from "../../linux/errors.ts";
import { AT_FDCWD, type Fd } from "../../linux/fd.ts";
import { symlinkAt } from "../../linux/file.ts";
import { attachMount, cloneTree, createMount, setMountAttributes, type FsParameter } from "../../linux/mount.ts";
import type { Mount } from "../spec/config.ts";
import type { ParsedMountOptions } from "../spec/mount-parse.ts";
import { makeDirectoryInRoot } from "./in-root.ts";
import type { CgroupMount } from "./launch.ts";
import { mountAttributes } from "./mount-attributes.ts";
import { contextParameters } from "./mount-label.ts";
import type { Setup } from "./setup.ts";

export function mountCgroups(setup: Setup, mount: Mount, options: ParsedMountOptions): void {
  setup.enterCgroup();
  const attributes = mountAttributes(options.flags, options.cleared).set;
  const unified = setup.launch.cgroups.find(({ controllers }) => controllers === "");
  const hierarchies = setup.launch.cgroups.filter(({ controllers }) => controllers !== "");
  using target = makeDirectoryInRoot(setup.root, mount.destination);
  if (hierarchies.length === 0 && unified !== undefined) return attach(setup, openHierarchy(setup, unified), target, attributes);
  const context = contextParameters("tmpfs", setup.launch.spec.linux?.mountLabel);
  const directory = createMount("tmpfs", [["mode", "755"], ...context], attributes & ~ms.MOUNT_ATTR_RDONLY);
  attach(setup, directory, target, attributes);
  for (const hierarchy of hierarchies) mountHierarchy(setup, hierarchy, directory, attributes);
}

/** @param directory the root of a tmpfs of ours: nobody else has put a name there, so that none has to be looked up from the container's root. */
function mountHierarchy(setup: Setup, hierarchy: CgroupMount, directory: Fd, attributes: number): void {
  const name = hierarchy.mountPoint.split("/").at(-1) ?? hierarchy.controllers;
  using target = makeDirectoryInRoot(directory, name);
  attach(setup, openHierarchy(setup, hierarchy), target, attributes);
  // Controllers that share a hierarchy (`cpu,cpuacct`) are also looked for under their own names.
  const aliases = hierarchy.controllers.split(",").filter((alias) => alias !== name && !alias.startsWith("name="));
  if (aliases.length > 1) for (const alias of aliases) symlinkAt(name, directory, alias);
}

function attach(setup: Setup, tree: Fd, target: Fd, attributes: number): void {
  attachMount(tree, target);
  const now = attributes & ~ms.MOUNT_ATTR_RDONLY;
  if (now !== 0) setMountAttributes(tree, { set: now }, false);
  if ((attributes & ms.MOUNT_ATTR_RDONLY) !== 0) setup.late.push({ fd: tree, attributes: { set: ms.MOUNT_ATTR_RDONLY } });
}

/** In a cgroup namespace of its own a fresh mount shows the container's cgroup as the root; else its directory is bound. */
function openHierarchy({ launch }: Setup, { controllers, path }: CgroupMount): Fd {
  if (!launch.create.includes("cgroup")) return cloneTree(AT_FDCWD, path, false);
  try {
    return controllers === "" ? createMount("cgroup2", [], 0) : createMount("cgroup", v1Parameters(controllers), 0);
  } catch (error) {
    // In a user namespace that does not own the cgroup namespace, or with controllers bound elsewhere.
    if (!isErrno(error, EPERM, EBUSY)) throw error;
    return cloneTree(AT_FDCWD, path, false);
  }
}

function v1Parameters(controllers: string): FsParameter[] {
  return controllers.split(",").map((name): FsParameter => (name.startsWith("name=") ? ["name", name.slice(5)] : [name]));
}
