/** The root file system: its mount, the switch to it, its final attributes. */
import * as fcntl from "../../linux/abi/fcntl.ts";
import { MOUNT_ATTR_RDONLY, MS_MOVE, MS_PRIVATE, MS_REC, MS_SLAVE } from "../../linux/abi/mount.ts";
import { AT_FDCWD, type Fd } from "../../linux/fd.ts";
import { open } from "../../linux/file.ts";
import * as mounts from "../../linux/mount.ts";
import { changeDirectory, changeDirectoryTo } from "../../linux/process.ts";
import { ROOTFS_PROPAGATION_FLAGS } from "../spec/mount-options.ts";
import { sharesMounts } from "./bind-source.ts";
import type { ContainerLaunch } from "./launch.ts";
import type { Setup } from "./setup.ts";

/**
 * Cuts the new mount namespace off from the host's (or not, as rootfsPropagation says) and lays a copy of the root file system's mount over
 * itself, since pivot_root(2) wants a mount point whose parent is not shared.
 */
export function prepareRoot(launch: ContainerLaunch, enterCgroup: () => void): Setup {
  const propagation = launch.spec.linux?.rootfsPropagation;
  mounts.mount("", "/", "", propagation === undefined ? MS_SLAVE | MS_REC : ROOTFS_PROPAGATION_FLAGS[propagation]);
  if (sharesMounts(launch.spec)) unshareParent(launch.rootfs);
  const tree = launch.embedded === undefined ? attachDirectory(launch.rootfs) : launch.embedded.buildRoot(launch.rootfs);
  return { launch, root: tree, enterCgroup, late: [] };
}

function attachDirectory(rootfs: string): Fd {
  const tree = mounts.cloneTree(AT_FDCWD, rootfs, true);
  using target = open(rootfs, fcntl.O_PATH | fcntl.O_DIRECTORY);
  mounts.attachMount(tree, target);
  return tree;
}

/** Makes the mount that the root file system lies on private, by laying a private copy over its root. */
function unshareParent(rootfs: string): void {
  using parent = mounts.cloneTree(AT_FDCWD, rootfs, true);
  mounts.setMountAttributes(parent, { propagation: MS_PRIVATE }, false, rootfs);
  using target = open(rootfs, fcntl.O_PATH | fcntl.O_DIRECTORY);
  mounts.attachMount(parent, target);
}

/** Makes the container's root the process's root, in the way that the configuration allows. */
export function enterRoot({ launch, root }: Setup): void {
  if (!launch.create.includes("mnt")) return chrootInto(root);
  if (launch.noPivot) return moveRoot(root);
  pivot(root);
}

/** Afterwards the host's tree is not mounted anywhere in this namespace. */
function pivot(root: Fd): void {
  using oldRoot = open("/", fcntl.O_PATH | fcntl.O_DIRECTORY);
  changeDirectoryTo(root);
  mounts.pivotRoot(".", ".");
  // The old root now lies over the new one at "."; no unmount in it may reach the host.
  changeDirectoryTo(oldRoot);
  mounts.mount("", ".", "", MS_SLAVE | MS_REC);
  mounts.unmount(".", mounts.MNT_DETACH);
  changeDirectory("/");
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

/** Applies what had to wait: read-only mounts, the root's propagation, a read-only root. */
export function finishRoot({ launch, root, late }: Setup): void {
  for (const { fd, attributes } of late) mounts.setMountAttributes(fd, attributes, false);
  const propagation = launch.spec.linux?.rootfsPropagation;
  if (propagation !== undefined) mounts.mount("", "/", "", ROOTFS_PROPAGATION_FLAGS[propagation]);
  if (launch.spec.root?.readonly === true) mounts.setMountAttributes(root, { set: MOUNT_ATTR_RDONLY }, false, "/");
}
