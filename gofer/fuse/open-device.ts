/** Opens /dev/fuse so that whoever gets the descriptor cannot change the device node itself. */
import { O_RDWR } from "../../linux/abi/fcntl.ts";
import { MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY } from "../../linux/abi/mount.ts";
import { AT_FDCWD, type Fd } from "../../linux/fd.ts";
import { open } from "../../linux/file.ts";
import { cloneTree, setMountAttributes } from "../../linux/mount.ts";

/**
 * A read-only mount of the node alone, attached to nothing. Through it chmod(2), chown(2) and utimensat(2) end in EROFS, where a gofer's
 * capabilities would let them through (decision 0011). Reading and writing a device is no matter of the mount.
 * Preconditions: CAP_SYS_ADMIN over the caller's mount namespace.
 * @throws SysError
 */
export function mountFuseNode(path = "/dev/fuse"): Fd {
  const node = cloneTree(AT_FDCWD, path, false);
  setMountAttributes(node, { set: MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC }, false, path);
  return node;
}

/** Preconditions: in the user namespace that will mount it; a user who may open the node. @param node from `mountFuseNode`. @throws SysError */
export function openFuseNode(node: Fd): Fd {
  return open(node.procPath, O_RDWR);
}

/** Both, for whoever has the preconditions of both. */
export function openFuseDevice(path = "/dev/fuse"): Fd {
  using node = mountFuseNode(path);
  return openFuseNode(node);
}
