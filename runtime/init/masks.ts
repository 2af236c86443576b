/** Masked and read-only paths. Source: runtime-spec config-linux.md#masked-paths. */
import * as fcntl from "../../linux/abi/fcntl.ts";
import { MOUNT_ATTR_RDONLY } from "../../linux/abi/mount.ts";
import { SysError } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { isNullDevice, open } from "../../linux/file.ts";
import { attachMount, cloneTree, createEmptyDirectory, setMountAttributes } from "../../linux/mount.ts";
import { findInRoot, isDirectory } from "./in-root.ts";
import type { Setup } from "./setup.ts";

/**
 * Hides each path: a directory behind an empty, read-only tmpfs, anything else behind the host's /dev/null, which is checked to be it
 * (CVE-2025-31133: the container's own may be a link to somewhere writable). A path that is not there needs no mask.
 */
export function maskPaths({ launch, root }: Setup): void {
  const paths = launch.spec.linux?.maskedPaths ?? [];
  if (paths.length === 0) return;
  using nullDevice = openNullDevice();
  for (const path of paths) {
    using target = findInRoot(root, path);
    if (target === undefined) continue;
    using mask = isDirectory(target) ? createEmptyDirectory() : cloneTree(nullDevice, "", false);
    attachMount(mask, target);
  }
}

function openNullDevice(): Fd {
  const fd = open("/dev/null", fcntl.O_PATH | fcntl.O_NOFOLLOW);
  if (isNullDevice(fd)) return fd;
  fd.close();
  throw new SysError({ syscall: "open", errno: 0, path: "/dev/null", hint: "the host's is not the null device (1:3)" });
}

/** Lays a read-only copy of the mount over each path, with the flags that it has already. */
export function makePathsReadonly({ launch, root }: Setup): void {
  for (const path of launch.spec.linux?.readonlyPaths ?? []) {
    using target = findInRoot(root, path);
    if (target === undefined) continue;
    using copy = cloneTree(target, "", true);
    setMountAttributes(copy, { set: MOUNT_ATTR_RDONLY }, true, path);
    attachMount(copy, target);
  }
}

