/**
 * The file systems of a sandbox's guest, as its init mounts them: the gofer serves their content by way of FUSE, so that no file system of the
 * host is within the guest's reach. Devices of the kernel's and the guest's own procfs aside, nothing of the host's is mounted here.
 * Source: Linux Documentation/filesystems/fuse.
 */
import * as fcntl from "../../linux/abi/fcntl.ts";
import { MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY } from "../../linux/abi/mount.ts";
import type { UserIds } from "../../linux/credentials.ts";
import type { Fd } from "../../linux/fd.ts";
import { deviceOf, makeDirectoryAt, open, openAt } from "../../linux/file.ts";
import { attachMount, createMount } from "../../linux/mount.ts";
import { tmpfsSize } from "../sandbox/root-size.ts";
import type { GuestLaunch } from "./launch.ts";
import { rendezvous } from "./protocol.ts";

const PATH_DIRECTORY = fcntl.O_PATH | fcntl.O_DIRECTORY;
const SYSTEM_ATTRIBUTES = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

/**
 * @param owner is mapped. @param type S_IFDIR or S_IFREG: what its root is. @param readOnly the file system, not just the mount: a read then leaves the attributes valid,
 * where it otherwise has the kernel ask for the new access time (Linux fs/fuse/dir.c, fuse_invalidate_atime). @returns the mount, detached.
 */
function mountFuse(device: Fd, owner: UserIds, type: number, attributes: number, readOnly: boolean): Fd {
  // The kernel gives the file system up when the last copy is closed, which must be the gofer's: who waits for an answer then gets an error.
  using _device = device;
  const access: [string][] = readOnly ? [["ro"]] : [];
  return createMount(
    "fuse",
    [["source", "gofer"], ["fd", String(device.number)], ["rootmode", type.toString(8)], ["user_id", String(owner.uid)], ["group_id", String(owner.gid)], ["default_permissions"], ["allow_other"], ...access],
    attributes,
  );
}

export interface GuestTrees {
  readonly tree: Fd;
  readonly system: Fd;
  /** What the others are attached to, and lies over the host's root. */
  readonly scratch: Fd | undefined;
}

/**
 * The root file system: the gofer's, and over it, unless writes are to reach the host, a layer in memory that takes them and is gone with the
 * guest. And the sandbox's own files for /proc and /sys.
 * @param build makes the root file system of the gofer's in another way. @returns their mounts, attached.
 */
export function mountGuestFiles(guest: GuestLaunch, channel: Fd, build: ((lent: Fd) => Fd) | undefined): GuestTrees {
  const scratch = createMount("tmpfs", [["mode", "755"], ...tmpfsSize(guest.rootSize)], MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  // Over the host's root, which is a place that every host has.
  using target = open("/", PATH_DIRECTORY);
  attachMount(scratch, target);
  const files = mountAll(guest);
  rendezvous(channel, { kind: "mounted", connections: connectionsOf(guest, files) });
  const system = attachNew(scratch, "system", files.system);
  if (guest.rootWrites === "host") return { tree: attachNew(scratch, "root", files.root), system, scratch };
  using lower = attachNew(scratch, "lower", files.root);
  if (build !== undefined) return { tree: build(lower), system, scratch };
  return { tree: attachNew(scratch, "root", layerOver(scratch, lower)), system, scratch };
}

/** Nobody answers yet: mounting asks nothing of the server, and the server must not ask a device that is not mounted. */
function mountAll({ root, devices, volumes, mounted, rootWrites }: GuestLaunch): { readonly root: Fd; readonly system: Fd } {
  for (const [mount, { name, type }] of volumes) mounted.set(mount, mountFuse(take(devices, name), root, type, MOUNT_ATTR_NODEV, false));
  return {
    root: mountFuse(take(devices, "root"), root, fcntl.S_IFDIR, MOUNT_ATTR_NODEV, rootWrites === "memory"),
    system: mountFuse(take(devices, "system"), root, fcntl.S_IFDIR, SYSTEM_ATTRIBUTES, true),
  };
}

/** As the kernel numbers them: by the file system's anonymous device. Source: Linux Documentation/filesystems/fuse, "fusectl". */
function connectionsOf({ fileSystems, volumes, mounted }: GuestLaunch, files: ReturnType<typeof mountAll>): number[] {
  const trees = new Map<string, Fd | undefined>([["root", files.root], ["system", files.system], ...[...volumes].map(([mount, { name }]) => [name, mounted.get(mount)] as const)]);
  return fileSystems.map((name) => {
    const tree = trees.get(name);
    if (tree === undefined) throw new Error(`${name} is not mounted`);
    return deviceOf(tree).minor;
  });
}

function layerOver(scratch: Fd, lower: Fd): Fd {
  using upper = newDirectory(scratch, "upper");
  using work = newDirectory(scratch, "work");
  return createMount("overlay", [["source", "root"], ["lowerdir", lower.procPath], ["upperdir", upper.procPath], ["workdir", work.procPath], ["userxattr"]], MOUNT_ATTR_NODEV);
}

function newDirectory(parent: Fd, name: string): Fd {
  makeDirectoryAt(parent, name, 0o755);
  return openAt(parent, name, PATH_DIRECTORY | fcntl.O_NOFOLLOW);
}

function attachNew(parent: Fd, name: string, tree: Fd): Fd {
  using directory = newDirectory(parent, name);
  attachMount(tree, directory);
  return tree;
}

/** Each device is for one mount. */
function take(devices: Map<string, Fd>, name: string): Fd {
  const device = devices.get(name);
  if (device === undefined) throw new Error(`no FUSE device for ${name}`);
  devices.delete(name);
  return device;
}
