/**
 * What the forked gofer does before it answers the first request: gives up everything but the directories it lends.
 *
 *   inherited descriptors     closed, but those that are named
 *   user namespace            its own, every id mapped to itself: capabilities that reach files, and nothing else of the host
 *   mount namespace           an empty, read-only root; each lent directory is a mount of its own, attached to nothing: `..` ends there
 *   net, ipc, uts, cgroup     its own, empty
 *   identity                  nobody, with the capabilities of `neededCapabilities`; rootless: a subordinate id, or the user, who is all there is
 *   Landlock                  files beneath the lent directories; no TCP, no abstract sockets, no signals
 *   seccomp                   policy.ts, an allow list
 *
 * The order: closing first, since a namespace is entered by whoever still holds a descriptor of another; files before Landlock, Landlock before
 * seccomp, which then refuses all that was needed for the rest.
 */
import { EPERM } from "../linux/abi/errno.ts";
import { O_PATH, O_RDONLY, O_WRONLY } from "../linux/abi/fcntl.ts";
import * as ll from "../linux/abi/landlock.ts";
import { MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MS_PRIVATE, MS_REC } from "../linux/abi/mount.ts";
import { CAPABILITIES, capabilityMask, type CapabilityName } from "../linux/abi/capability.ts";
import { becomeUser, effectiveGid, effectiveUid, maySetIds, setCapabilities, type UserIds } from "../linux/credentials.ts";
import { check, inStep, SysError } from "../linux/errors.ts";
import { AT_FDCWD, type Fd, type FdLike } from "../linux/fd.ts";
import { duplicateOnto, makeDirectoryAt, open, openAt, pipe, read, readAll, readLinkAt, statAt, writeAll } from "../linux/file.ts";
import { tryClone } from "../linux/fork.unsafe.ts";
import { dropInherited, type NodeResources } from "../linux/inherited.unsafe.ts";
import { createRuleset, handledAccess, landlockVersion } from "../linux/landlock.ts";
import { createSealed } from "../linux/memfd.ts";
import { attachMount, cloneTree, createMount, mount, replaceRoot, setMountAttributes } from "../linux/mount.ts";
import { CLONE_NEW, unshare } from "../linux/namespace.ts";
import { clearAmbientCapabilities, dropFromBoundingSet, setDumpable, setKeepCapabilities, setNoNewPrivileges } from "../linux/prctl.ts";
import { setResourceLimit, setUmask, waitPid } from "../linux/process.ts";
import { setSeccompFilter } from "../linux/seccomp.ts";
import { goferFilter } from "./compiled.ts";

export interface JailRoot {
  /** O_PATH, a directory or a regular file; the jail closes it and returns another. */
  readonly fd: Fd;
  readonly readOnly: boolean;
}

export interface JailOptions {
  readonly roots: readonly JailRoot[];
  /** What stays open besides: /dev/fuse descriptors, the lifeline. */
  readonly keep: readonly FdLike[];
  /** Becomes standard error; the other streams are empty, and so is this one where it is left out. */
  readonly log?: FdLike;
  /** From `nodeResources` in the parent; looked up where left out. */
  readonly resources?: NodeResources;
  /** Descriptors that may be open at a time. */
  readonly descriptors: number;
  /** Bytes of private memory. */
  readonly memory: number;
  /** Whom to become, where it may; nobody where left out. */
  readonly identity?: UserIds;
}

const NOBODY: UserIds = { uid: 65534, gid: 65534 };

/**
 * Confines this process for good. Preconditions: a forked child, see fork.unsafe.ts; /proc is mounted.
 * @returns the roots, in their order, as they are to be used from now on.
 * @throws SysError with the step that failed; the process must end then.
 */
export function enterJail(options: JailOptions): Fd[] {
  const kept = [...options.keep, ...options.roots.map(({ fd }) => fd)];
  inStep("descriptors", () => {
    replaceStreams(options.log);
    dropInherited(kept, options.resources);
  });
  setUmask(0);
  const paths = options.roots.map(({ fd }) => readLinkAt(AT_FDCWD, fd.procPath));
  const privileged = inStep("user namespace", enterUserNamespace);
  const rest = CLONE_NEW.mnt | CLONE_NEW.net | CLONE_NEW.ipc | CLONE_NEW.uts | CLONE_NEW.cgroup;
  inStep("namespaces", () => unshare(rest, "mnt,net,ipc,uts,cgroup"));
  const roots = inStep("roots", () => isolateRoots(options.roots, paths));
  inStep("empty root", emptyRoot);
  inStep("limits", () => setLimits(options));
  inStep("identity", () => dropIdentity(privileged ? (options.identity ?? NOBODY) : undefined, neededCapabilities(options.roots)));
  setNoNewPrivileges();
  inStep("landlock", () => restrictFiles(options.roots, roots));
  inStep("seccomp", () => setSeccompFilter(goferFilter(), 0));
  return roots;
}

/**
 * Reading what is lent needs DAC_READ_SEARCH: the guest's own kernel decides who may read. Writing: DAC_OVERRIDE for the same reason, CHOWN for
 * the owners of what is made, FOWNER to change mode and times of what others own, FSETID to set set-group-ID bits of groups that are not ours,
 * SETFCAP for file capabilities.
 */
export function neededCapabilities(roots: readonly JailRoot[]): readonly CapabilityName[] {
  if (roots.every(({ readOnly }) => readOnly)) return ["CAP_DAC_READ_SEARCH"];
  return ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_SETFCAP"];
}

/**
 * What the streams were may be the container's terminal. Not /dev/null: whoever holds a descriptor and CAP_FOWNER can change the mode of what it
 * refers to. For the same reason the log should be a pipe.
 */
function replaceStreams(log: FdLike | undefined): void {
  using nothing = createSealed("gofer-null", new Uint8Array(0));
  duplicateOnto(log ?? nothing, 2);
  duplicateOnto(nothing, 0);
  duplicateOnto(nothing, 1);
}

/** @returns whether all ids of the outer namespace are mapped, which takes CAP_SETUID and CAP_SETGID there. */
function enterUserNamespace(): boolean {
  const privileged = maySetIds();
  if (privileged) mapAllIds();
  else mapOwnIds();
  return privileged;
}

/** A helper that stays outside writes the maps: whoever has entered may not write more than one id. Source: user_namespaces(7). */
function mapAllIds(): void {
  const maps = (["uid", "gid"] as const).map((kind) => [kind, identityOf(`/proc/self/${kind}_map`)] as const);
  const [ready, go] = pipe();
  // By the name that this procfs has for us, which may be another pid namespace's.
  const self = readLinkAt(AT_FDCWD, "/proc/self");
  // By the system call alone: in a child of libc's fork libuv closes its signal pipe, whose numbers may be those of our pipe by now.
  const body = () => {
    go.close();
    if (read(ready, 1).length === 0) return 1;
    for (const [kind, map] of maps) writeFile(`/proc/${self}/${kind}_map`, map);
    return 0;
  };
  const helper = check(tryClone({ namespaces: 0, cgroup: undefined }, body), "clone3");
  ready.close();
  unshare(CLONE_NEW.user, "user");
  // The maps belong to root while the process is not dumpable.
  setDumpable(true);
  writeAll(go, "1");
  go.close();
  const ended = waitPid(helper)?.status;
  if (ended?.kind !== "exited" || ended.code !== 0) throw new SysError({ syscall: "write", errno: EPERM, path: "uid_map" });
}

function mapOwnIds(): void {
  const [uid, gid] = [effectiveUid(), effectiveGid()];
  unshare(CLONE_NEW.user, "user");
  setDumpable(true);
  writeFile("/proc/self/setgroups", "deny");
  writeFile("/proc/self/uid_map", `${uid} ${uid} 1`);
  writeFile("/proc/self/gid_map", `${gid} ${gid} 1`);
}

/** Every id that exists here, as itself. The file's lines are: first id inside, first outside, count. */
function identityOf(path: string): string {
  using file = open(path, O_RDONLY);
  const lines = Buffer.from(readAll(file)).toString().trim().split("\n").map((line) => line.trim().split(/\s+/));
  return lines.map(([inside, , count]) => `${inside} ${inside} ${count}\n`).join("");
}

function writeFile(path: string, text: string): void {
  using file = open(path, O_WRONLY);
  writeAll(file, text);
}

/** Each root becomes a mount that hangs nowhere, with the flags it needs at most: even read-only is the kernel's work then. */
function isolateRoots(roots: readonly JailRoot[], paths: readonly string[]): Fd[] {
  mount("none", "/", "", MS_REC | MS_PRIVATE);
  return roots.map(({ fd, readOnly }, i) => {
    using here = openIfSame(paths[i] ?? "", statAt(fd));
    const tree = cloneTree(here ?? fd, "", true);
    fd.close();
    const set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | (readOnly ? MOUNT_ATTR_RDONLY : 0);
    setMountAttributes(tree, { set }, true, paths[i]);
    return tree;
  });
}

/**
 * A mount can be copied in its own namespace only, and the descriptor is of the one that we left: the same file, by its path, here. Undefined
 * where there is none: a detached mount has no path, and can be copied as it is; anything else then ends in EINVAL.
 */
function openIfSame(path: string, wanted: ReturnType<typeof statAt>): Fd | undefined {
  try {
    const found = open(path, O_PATH);
    const { ino, dev } = statAt(found);
    if (ino === wanted.ino && dev.major === wanted.dev.major && dev.minor === wanted.dev.minor) return found;
    found.close();
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
  }
  return undefined;
}

/** A tmpfs with nothing but /proc/self/fd, by which descriptors are opened again. */
function emptyRoot(): void {
  using descriptors = cloneTree(AT_FDCWD, "/proc/self/fd", false);
  using root = createMount("tmpfs", [["size", "4k"], ["nr_inodes", "16"], ["mode", "555"]], 0);
  for (const path of ["proc", "proc/self", "proc/self/fd"]) makeDirectoryAt(root, path, 0o555);
  replaceRoot(root);
  using point = openAt(root, "proc/self/fd", O_PATH);
  attachMount(descriptors, point);
  setMountAttributes(root, { set: MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC }, false, "/");
}

/** RLIMIT_* numbers. Source: Linux include/uapi/asm-generic/resource.h. */
const RLIMIT = { core: 4, data: 2, nofile: 7, memlock: 8, sigpending: 11, msgqueue: 12 } as const;

function setLimits({ descriptors, memory }: JailOptions): void {
  const limits: Record<keyof typeof RLIMIT, number> = { core: 0, memlock: 0, msgqueue: 0, sigpending: 64, data: memory, nofile: descriptors };
  for (const name of Object.keys(limits) as (keyof typeof RLIMIT)[]) {
    setResourceLimit(RLIMIT[name], BigInt(limits[name]), BigInt(limits[name]), name);
  }
}

function dropIdentity(identity: UserIds | undefined, capabilities: readonly CapabilityName[]): void {
  // Emptying the bounding set takes CAP_SETPCAP, which goes with the user id.
  for (let number = 0; number < CAPABILITIES.length; number++) if (!capabilities.includes(nameOf(number))) dropFromBoundingSet(number);
  if (identity !== undefined) {
    setKeepCapabilities(true);
    becomeUser(identity);
    setKeepCapabilities(false);
  }
  clearAmbientCapabilities();
  const mask = capabilityMask(capabilities);
  setCapabilities({ effective: mask, permitted: mask, inheritable: 0n });
  setDumpable(false);
}

function nameOf(number: number): CapabilityName {
  const name = CAPABILITIES[number];
  if (name === undefined) throw new RangeError(`no capability ${number}`);
  return name;
}

const READING = ll.LANDLOCK_ACCESS_FS_READ_FILE | ll.LANDLOCK_ACCESS_FS_READ_DIR;
const WRITING =
  READING | ll.LANDLOCK_ACCESS_FS_WRITE_FILE | ll.LANDLOCK_ACCESS_FS_TRUNCATE | ll.LANDLOCK_ACCESS_FS_REFER | ll.LANDLOCK_ACCESS_FS_REMOVE_DIR |
  ll.LANDLOCK_ACCESS_FS_REMOVE_FILE | ll.LANDLOCK_ACCESS_FS_MAKE_DIR | ll.LANDLOCK_ACCESS_FS_MAKE_REG | ll.LANDLOCK_ACCESS_FS_MAKE_SOCK |
  ll.LANDLOCK_ACCESS_FS_MAKE_FIFO | ll.LANDLOCK_ACCESS_FS_MAKE_SYM;
const ON_FILE = ll.LANDLOCK_ACCESS_FS_READ_FILE | ll.LANDLOCK_ACCESS_FS_WRITE_FILE | ll.LANDLOCK_ACCESS_FS_TRUNCATE;

/** Does nothing on a kernel without Landlock: the empty root and the detached mounts still stand. */
function restrictFiles(wanted: readonly JailRoot[], roots: readonly Fd[]): void {
  const version = landlockVersion();
  if (version === 0) return;
  using ruleset = createRuleset(handledAccess(version));
  for (const [i, root] of roots.entries()) {
    const access = wanted[i]?.readOnly === false ? WRITING : READING;
    ruleset.allowBeneath(root, isDirectory(root) ? access : access & ON_FILE);
  }
  ruleset.restrictSelf();
}

function isDirectory(fd: Fd): boolean {
  const [S_IFMT, S_IFDIR] = [0o170000, 0o040000];
  return (statAt(fd).mode & S_IFMT) === S_IFDIR;
}
