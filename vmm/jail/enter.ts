/**
 * What the forked child does before it becomes the VMM: it gives up everything but the descriptors that it is to keep.
 *
 *   namespaces    pid, mount, net, ipc, uts, cgroup: born in them, and alone in each
 *   root          a read-only tmpfs with Node, its libraries and the bundle, each a read-only bind mount; no procfs, no device
 *   limits        no core, no locked memory, bounded descriptors and private memory
 *   identity      an id of its own, no group, no capability, no_new_privs
 *   seccomp       start-policy.ts: no io_uring, whose rings a later filter would not see
 *
 * The rest comes in the program itself, when it has read its files and its threads run: seal.ts. KVM takes vCPUs only from the process that has made
 * the machine, so the jail has to hold a whole start of Node.
 */
import { O_CREAT, O_EXCL, O_PATH, O_WRONLY, S_IFDIR, S_IFMT } from "../../linux/abi/fcntl.ts";
import { MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MS_PRIVATE, MS_REC } from "../../linux/abi/mount.ts";
import { CAPABILITIES } from "../../linux/abi/capability.ts";
import { setCapabilities, setGroupId, setGroups, setUserId, type UserIds } from "../../linux/credentials.ts";
import { EEXIST } from "../../linux/abi/errno.ts";
import { inStep, isErrno } from "../../linux/errors.ts";
import { AT_FDCWD, type Fd, type FdLike } from "../../linux/fd.ts";
import { makeDirectoryAt, openAt, statAt } from "../../linux/file.ts";
import { attachMount, cloneTree, createMount, mount, replaceRoot, setMountAttributes } from "../../linux/mount.ts";
import { CLONE_NEW } from "../../linux/namespace.ts";
import { clearAmbientCapabilities, dropFromBoundingSet, setNoNewPrivileges } from "../../linux/prctl.ts";
import { getResourceLimit, newSession, setResourceLimit } from "../../linux/process.ts";
import { setSeccompFilter } from "../../linux/seccomp.ts";
import { startFilter } from "./start-compiled.ts";

/** What a VMM is born in (linux/fork.unsafe.ts, `tryClone`). */
export const VMM_NAMESPACES = CLONE_NEW.pid | CLONE_NEW.mnt | CLONE_NEW.net | CLONE_NEW.ipc | CLONE_NEW.uts | CLONE_NEW.cgroup;

/** Paths in the jail and the files, or directories, of the host that stand there. */
export type JailFiles = ReadonlyMap<string, string>;

export interface VmmJail {
  /** On the host; nobody else runs with them. */
  readonly user: UserIds;
  /** Everybody may read them: the user has no rights over any. */
  readonly files: JailFiles;
  /** Bytes of guest memory, which counts as the process's own. */
  readonly guestMemory: number;
  readonly vcpus: number;
}

/**
 * Preconditions: a forked child with the rights to mount and to change its ids, in `VMM_NAMESPACES`.
 * @throws SysError with the step that failed
 */
export function enterVmmJail({ user, files, guestMemory, vcpus }: VmmJail): void {
  inStep("session", newSession);
  inStep("root", () => replaceRootBy(files));
  inStep("limits", () => setLimits(guestMemory + OWN_MEMORY + vcpus * THREAD_MEMORY));
  inStep("identity", () => {
    for (const number of CAPABILITIES.keys()) dropFromBoundingSet(number);
    setGroups([]);
    setGroupId(user.gid);
    setUserId(user.uid);
    clearAmbientCapabilities();
    setCapabilities({ effective: 0n, permitted: 0n, inheritable: 0n });
  });
  setNoNewPrivileges();
  inStep("seccomp", () => setSeccompFilter(startFilter(), 0));
}

const FIXED = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
const isDirectory = (tree: FdLike): boolean => (statAt(tree).mode & S_IFMT) === S_IFDIR;

function replaceRootBy(files: JailFiles): void {
  mount("none", "/", "", MS_REC | MS_PRIVATE);
  const trees = [...files].map(([path, source]) => ({ path, source, tree: cloneTree(AT_FDCWD, source, false) }));
  using root = createMount("tmpfs", [["size", "64k"], ["nr_inodes", "64"], ["mode", "755"]], 0);
  replaceRoot(root);
  for (const { path, source, tree } of trees) {
    setMountAttributes(tree, { set: FIXED }, false, source);
    using target = makeTarget(root, path, isDirectory(tree));
    attachMount(tree, target);
    tree.close();
  }
  setMountAttributes(root, { set: FIXED | MOUNT_ATTR_NOEXEC }, false, "/");
}

/** An empty file or directory to mount on. */
function makeTarget(root: FdLike, path: string, directory: boolean): Fd {
  const names = path.split("/").slice(1);
  const parents = directory ? names.length : names.length - 1;
  for (let depth = 1; depth <= parents; depth++) makeDirectory(root, names.slice(0, depth).join("/"));
  if (!directory) openAt(root, names.join("/"), O_CREAT | O_EXCL | O_WRONLY, { mode: 0o444 }).close();
  return openAt(root, names.join("/"), O_PATH);
}

function makeDirectory(root: FdLike, path: string): void {
  try {
    makeDirectoryAt(root, path, 0o755);
  } catch (error) {
    if (!isErrno(error, EEXIST)) throw error;
  }
}

/** RLIMIT_* numbers. Source: Linux include/uapi/asm-generic/resource.h. */
const RLIMIT = { data: 2, core: 4, nofile: 7, memlock: 8, sigpending: 11, msgqueue: 12 } as const;
/** The slots of its loop (threads/loop.ts) and what it holds besides. */
const DESCRIPTORS = 2048;
/** Private memory of Node: V8 reserves 512 MiB for code, which count, and its heap's own limit is far below. For each vCPU, its thread's stack. */
const OWN_MEMORY = 1 << 30;
const THREAD_MEMORY = 1 << 20;

function setLimits(memory: number): void {
  const limits: Record<keyof typeof RLIMIT, number> = { core: 0, memlock: 0, msgqueue: 0, sigpending: 64, nofile: DESCRIPTORS, data: memory };
  for (const name of Object.keys(limits) as (keyof typeof RLIMIT)[]) {
    const { hard } = getResourceLimit(RLIMIT[name]);
    const limit = hard < BigInt(limits[name]) ? hard : BigInt(limits[name]);
    setResourceLimit(RLIMIT[name], limit, limit, name);
  }
}
