/**
 * Runs a program on directories that a gofer lends: `node on-mount.ts JSON`, see `Setup` in ../mounted.ts. Three processes, as in a sandbox:
 * this one, which does not touch the files; the gofer; the guest, in user and mount namespaces of its own, who makes the mounts.
 */
import process from "node:process";
import { O_PATH, O_WRONLY } from "../../../../linux/abi/fcntl.ts";
import { MS_BIND, MS_NODEV, MS_NOSUID, MS_PRIVATE, MS_RDONLY, MS_REC } from "../../../../linux/abi/mount.ts";
import { effectiveGid, effectiveUid, setGroupId, setGroups, setUserId } from "../../../../linux/credentials.ts";
import { createExecStub, prepareExec } from "../../../../linux/exec.unsafe.ts";
import { AT_FDCWD, type Fd } from "../../../../linux/fd.ts";
import { duplicateOnto, makeDirectoryAt, open, pipe, statAt, writeAll } from "../../../../linux/file.ts";
import { fork } from "../../../../linux/fork.unsafe.ts";
import { changeRoot, mount } from "../../../../linux/mount.ts";
import { CLONE_NEW, unshare } from "../../../../linux/namespace.ts";
import { changeDirectory, kill, shellCode, waitPid } from "../../../../linux/process.ts";
import { receiveMessage, sendMessage, socketPair } from "../../../../linux/socket.ts";
import type { Export } from "../../../../gofer/export.ts";
import { SAME_IDS } from "../../../../gofer/hostfs/ownership.ts";
import { openFuseDevice } from "../../../../gofer/fuse/open-device.ts";
import { runGofer } from "../../../../gofer/main.ts";
import type { Lent, Setup } from "../mounted.ts";

const HOST_ID = 100_000;
const IDS = 65_536;
const SIGKILL = 9;

const setup = JSON.parse(process.argv[2] ?? "") as Setup;
const [ours, theirs] = socketPair();
const [lifelineRead, lifelineWrite] = pipe();
const roots = setup.lend.map(({ from }) => open(from, O_PATH));
const stub = createExecStub();

const guest = fork(guestMain);
theirs.close();
expectMessage();
mapIds();
sendMessage(ours, new Uint8Array([1]));
const fuses = expectMessage();
const gofer = fork(goferMain);
lifelineRead.close();
for (const fd of fuses) fd.close();
sendMessage(ours, new Uint8Array([1]));

const ended = waitPid(guest);
ours.close();
lifelineWrite.close();
const goferEnd = waitPid(gofer);
if (goferEnd?.status.kind !== "exited" || goferEnd.status.code !== 0) {
  writeAll(2, `gofer: ${JSON.stringify(goferEnd?.status)}\n`);
  process.exitCode = 99;
} else process.exitCode = ended === undefined ? 98 : shellCode(ended.status);

function expectMessage(): readonly Fd[] {
  const message = receiveMessage(ours);
  if (message !== undefined) return message.fds;
  kill(guest, SIGKILL);
  throw new Error("the guest has ended early");
}

/** An ordinary user can map one id: his own. */
function mapIds(): void {
  const own = { uid: effectiveUid(), gid: effectiveGid() };
  const rootless = own.uid !== 0;
  if (rootless) writeFile(`/proc/${guest}/setgroups`, "deny");
  for (const kind of ["uid", "gid"] as const) writeFile(`/proc/${guest}/${kind}_map`, rootless ? `0 ${own[kind]} 1` : `0 ${HOST_ID} ${IDS}`);
}

function writeFile(path: string, text: string): void {
  using file = open(path, O_WRONLY);
  writeAll(file, text);
}

function reporting(main: () => number): number {
  try {
    return main();
  } catch (error) {
    writeAll(2, `${error instanceof Error ? error.stack : String(error)}\n`);
    return 97;
  }
}

function goferMain(): number {
  const exports = setup.lend.map((lent, i): Export => {
    const [root, fuse] = [roots[i], fuses[i]];
    if (root === undefined || fuse === undefined) throw new Error("a descriptor is missing");
    return { root, fuse, readOnly: lent.readOnly ?? false, cache: lent.cache ?? "exclusive", ownership: lent.ownership ?? SAME_IDS, writeback: lent.writeback ?? false };
  });
  return runGofer(exports, { lifeline: lifelineRead, log: 2, ...(setup.limits === undefined ? {} : { limits: setup.limits }) });
}

function guestMain(): number {
  return reporting(() => {
    lifelineWrite.close();
    ours.close();
    unshare(CLONE_NEW.user, "user");
    sendMessage(theirs, new Uint8Array([1]));
    receiveMessage(theirs);
    unshare(CLONE_NEW.mnt, "mnt");
    mount("none", "/", "", MS_REC | MS_PRIVATE);
    // The device node belongs to the real root, who this process still is to the kernel.
    const devices = setup.lend.map(() => openFuseDevice(setup.device));
    if (setup.device === undefined) setGroups([]);
    setGroupId(0);
    setUserId(0);
    for (const [i, lent] of setup.lend.entries()) mountFuse(lent, devices[i]);
    sendMessage(theirs, new Uint8Array([1]), devices);
    for (const fd of devices) fd.close();
    receiveMessage(theirs);
    if (setup.overlay !== undefined) mountOverlay(setup.overlay.lower, setup.overlay.at);
    if (setup.tmpfs !== undefined) mount("tmpfs", setup.tmpfs, "tmpfs", 0, "mode=755");
    for (const { from, at } of setup.bind ?? []) mount(from, at, "", MS_BIND | MS_REC);
    if (setup.chroot !== undefined) changeRoot(setup.chroot);
    changeDirectory(setup.cwd);
    if (setup.user !== undefined) {
      setGroupId(setup.user);
      setUserId(setup.user);
    }
    duplicateOnto(1, 1);
    duplicateOnto(2, 2);
    const [program = "", ...rest] = setup.command;
    prepareExec(stub, program, [program, ...rest], ["PATH=/bin:/usr/bin:/sbin:/usr/sbin", "HOME=/tmp", "LANG=C.UTF-8"])();
    return 96;
  });
}

function mountFuse(lent: Lent, device: Fd | undefined): void {
  if (device === undefined) throw new Error("no device");
  const mode = statAt(AT_FDCWD, lent.from).mode;
  const data = `fd=${device.number},rootmode=${mode.toString(8)},user_id=0,group_id=0,allow_other,default_permissions`;
  mount("gofer", lent.at, "fuse", MS_NODEV | MS_NOSUID | (lent.readOnly === true ? MS_RDONLY : 0), data);
}

function mountOverlay(lower: string, at: string): void {
  mount("tmpfs", "/tmp", "tmpfs", 0, "mode=755");
  for (const name of ["/tmp/upper", "/tmp/work"]) makeDirectoryAt(AT_FDCWD, name, 0o755);
  mount("overlay", at, "overlay", 0, `lowerdir=${lower},upperdir=/tmp/upper,workdir=/tmp/work,userxattr`);
}
