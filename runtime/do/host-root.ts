/**
 * The host's root as the sandbox sees it. Everything here runs in the sandbox's init, in its own user and mount namespaces: the layers are
 * made with the rights of the sandbox's user, so that the kernel shows through them what that user may read, and nothing else.
 *
 *   SCRATCH  one tmpfs for all that is written: its size bounds them together
 *     root/      /            with links and empty directories
 *     N/         /usr ...     upper layer N, the host's directory below it
 *     N.work/                 overlayfs's own
 *     N.own/     /var/tmp ... throw-away directories inside of layers
 */
import { setXattr } from "../../linux/xattr.ts";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MS_SLAVE } from "../../linux/abi/mount.ts";
import { assertNever, inStep } from "../../linux/errors.ts";
import { AT_FDCWD, type Fd } from "../../linux/fd.ts";
import { changeModeAt, changeOwner, makeDirectoryAt, open, openAt, symlinkAt } from "../../linux/file.ts";
import { attachMount, cloneTree, createMount, setMountAttributes } from "../../linux/mount.ts";
import { makeDirectoryInRoot } from "../init/in-root.ts";
import type { HostPlan, OwnDirectory, RootEntry } from "./host-plan.ts";
import type { UserIds } from "./identity.ts";

const NO_PRIVILEGES = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
const PATH_DIRECTORY = fcntl.O_PATH | fcntl.O_DIRECTORY;

/** @param at a directory of the host's to build on; only this mount namespace sees it. @returns the root's mount. */
export function buildHostRoot(plan: HostPlan, user: UserIds, at: string): Fd {
  const scratch = attachScratch(at);
  const root = ownDirectory(scratch, "root", 0o755, user);
  const tree = cloneTree(root, "", false);
  using target = open(at, PATH_DIRECTORY);
  attachMount(tree, target);
  for (const [i, entry] of plan.entries.entries()) inStep(`/${entry.name}`, () => addEntry(entry, { scratch, root: tree, user, layer: String(i) }));
  for (const [i, { path, mode }] of plan.throwAway.entries()) addThrowAway(path, mode, { scratch, root: tree, user, layer: `${i}.own` });
  return tree;
}

interface Build {
  readonly scratch: Fd;
  readonly root: Fd;
  readonly user: UserIds;
  /** Name of its directory in the scratch file system. */
  readonly layer: string;
}

export function attachScratch(at: string): Fd {
  const scratch = createMount("tmpfs", [["mode", "755"]], NO_PRIVILEGES);
  using target = open(at, PATH_DIRECTORY);
  attachMount(scratch, target);
  return scratch;
}

export function ownDirectory(parent: Fd, name: string, mode: number, { uid, gid }: UserIds): Fd {
  makeDirectoryAt(parent, name, mode);
  const directory = openAt(parent, name, PATH_DIRECTORY | fcntl.O_NOFOLLOW);
  changeOwner(directory, uid, gid);
  changeModeAt(parent, name, mode);
  return directory;
}

function addEntry(entry: RootEntry, build: Build): void {
  switch (entry.kind) {
    case "link":
      return symlinkAt(entry.target, build.root, entry.name);
    case "layered":
      return addLayered(entry.name, entry.directories, build);
    case "read-only":
      return addReadOnly(entry.name, build);
    default:
      assertNever(entry);
  }
}

function addLayered(name: string, directories: readonly OwnDirectory[], { scratch, root, user, layer }: Build): void {
  using lower = open(`/${name}`, PATH_DIRECTORY);
  using upper = ownDirectory(scratch, layer, 0o755, user);
  for (const { path, opaque } of directories) addOwnDirectory(upper, path, opaque, user);
  using overlay = mountOverlay(scratch, lower, upper, `${layer}.work`, user);
  using target = ownDirectory(root, name, 0o755, user);
  attachMount(overlay, target);
}

/** @param work name of a new directory in `scratch`, which `upper` must lie in too. */
export function mountOverlay(scratch: Fd, lower: Fd, upper: Fd, work: string, user: UserIds): Fd {
  using workDirectory = ownDirectory(scratch, work, 0o700, user);
  const options = [["lowerdir", lower.procPath], ["upperdir", upper.procPath], ["workdir", workDirectory.procPath], ["userxattr"]] as const;
  return createMount("overlay", options, NO_PRIVILEGES);
}

/** Source of the attribute: Linux Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories", "userxattr". */
function addOwnDirectory(upper: Fd, path: string, opaque: boolean, user: UserIds): void {
  const parts = path.split("/");
  const name = parts.pop() ?? "";
  using parent = openAt(upper, parts.join("/") || ".", PATH_DIRECTORY, { resolve: fcntl.RESOLVE_BENEATH });
  using directory = ownDirectory(parent, name, 0o755, user);
  if (opaque) setXattr(directory, "user.overlay.opaque", Buffer.from("y"));
}

function addReadOnly(name: string, { root, user }: Build): void {
  using tree = cloneTree(AT_FDCWD, `/${name}`, true);
  setMountAttributes(tree, { propagation: MS_SLAVE }, true);
  setMountAttributes(tree, { set: MOUNT_ATTR_RDONLY | NO_PRIVILEGES }, true);
  using target = ownDirectory(root, name, 0o755, user);
  attachMount(tree, target);
}

function addThrowAway(path: string, mode: number, { scratch, root, user, layer }: Build): void {
  using directory = ownDirectory(scratch, layer, mode, user);
  using tree = cloneTree(directory, "", false);
  using target = makeDirectoryInRoot(root, path);
  attachMount(tree, target);
}
