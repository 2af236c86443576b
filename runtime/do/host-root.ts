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
import { assertNever, inStep, SysError } from "../../linux/errors.ts";
import { AT_FDCWD, type Fd, type FdLike } from "../../linux/fd.ts";
import { changeModeAt, changeOwner, makeDirectoryAt, open, openAt, symlinkAt, writeAll } from "../../linux/file.ts";
import { attachMount, cloneTree, createMount, setMountAttributes } from "../../linux/mount.ts";
import { makeDirectoryInRoot } from "../init/in-root.ts";
import { tmpfsSize, type RootSize } from "../sandbox/root-size.ts";
import type { HostPlan, OwnDirectory, RootEntry } from "./host-plan.ts";
import type { UserIds } from "../../linux/credentials.ts";

const NO_PRIVILEGES = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
const PATH_DIRECTORY = fcntl.O_PATH | fcntl.O_DIRECTORY;

/**
 * @param at a directory of the host's to build on; only this mount namespace sees it.
 * @param lent the host's root as a gofer shows it; left out, the layers are the host's own directories.
 * @returns the root's mount.
 */
export function buildHostRoot(plan: HostPlan, { user, size }: RootOwner, at: string, lent?: Fd): Fd {
  const scratch = attachScratch(at, size);
  const root = ownDirectory(scratch, "root", 0o755, user);
  const tree = cloneTree(root, "", false);
  using target = open(at, PATH_DIRECTORY);
  attachMount(tree, target);
  const build = { scratch, user, layers: 0, host: lent ?? AT_FDCWD };
  addEntries(plan.entries, "", tree, build);
  for (const { path, mode } of plan.throwAway) addThrowAway(path, mode, tree, build);
  return tree;
}

/** Whose the throw-away layer is, and how much of it there is. */
export interface RootOwner {
  readonly user: UserIds;
  readonly size: RootSize | undefined;
}

interface Build {
  readonly scratch: Fd;
  readonly user: UserIds;
  /** What the host's paths are looked up in. */
  readonly host: FdLike;
  /** How many have been made: the name of the next one. */
  layers: number;
}

export function attachScratch(at: string, size: RootSize | undefined): Fd {
  const scratch = createMount("tmpfs", [["mode", "755"], ...tmpfsSize(size)], NO_PRIVILEGES);
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

/** @param prefix the path of `parent`, empty for the root. */
function addEntries(entries: readonly RootEntry[], prefix: string, parent: Fd, build: Build): void {
  for (const entry of entries) inStep(`${prefix}/${entry.name}`, () => addEntry(entry, `${prefix}/${entry.name}`, parent, build));
}

function addEntry(entry: RootEntry, path: string, parent: Fd, build: Build): void {
  switch (entry.kind) {
    case "link":
      return symlinkAt(entry.target, parent, entry.name);
    case "file":
      return addFile(path, entry.name, parent, build);
    case "layered":
      return addLayered(path, entry, parent, build);
    case "composed": {
      using directory = ownDirectory(parent, entry.name, 0o755, build.user);
      return addEntries(entry.entries, path, directory, build);
    }
    default:
      assertNever(entry);
  }
}

function addFile(path: string, name: string, parent: Fd, { host }: Build): void {
  using tree = cloneTree(host, pathIn(host, path), false);
  setMountAttributes(tree, { propagation: MS_SLAVE }, false);
  setMountAttributes(tree, { set: MOUNT_ATTR_RDONLY | NO_PRIVILEGES }, false);
  using target = openAt(parent, name, fcntl.O_CREAT | fcntl.O_EXCL | fcntl.O_RDONLY | fcntl.O_NOFOLLOW, { mode: 0o644 });
  attachMount(tree, target);
}

/** Without these there is nothing to run; others may lie on a file system that cannot be a layer. */
const REQUIRED: ReadonlySet<string> = new Set(["/bin", "/etc", "/lib", "/lib64", "/sbin", "/usr"]);

function addLayered(path: string, { name, directories }: Extract<RootEntry, { kind: "layered" }>, parent: Fd, build: Build): void {
  using target = ownDirectory(parent, name, 0o755, build.user);
  try {
    using overlay = makeLayer(path, directories, build);
    attachMount(overlay, target);
  } catch (error) {
    if (REQUIRED.has(path) || !(error instanceof SysError)) throw error;
    writeAll(STDERR, `tssandbox: warning: ${path} is not shown: ${error.message}\n`);
  }
}

const STDERR = 2;

/** An absolute path would lead to the host's own root whatever directory it is looked up in. */
const pathIn = (host: FdLike, path: string): string => (host === AT_FDCWD ? path : `.${path}`);

function makeLayer(path: string, directories: readonly OwnDirectory[], build: Build): Fd {
  const layer = String(build.layers++);
  using lower = openAt(build.host, pathIn(build.host, path), PATH_DIRECTORY);
  using upper = ownDirectory(build.scratch, layer, 0o755, build.user);
  for (const directory of directories) addOwnDirectory(upper, directory, build.user);
  return mountOverlay(build.scratch, lower, upper, `${layer}.work`, build.user);
}

/** @param work name of a new directory in `scratch`, which `upper` must lie in too. */
export function mountOverlay(scratch: Fd, lower: Fd, upper: Fd, work: string, user: UserIds): Fd {
  using workDirectory = ownDirectory(scratch, work, 0o700, user);
  const options = [["lowerdir", lower.procPath], ["upperdir", upper.procPath], ["workdir", workDirectory.procPath], ["userxattr"]] as const;
  return createMount("overlay", options, NO_PRIVILEGES);
}

/** Source of the attribute: Linux Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories", "userxattr". */
function addOwnDirectory(upper: Fd, { path, opaque }: OwnDirectory, user: UserIds): void {
  const parts = path.split("/");
  const name = parts.pop() ?? "";
  using parent = openAt(upper, parts.join("/") || ".", PATH_DIRECTORY, { resolve: fcntl.RESOLVE_BENEATH });
  using directory = ownDirectory(parent, name, 0o755, user);
  if (opaque) setXattr(directory, "user.overlay.opaque", Buffer.from("y"));
}

function addThrowAway(path: string, mode: number, root: Fd, build: Build): void {
  using directory = ownDirectory(build.scratch, `${build.layers++}.own`, mode, build.user);
  using tree = cloneTree(directory, "", false);
  using target = makeDirectoryInRoot(root, path);
  attachMount(tree, target);
}
