/**
 * What a spare does ahead: init's own work for a container that nobody has asked for, in namespaces that are left again. Afterwards its functions are compiled, its
 * pages are its own, and nothing else of it is left.
 */
import { CAPABILITIES } from "../../linux/abi/capability.ts";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { MS_REC, MS_SLAVE } from "../../linux/abi/mount.ts";
import { effectiveGid, effectiveUid, getCapabilities, setCapabilities } from "../../linux/credentials.ts";
import { greetingProgram } from "../../linux/exec.unsafe.ts";
import type { Fd } from "../../linux/fd.ts";
import { closeRange, listDirectory, open, openAt, readAll, writeAll } from "../../linux/file.ts";
import { attachMount, createMount, mount } from "../../linux/mount.ts";
import { CLONE_NEW, setNamespace, type NamespaceFile } from "../../linux/namespace.ts";
import { setDumpable } from "../../linux/prctl.ts";
import { changeDirectoryTo, changeRoot, setUmask } from "../../linux/process.ts";
import { receiveMessage, sendMessage, socketPair } from "../../linux/socket.ts";
import type { Process, Spec } from "../spec/config.ts";
import { prepareProgram } from "./finish.ts";
import { dropCapabilities } from "./identity.ts";
import { setUp } from "./init.ts";
import type { CgroupMount, ContainerLaunch } from "./launch.ts";
import { createNamespaces } from "./namespaces.ts";
import { send } from "./protocol.ts";
import { OCI_VERSION } from "../spec/names.ts";
import { decodeOrder, encodeOrder, STREAMS } from "./spare-order.ts";

/** What may be made ahead: it has nothing of the host's in it that could be out of date when it is used, as mounts and names could be. */
export type Kept = Extract<NamespaceFile, "net">;

/** A pid namespace is init's by birth. */
const NAMESPACES = ["mnt", "net", "ipc", "uts", "cgroup"] as const satisfies readonly NamespaceFile[];

/** Where the root file system of the rehearsal is, in a mount namespace of its own. */
const STAGE = "/sys";
const PROGRAM = "program";
/** init's questions: cgroup, hooks. */
const QUESTIONS = 2;

/**
 * Preconditions: a forked child with the runtime's rights. @param kept what the process stays in: its own, made, and ready for a container.
 * @throws what init would throw; the process is of no use then.
 */
export function rehearse(hostProc: Fd, kept: readonly Kept[]): void {
  using restore = new DisposableStack();
  remember(hostProc, kept, restore);
  const before = new Set(openNumbers(hostProc));
  createNamespaces(NAMESPACES);
  perform(hostProc);
  for (const number of openNumbers(hostProc).filter((one) => !before.has(one))) closeRange(number, number);
}

/** Without that of the directory itself. */
function openNumbers(hostProc: Fd): number[] {
  using directory = openAt(hostProc, "self/fd", fcntl.O_RDONLY | fcntl.O_DIRECTORY);
  return listDirectory(directory).map(Number).filter((number) => number !== directory.number);
}

/** What is changed is put back in the reverse order. */
function remember(hostProc: Fd, kept: readonly NamespaceFile[], restore: DisposableStack): void {
  const [root, cwd] = ["/", "."].map((path) => restore.use(open(path, fcntl.O_PATH | fcntl.O_DIRECTORY)));
  restore.defer(() => {
    if (root !== undefined) changeRoot(root);
    if (cwd !== undefined) changeDirectoryTo(cwd);
  });
  for (const file of NAMESPACES.filter((one) => !kept.includes(one))) {
    const fd = restore.use(openAt(hostProc, `self/ns/${file}`, fcntl.O_RDONLY));
    restore.defer(() => setNamespace(fd, CLONE_NEW[file], file));
  }
  const capabilities = getCapabilities();
  restore.defer(() => setCapabilities(capabilities));
  const mask = setUmask(0);
  restore.defer(() => setUmask(mask));
  restore.defer(() => setDumpable(true));
}

function perform(hostProc: Fd): void {
  mount("", "/", "", MS_SLAVE | MS_REC);
  using tree = createMount("tmpfs", [["mode", "755"]], 0);
  using file = openAt(tree, PROGRAM, fcntl.O_WRONLY | fcntl.O_CREAT, { mode: 0o755 });
  writeAll(file, greetingProgram(""));
  using stage = open(STAGE, fcntl.O_PATH | fcntl.O_DIRECTORY);
  attachMount(tree, stage);
  file.close();
  const [ours, theirs] = socketPair();
  const launch = throughOrder(rehearsedLaunch(hostProc, theirs), ours, hostProc);
  for (let i = 0; i < QUESTIONS; i++) send(ours, { kind: "go" });
  setDumpable(false);
  setUp(launch);
  prepareProgram(launch);
  dropCapabilities(launch.process.capabilities);
}

/** As an order would bring it; its descriptors stand for all that there are in one. */
function throughOrder(launch: ContainerLaunch, ours: Fd, hostProc: Fd): ContainerLaunch {
  const { text, fds } = encodeOrder(launch, []);
  sendMessage(ours, Buffer.from(text), [...Array<Fd>(STREAMS).fill(ours), ...fds]);
  const received = receiveMessage(launch.channel);
  if (received === undefined) throw new Error("the rehearsal's order is gone");
  return decodeOrder(Buffer.from(received.data).toString(), received.fds, hostProc).launch;
}

function rehearsedLaunch(hostProc: Fd, channel: Fd): ContainerLaunch {
  return {
    id: "rehearsal",
    spec: SPEC,
    process: { ...PROCESS, user: { uid: effectiveUid(), gid: effectiveGid() } },
    rootfs: STAGE,
    create: NAMESPACES,
    join: [],
    cgroups: ownHierarchies(hostProc),
    channel,
    startSocket: channel,
    createdLock: channel,
    joining: { tasks: [], birthplace: undefined, move: () => undefined },
    bindSources: new Map(),
    filters: [],
    hostProc,
    // These would outlast the rehearsal.
    newKeyring: false,
    denySetgroups: true,
    console: undefined,
    preserveFds: 0,
    listenFds: 0,
    noPivot: false,
    guest: undefined,
    embedded: undefined,
    hookState: (status, pid) => JSON.stringify({ status, pid }),
  };
}

/** v1's, as /proc/self/cgroup has them: number, controllers, path. Source: cgroups(7). */
function ownHierarchies(hostProc: Fd): CgroupMount[] {
  using file = openAt(hostProc, "self/cgroup", fcntl.O_RDONLY);
  const lines = Buffer.from(readAll(file)).toString().split("\n");
  return lines.map((line) => line.split(":")[1]).filter((controllers) => controllers).map((controllers = "") => ({ controllers, mountPoint: `/sys/fs/cgroup/${controllers}`, path: "/" }));
}

/** Every set whole: what a process gives up it does not get back. */
const CAPABILITY_SETS = { bounding: [...CAPABILITIES], effective: [...CAPABILITIES], permitted: [...CAPABILITIES], inheritable: [...CAPABILITIES] };
const PROCESS: Omit<Process, "user"> = { cwd: "/", args: [`/${PROGRAM}`], env: ["PATH=/bin"], capabilities: CAPABILITY_SETS };

/** What most containers have. */
const SPEC: Spec = {
  ociVersion: OCI_VERSION,
  hostname: "rehearsal",
  root: { path: STAGE, readonly: true },
  mounts: [
    { destination: "/proc", type: "proc", source: "proc" },
    { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "strictatime", "mode=755", "size=65536k"] },
    { destination: "/dev/pts", type: "devpts", source: "devpts", options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"] },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"] },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
    { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["nosuid", "noexec", "nodev", "relatime", "ro"] },
    { destination: "/etc/hosts", type: "bind", source: "/proc/self/status", options: ["rbind", "ro"] },
  ],
  linux: { maskedPaths: ["/proc/acpi", "/proc/kcore", "/proc/keys", "/sys/firmware"], readonlyPaths: ["/proc/bus", "/proc/sys"] },
};
