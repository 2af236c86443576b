/**
 * The first forked process: enters and creates namespaces, forks init into them, and ends. A process cannot change its own pid namespace,
 * and a user namespace's maps are written from outside; hence two processes. init then belongs to the nearest subreaper.
 */
import { EINVAL } from "../../linux/abi/errno.ts";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { effectiveUid, getCapabilities, setCapabilities, setEffectiveUserId, setFileSystemUserId, setGroupId, setGroups, setUserId, type UserIds } from "../../linux/credentials.ts";
import type { Fd } from "../../linux/fd.ts";
import { check, inStep, isErrno } from "../../linux/errors.ts";
import { openAt, readAll, writeAll } from "../../linux/file.ts";
import { tryClone } from "../../linux/fork.unsafe.ts";
import { CLONE_NEW, unshare, type NamespaceFile } from "../../linux/namespace.ts";
import { setDumpable } from "../../linux/prctl.ts";
import { pidfdOpen } from "../../linux/process.ts";
import { MAX_FDS } from "../../linux/socket.ts";
import { openFuseNode } from "../../gofer/fuse/open-device.ts";
import type { GuestLaunch, ProcessLaunch } from "./launch.ts";
import { createNamespaces, joinNamespaces } from "./namespaces.ts";
import { awaitGo, rendezvous, reporting, send, type Birth } from "./protocol.ts";
import { setSysctls } from "./sysctl.ts";
import { setOomScore } from "./attributes.ts";

/**
 * Whether a stage is needed. A new pid namespace alone does not: clone3(2) gives it to init. To enter one, though, is to have one's children
 * in it; a user namespace waits for its maps, a time namespace for its offsets.
 */
export function needsStage({ create, join }: ProcessLaunch): boolean {
  return create.some((file) => file === "user" || file === "time") || join.some(({ file }) => file === "user" || file === "pid" || file === "time");
}

/** The body of the forked stage. @param init what runs in the namespaces; it does not return. */
export function runStage(launch: ProcessLaunch, init: () => never, timeOffsets?: string): number {
  return reporting(launch.channel, () => {
    awaitGo(launch.channel);
    enterNamespaces(launch, launch.create.filter((file) => file !== "pid"));
    if (timeOffsets !== undefined) inStep("time offsets", () => writeTimeOffsets(launch, timeOffsets));
    send(launch.channel, { kind: "born", ...forkInit(launch, () => reporting(launch.channel, () => beginInit(launch, init))) });
  });
}

/** The body of an init that the runtime has forked itself. */
export function runDirectly(launch: ProcessLaunch, init: () => never): number {
  return reporting(launch.channel, () => {
    awaitGo(launch.channel);
    enterNamespaces(launch, launch.create.filter((file) => file !== "pid"));
    init();
  });
}

function beginInit(launch: ProcessLaunch, init: () => never): never {
  awaitGo(launch.channel);
  return init();
}

const ROOT: UserIds = { uid: 0, gid: 0 };

function enterNamespaces(launch: ProcessLaunch, create: readonly NamespaceFile[]): void {
  inStep("oom score", () => setOomScore(launch.hostProc, launch.process.oomScoreAdj));
  // From here on we share namespaces with processes that may not look into us (CVE-2016-9962).
  setDumpable(false);
  inStep("join namespaces", () => joinNamespaces(launch.join));
  inStep("sysctl", () => setSysctls(launch.hostProc, launch.guest?.sysctls ?? {}));
  inStep("user namespace", () => enterUserNamespace(launch));
  inStep("create namespaces", () => createNamespaces(create));
}

/** Into the new pid namespace, if there is to be one, and into the v2 cgroup, unless that refuses: then the runtime moves it. */
export function forkInit({ create, joining, guest, hostProc }: ProcessLaunch, main: () => number): Birth {
  return inStep("fork", () => {
    const namespaces = create.includes("pid") ? CLONE_NEW.pid : 0;
    // An orphan would fall to the sentry, init of the stage's own pid namespace, and no engine could wait for it.
    const sibling = guest !== undefined;
    const cgroup = joining.birthplace;
    // What a cgroup refuses (no permission, controllers handed down, a threaded one), the kernel tells in several ways.
    const born = cgroup === undefined ? 0 : tryClone({ namespaces, sibling, cgroup }, main);
    const pid = born > 0 ? born : check(tryClone({ namespaces, sibling, cgroup: undefined }, main), "clone3");
    return { pid: guest === undefined ? pid : hostPid(pid, hostProc), inCgroup: born > 0 };
  });
}

/** The pid of a process of ours as the host counts. Source: pidfd_open(2), /proc/PID/fdinfo/FD. */
function hostPid(pid: number, hostProc: Fd): number {
  using pidfd = pidfdOpen(pid);
  using info = openAt(hostProc, `self/fdinfo/${pidfd.number}`, fcntl.O_RDONLY);
  return Number(/^Pid:\t(\d+)$/m.exec(Buffer.from(readAll(info)).toString("latin1"))?.[1]);
}

/** Becomes root of a user namespace: of a new one, whose maps the runtime writes, or of the one that was entered. */
function enterUserNamespace(launch: ProcessLaunch): void {
  const created = launch.create.includes("user");
  if (!created && !launch.join.some(({ file }) => file === "user")) return;
  if (created) {
    if (launch.guest !== undefined) becomeOwner(launch.guest.owner);
    unshare(CLONE_NEW.user, "user");
    // The maps in /proc/PID belong to root while the process is not dumpable: an ordinary user could not write them.
    setDumpable(true);
    rendezvous(launch.channel, { kind: "map-ids" });
    setDumpable(false);
  }
  const { guest } = launch;
  if (guest !== undefined) inStep("fuse", () => openFuseDevices(launch.channel, guest));
  const { uid, gid } = guest?.root ?? ROOT;
  ifMapped(() => setGroupId(gid));
  ifMapped(() => setUserId(uid));
  if (!launch.denySetgroups) setGroups([]);
}

/**
 * A user namespace belongs to the effective user that creates it, who has every capability over it from its parent namespace
 * (user_namespaces(7)): the sentry is to have them, and no others. The file system id stays as it was: /dev/fuse may be root's alone.
 */
function becomeOwner(owner: number): void {
  const caller = effectiveUid();
  if (caller === owner) return;
  const { permitted, inheritable } = getCapabilities();
  setEffectiveUserId(owner);
  setCapabilities({ permitted, effective: permitted, inheritable });
  setFileSystemUserId(caller);
}

/** A file system is mounted in the user namespace that its device was opened in, and the mounting process must be in that one. Source: fuse(4). */
function openFuseDevices(channel: Fd, { fileSystems, fuseNode, devices }: GuestLaunch): void {
  for (const name of fileSystems) devices.set(name, openFuseNode(fuseNode));
  for (let i = 0; i < fileSystems.length; i += MAX_FDS) {
    rendezvous(channel, { kind: "fuse" }, fileSystems.slice(i, i + MAX_FDS).flatMap((name) => devices.get(name) ?? []));
  }
}

/** A map without 0 has no root to become; the rights in a new namespace do not depend on the id. Source: setresuid(2), EINVAL. */
function ifMapped(change: () => void): void {
  try {
    change();
  } catch (error) {
    if (!isErrno(error, EINVAL)) throw error;
  }
}

function writeTimeOffsets(launch: ProcessLaunch, offsets: string): void {
  setDumpable(true);
  using file = openAt(launch.hostProc, "self/timens_offsets", fcntl.O_WRONLY);
  writeAll(file, offsets);
  setDumpable(false);
}

