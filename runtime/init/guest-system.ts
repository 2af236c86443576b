/**
 * /proc and /sys of a sandbox's guest. /proc is the guest's own procfs, since only the kernel can follow /proc/self/exe and its like; over
 * everything in it that is no process's lies a file of the sandbox's own, or nothing: what a later kernel adds is hidden until somebody
 * decides otherwise. Decision 0015 has the alternatives.
 */
import * as fcntl from "../../linux/abi/fcntl.ts";
import { MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY } from "../../linux/abi/mount.ts";
import { Fd } from "../../linux/fd.ts";
import { isOnProcfs, listDirectory, openAt, tryOpenAt } from "../../linux/file.ts";
import { attachMount, cloneTree, setMountAttributes } from "../../linux/mount.ts";
import { findInRoot, isDirectory, makeDirectoryInRoot } from "./in-root.ts";
import type { Setup } from "./setup.ts";

/** Entries of /proc that lead to the caller's own process, or to what its namespaces hold. */
const OWN: ReadonlySet<string> = new Set(["self", "thread-self", "mounts", "net", "sysvipc"]);

/** Does nothing for a container that is no guest. */
export function coverSystem({ root, system, launch }: Setup): void {
  if (system === undefined) return;
  using proc = findInRoot(root, "/proc");
  if (proc !== undefined && isOnProcfs(proc)) coverProc(proc, system);
  if (launch.guest?.sysfs !== true) return;
  using sys = makeDirectoryInRoot(root, "/sys");
  attachPart(system, "sys", sys);
}

function coverProc(proc: Fd, system: Fd): void {
  using listed = openAt(proc, ".", fcntl.O_RDONLY | fcntl.O_DIRECTORY);
  using sysctls = ownSysctls(proc);
  for (const name of listDirectory(listed)) {
    if (/^\d+$/.test(name) || OWN.has(name)) continue;
    using target = openAt(proc, name, fcntl.O_PATH | fcntl.O_NOFOLLOW);
    attachPart(system, has(system, `proc/${name}`) ? `proc/${name}` : isDirectory(target) ? "empty/directory" : "empty/file", target);
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

function has(system: Fd, path: string): boolean {
  const found = tryOpenAt(system, path, fcntl.O_PATH | fcntl.O_NOFOLLOW);
  if (found < 0) return false;
  new Fd(found).close();
  return true;
}

function attachPart(system: Fd, path: string, target: Fd): void {
  using node = openAt(system, path, fcntl.O_PATH | fcntl.O_NOFOLLOW);
  using part = cloneTree(node, "", false);
  attachMount(part, target);
}
