/** Mounts, by the descriptor-based calls where a path could be led astray. Sources: mount(2), open_tree(2), move_mount(2), mount_setattr(2), fsopen(2). */
import { SYS } from "./arch.ts";
import { AT_EMPTY_PATH, O_DIRECTORY, O_PATH } from "./abi/fcntl.ts";
import { MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY } from "./abi/mount.ts";
import { check } from "./errors.ts";
import { Fd, fdNumber, type FdLike } from "./fd.ts";
import { open } from "./file.ts";
import { scratch } from "./memory.unsafe.ts";
import { changeDirectoryTo } from "./process.ts";
import { syscall } from "./syscall.unsafe.ts";

const OPEN_TREE_CLONE = 1;
const OPEN_TREE_CLOEXEC = 0o2000000;
const AT_RECURSIVE = 0x8000;
const MOVE_MOUNT_F_EMPTY_PATH = 0x04;
const MOVE_MOUNT_T_EMPTY_PATH = 0x40;
const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;

/** mount(2); `data` is the file system's own option string. */
export function mount(source: string, target: string, type: string, flags: number, data = ""): void {
  using s = scratch();
  check(syscall(SYS.mount, s.cstr(source), s.cstr(target), s.cstr(type), flags, s.cstr(data)), "mount", target);
}

/** @param flags MNT_DETACH (2), UMOUNT_NOFOLLOW (8). */
export function unmount(target: string, flags: number): void {
  using s = scratch();
  check(syscall(SYS.umount2, s.cstr(target), flags), "umount2", target);
}

export const MNT_DETACH = 2;
export const UMOUNT_NOFOLLOW = 8;

/** A detached copy of the mount that `path` lies on, with all below it where `recursive`. */
export function cloneTree(dir: FdLike, path: string, recursive: boolean): Fd {
  using s = scratch();
  const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0) | (path === "" ? AT_EMPTY_PATH : 0);
  return new Fd(check(syscall(SYS.open_tree, fdNumber(dir), s.cstr(path), flags), "open_tree", path || undefined));
}

/** Attaches a detached mount on what `target` refers to; no path is walked. */
export function attachMount(tree: FdLike, target: FdLike): void {
  using s = scratch();
  const empty = s.cstr("");
  const flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
  check(syscall(SYS.move_mount, fdNumber(tree), empty, fdNumber(target), empty, flags), "move_mount");
}

/** The same by a name in the directory `dir`: one component, and not followed where it is a symbolic link. */
export function attachMountAt(tree: FdLike, dir: FdLike, name: string): void {
  using s = scratch();
  check(syscall(SYS.move_mount, fdNumber(tree), s.cstr(""), fdNumber(dir), s.cstr(name), MOVE_MOUNT_F_EMPTY_PATH), "move_mount", name);
}

/** struct mount_attr: `MOUNT_ATTR_*` bits to set and to clear, a propagation type (`MS_SHARED` ...), a user namespace for id mapping. */
export interface MountAttributes {
  readonly set?: number;
  readonly clear?: number;
  readonly propagation?: number;
  readonly userNamespace?: FdLike;
}

export function setMountAttributes(fd: FdLike, attributes: MountAttributes, recursive: boolean, label?: string): void {
  using s = scratch();
  const attr = s.reserve(32);
  attr.view.setBigUint64(0, BigInt(attributes.set ?? 0), true);
  attr.view.setBigUint64(8, BigInt(attributes.clear ?? 0), true);
  attr.view.setBigUint64(16, BigInt(attributes.propagation ?? 0), true);
  if (attributes.userNamespace !== undefined) attr.view.setBigUint64(24, BigInt(fdNumber(attributes.userNamespace)), true);
  const flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
  check(syscall(SYS.mount_setattr, fdNumber(fd), s.cstr(""), flags, attr.address, attr.size), "mount_setattr", label);
}

/** One parameter of fsconfig(2): a string value, or none for a flag. */
export type FsParameter = readonly [key: string, value?: string];

/**
 * A new, detached mount of file system `type`.
 * @param mountFlags MOUNT_ATTR_* bits.
 * @throws SysError; the path names the parameter that was refused.
 */
export function createMount(type: string, parameters: readonly FsParameter[], mountFlags: number): Fd {
  using s = scratch();
  using context = new Fd(check(syscall(SYS.fsopen, s.cstr(type), FSOPEN_CLOEXEC), "fsopen", type));
  for (const [key, value] of parameters) {
    const result =
      value === undefined
        ? syscall(SYS.fsconfig, context.number, FSCONFIG_SET_FLAG, s.cstr(key), 0, 0)
        : syscall(SYS.fsconfig, context.number, FSCONFIG_SET_STRING, s.cstr(key), s.cstr(value), 0);
    check(result, "fsconfig", value === undefined ? `${type} ${key}` : `${type} ${key}=${value}`);
  }
  check(syscall(SYS.fsconfig, context.number, FSCONFIG_CMD_CREATE, 0, 0, 0), "fsconfig", type);
  return new Fd(check(syscall(SYS.fsmount, context.number, FSMOUNT_CLOEXEC, mountFlags), "fsmount", type));
}

/** A detached mount of a directory that is empty, and stays so. */
export function createEmptyDirectory(): Fd {
  return createMount("tmpfs", [["mode", "555"], ["nr_blocks", "1"], ["nr_inodes", "1"]], MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

/** Swaps the root mount; both paths may be `.` with the new root as the current directory. Source: pivot_root(2). */
export function pivotRoot(newRoot: string, putOld: string): void {
  using s = scratch();
  check(syscall(SYS.pivot_root, s.cstr(newRoot), s.cstr(putOld)), "pivot_root", newRoot);
}

export function changeRoot(path: string): void {
  using s = scratch();
  check(syscall(SYS.chroot, s.cstr(path)), "chroot", path);
}

/**
 * Makes a detached mount the root and the current directory of the caller, whose old root, with all below it, goes from its mount namespace.
 * Preconditions: a mount namespace of the caller's own, none of whose mounts is shared with another. Source: pivot_root(2), NOTES.
 */
export function replaceRoot(root: FdLike): void {
  using old = open("/", O_PATH | O_DIRECTORY);
  attachMount(root, old);
  changeDirectoryTo(root);
  pivotRoot(".", ".");
  changeDirectoryTo(old);
  unmount(".", MNT_DETACH);
  changeDirectoryTo(root);
}
