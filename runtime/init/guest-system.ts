/**
 * /proc and /sys of a sandbox's guest. /proc is the guest's own procfs, since only the kernel can follow /proc/self/exe and its like; over
 * everything in it that is no process's lies a file of the sandbox's own, or nothing: what a later kernel adds is hidden until somebody
 * decides otherwise. Decision 0015 has the alternatives.
 */
import * as fcntl from "../../linux/abi/fcntl.ts";
import { MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY } from "../../linux/abi/mount.ts";
import type { Fd } from "../../linux/fd.ts";
import { isOnProcfs, listEntries, openAt } from "../../linux/file.ts";
import { attachMount, attachMountAt, cloneTree, setMountAttributes } from "../../linux/mount.ts";
import { findInRoot, makeDirectoryInRoot } from "./in-root.ts";
import type { Setup } from "./setup.ts";

/** Entries of /proc that lead to the caller's own process, or to what its namespaces hold. */
const OWN: ReadonlySet<string> = new Set(["self", "thread-self", "mounts", "net", "sysvipc"]);

/** Does nothing for a container that is no guest. */
export function coverSystem({ root, system, launch }: Setup): void {
  if (system === undefined || launch.guest === undefined) return;
  using proc = findInRoot(root, "/proc");
  if (proc !== undefined && isOnProcfs(proc)) coverProc(proc, system, launch.guest.systemProc);
  if (!launch.guest.sysfs) return;
  using sys = makeDirectoryInRoot(root, "/sys");
  using part = openPart(system, "sys");
  using tree = cloneTree(part, "", false);
  attachMount(tree, sys);
}

/** @param own names that the sandbox has something of its own for. Each is looked up by a request to the gofer; the others are not. */
function coverProc(proc: Fd, system: Fd, own: ReadonlySet<string>): void {
  using listed = openAt(proc, ".", fcntl.O_RDONLY | fcntl.O_DIRECTORY);
  using sysctls = ownSysctls(proc);
  using nothing = openPart(system, "empty/directory");
  using empty = openPart(system, "empty/file");
  for (const { name, type } of listEntries(listed)) {
    if (/^\d+$/.test(name) || OWN.has(name)) continue;
    if (own.has(name)) {
      using part = openPart(system, `proc/${name}`);
      cover(part, proc, name);
    } else cover(type === fcntl.S_IFDIR ? nothing : empty, proc, name);
  }
  using net = openAt(proc, "sys/net", fcntl.O_PATH | fcntl.O_DIRECTORY);
  attachMount(sysctls, net);
}

/** What belongs to the guest's network namespace. Reading alone: runtime-spec's linux.sysctl is how they are set. */
function ownSysctls(proc: Fd): Fd {
  using net = openAt(proc, "sys/net", fcntl.O_PATH | fcntl.O_DIRECTORY);
  const tree = cloneTree(net, "", false);
  setMountAttributes(tree, { set: MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC }, false);
  return tree;
}

/** The gofer may lie: a symbolic link of its own would lead anywhere. */
const openPart = (system: Fd, path: string) => openAt(system, path, fcntl.O_PATH | fcntl.O_NOFOLLOW);

function cover(part: Fd, proc: Fd, name: string): void {
  using tree = cloneTree(part, "", false);
  attachMountAt(tree, proc, name);
}
