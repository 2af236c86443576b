/** Device nodes and the links in /dev. Source: runtime-spec config-linux.md#devices, #default-devices, #dev-symbolic-links. */
import { EEXIST, EPERM } from "../../linux/abi/errno.ts";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { isErrno } from "../../linux/errors.ts";
import { AT_FDCWD, Fd } from "../../linux/fd.ts";
import * as file from "../../linux/file.ts";
import { attachMount, cloneTree } from "../../linux/mount.ts";
import type { LinuxDevice, Spec } from "../spec/config.ts";
import { isBind, parseMountOptions } from "../spec/mount-parse.ts";
import { findInRoot, makeDirectoryInRoot, makeFileInRoot, parentInRoot } from "./in-root.ts";
import type { Setup } from "./setup.ts";

const character = (path: string, major: number, minor: number): LinuxDevice => ({ path, type: "c", major, minor, fileMode: 0o666, uid: 0, gid: 0 });

const DEFAULT_DEVICES: readonly LinuxDevice[] = [
  character("/dev/null", 1, 3),
  character("/dev/zero", 1, 5),
  character("/dev/full", 1, 7),
  character("/dev/random", 1, 8),
  character("/dev/urandom", 1, 9),
  character("/dev/tty", 5, 0),
];

/** Always a link into the container's devpts, whatever a configuration made from the host's /dev says. */
const PTMX = "/dev/ptmx";

const LINKS = [
  ["/proc/self/fd", "fd"],
  ["/proc/self/fd/0", "stdin"],
  ["/proc/self/fd/1", "stdout"],
  ["/proc/self/fd/2", "stderr"],
] as const;

/** Where /dev is the host's own directory, bound, nothing is made in it. */
function ownsDev(spec: Spec): boolean {
  return !(spec.mounts ?? []).some(({ destination, options }) => destination.replace(/\/+$/, "") === "/dev" && isBind(parseMountOptions(options)));
}

export function makeDevices(setup: Setup): void {
  const { spec, create, join } = setup.launch;
  if (!ownsDev(spec)) return;
  // mknod(2) is refused in a user namespace: there the host's node is bound.
  const inUserNamespace = create.includes("user") || join.some(({ file: kind }) => kind === "user");
  const configured = spec.linux?.devices ?? [];
  const paths = new Set(configured.map(({ path }) => path));
  for (const device of DEFAULT_DEVICES) if (!paths.has(device.path)) makeDevice(setup.root, device, inUserNamespace);
  for (const device of configured) if (device.path !== PTMX) makeDevice(setup.root, device, inUserNamespace);
  makeLinks(setup.root);
}

const FILE_TYPES = { c: fcntl.S_IFCHR, u: fcntl.S_IFCHR, b: fcntl.S_IFBLK, p: fcntl.S_IFIFO } as const;

function makeDevice(root: Fd, device: LinuxDevice, bind: boolean): void {
  if (bind && device.type !== "p") return bindDevice(root, device.path);
  const { parent, name } = parentInRoot(root, device.path);
  using directory = parent;
  const mode = FILE_TYPES[device.type] | ((device.fileMode ?? 0o666) & 0o7777);
  try {
    makeNode(directory, name, mode, file.makeDevice(device.major ?? 0, device.minor ?? 0));
  } catch (error) {
    if (!isErrno(error, EPERM)) throw error;
    return bindDevice(root, device.path);
  }
  using node = file.openAt(directory, name, fcntl.O_PATH | fcntl.O_NOFOLLOW);
  file.changeOwner(node, device.uid ?? 0, device.gid ?? 0);
}

/** A node that the image brought is replaced: it may be anything. */
function makeNode(directory: Fd, name: string, mode: number, device: number): void {
  try {
    file.makeNodeAt(directory, name, mode, device);
  } catch (error) {
    if (!isErrno(error, EEXIST)) throw error;
    file.unlinkAt(directory, name);
    file.makeNodeAt(directory, name, mode, device);
  }
}

function bindDevice(root: Fd, path: string): void {
  using tree = cloneTree(AT_FDCWD, path, false);
  using target = makeFileInRoot(root, path);
  attachMount(tree, target);
}

function makeLinks(root: Fd): void {
  using dev = makeDirectoryInRoot(root, "/dev");
  for (const [target, name] of LINKS) linkUnlessThere(target, dev, name);
  using pts = findInRoot(root, "/dev/pts/ptmx");
  if (pts === undefined) return;
  // A ptmx node of the image's would open terminals of the host's devpts.
  using existing = openNoFollow(dev, "ptmx");
  if (existing !== undefined) file.unlinkAt(dev, "ptmx");
  file.symlinkAt("pts/ptmx", dev, "ptmx");
}

function linkUnlessThere(target: string, dev: Fd, name: string): void {
  try {
    file.symlinkAt(target, dev, name);
  } catch (error) {
    if (!isErrno(error, EEXIST)) throw error;
  }
}

function openNoFollow(dir: Fd, name: string): Fd | undefined {
  const result = file.tryOpenAt(dir, name, fcntl.O_PATH | fcntl.O_NOFOLLOW);
  return result < 0 ? undefined : new Fd(result);
}
