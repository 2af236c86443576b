/** The root of `--rootfs`: one directory under a throw-away layer. Runs in the sandbox's init, as host-root.ts does. */
import * as fcntl from "../../linux/abi/fcntl.ts";
import { AT_FDCWD, type Fd } from "../../linux/fd.ts";
import { open, statAt } from "../../linux/file.ts";
import { attachMount, cloneTree } from "../../linux/mount.ts";
import { attachScratch, mountOverlay, ownDirectory, type RootOwner } from "./host-root.ts";

const PATH_DIRECTORY = fcntl.O_PATH | fcntl.O_DIRECTORY;

/**
 * @param lower a detached mount of the directory; or its path, where it is opened with the sandbox's own rights.
 * @param at see `buildHostRoot`. @param attached whether `lower` is, already.
 */
export function buildImageRoot(lower: Fd | string, { user, size }: RootOwner, at: string, attached: boolean): Fd {
  const source = typeof lower === "string" ? open(lower, PATH_DIRECTORY) : lower;
  const scratch = attachScratch(at, size);
  if (typeof lower !== "string" && !attached) attachBelow(source, scratch);
  using upper = ownDirectory(scratch, "upper", statAt(source).mode & 0o7777, user);
  const overlay = mountOverlay(scratch, source, upper, "work", user);
  using target = open(at, PATH_DIRECTORY);
  attachMount(overlay, target);
  return overlay;
}

/** overlayfs takes no layer from a mount that is attached nowhere. */
function attachBelow(tree: Fd, scratch: Fd): void {
  using place = ownDirectory(scratch, "lower", 0o700, { uid: 0, gid: 0 });
  attachMount(tree, place);
}

/** The directory alone, without what is mounted below it. */
export const openLower = (path: string): Fd => cloneTree(AT_FDCWD, path, false);
