/** The root file system: its mount, the switch to it, its final attributes. */
import * as fcntl from "../../linux/abi/fcntl.ts";
import { MOUNT_ATTR_RDONLY, MS_MOVE, MS_PRIVATE, MS_REC, MS_SHARED, MS_SLAVE, MS_UNBINDABLE } from "../../linux/abi/mount.ts";
import { AT_FDCWD, type Fd } from "../../linux/fd.ts";
import { open } from "../../linux/file.ts";
import * as mounts from "../../linux/mount.ts";
import { changeDirectory, changeDirectoryTo } from "../../linux/process.ts";
import { ROOTFS_PROPAGATION_FLAGS } from "../spec/mount-options.ts";
import { mountGuestFiles } from "./guest-files.ts";
import type { ContainerLaunch } from "./launch.ts";
import type { Setup } from "./setup.ts";

/**
 * Cuts the new mount namespace off from the host's and lays a copy of the root file system's mount over itself, since pivot_root(2) wants a
 * mount point. Cut off whatever rootfsPropagation says: it is about the container's root, and on a mount that is shared with the host the copy
 * would show up there as well.
 */
export function prepareRoot(launch: ContainerLaunch, enterCgroup: () => void): Setup {
  mounts.mount("", "/", "", MS_SLAVE | MS_REC);
  const { tree, system, scratch } = makeTrees(launch);
  const propagation = propagationOf(launch);
  // The configured mounts, not there yet, have options of their own.
  if ((propagation & MS_PRIVATE) !== 0) mounts.setMountAttributes(tree, { propagation: MS_PRIVATE }, (propagation & MS_REC) !== 0);
  return { launch, root: tree, system, scratch, enterCgroup, late: [] };
}

type Trees = Pick<Setup, "system" | "scratch"> & { readonly tree: Fd };

function makeTrees({ guest, channel, embedded, rootfs }: ContainerLaunch): Trees {
  if (guest !== undefined) return mountGuestFiles(guest, channel, embedded && ((lent) => embedded.buildRoot(rootfs, lent)));
  return { tree: embedded === undefined ? attachDirectory(rootfs) : embedded.buildRoot(rootfs), system: undefined, scratch: undefined };
}

/** MS_*; a slave unless told otherwise. */
function propagationOf({ spec }: ContainerLaunch): number {
  const propagation = spec.linux?.rootfsPropagation;
  return propagation === undefined ? MS_SLAVE | MS_REC : ROOTFS_PROPAGATION_FLAGS[propagation];
}

function attachDirectory(rootfs: string): Fd {
  const tree = mounts.cloneTree(AT_FDCWD, rootfs, true);
  using target = open(rootfs, fcntl.O_PATH | fcntl.O_DIRECTORY);
  mounts.attachMount(tree, target);
  return tree;
}

/** Makes the container's root the process's root, in the way that the configuration allows. */
export function enterRoot({ launch, root, scratch }: Setup): void {
  if (!launch.create.includes("mnt")) return chrootInto(root);
  if (launch.noPivot) return moveRoot(root);
  pivot(root, scratch);
}

/** Afterwards the host's tree is not mounted anywhere in this namespace. */
function pivot(root: Fd, scratch: Fd | undefined): void {
  using oldRoot = open("/", fcntl.O_PATH | fcntl.O_DIRECTORY);
  changeDirectoryTo(root);
  mounts.pivotRoot(".", ".");
  // What lies over the old root would be unmounted in its place.
  if (scratch !== undefined) detach(scratch);
  // The old root now lies over the new one at "."; no unmount in it may reach the host.
  detach(oldRoot);
  changeDirectory("/");
}

function detach(mount: Fd): void {
  changeDirectoryTo(mount);
  mounts.mount("", ".", "", MS_SLAVE | MS_REC);
  mounts.unmount(".", mounts.MNT_DETACH);
}

/** For a host whose root is a ramfs, where pivot_root(2) is refused (--no-pivot). */
function moveRoot(root: Fd): void {
  changeDirectoryTo(root);
  mounts.mount(".", "/", "", MS_MOVE);
  mounts.changeRoot(".");
  changeDirectory("/");
}

function chrootInto(root: Fd): void {
  changeDirectoryTo(root);
  mounts.changeRoot(".");
  changeDirectory("/");
}

/** Applies what had to wait: read-only mounts, a read-only root, and the propagation that a new root must not have, nor one that is bound. */
export function finishRoot({ launch, root, late }: Setup): void {
  for (const { fd, attributes } of late) mounts.setMountAttributes(fd, attributes, false);
  const propagation = propagationOf(launch);
  if ((propagation & (MS_SHARED | MS_UNBINDABLE)) !== 0) mounts.mount("", "/", "", propagation);
  if (launch.spec.root?.readonly === true) mounts.setMountAttributes(root, { set: MOUNT_ATTR_RDONLY }, false, "/");
}
