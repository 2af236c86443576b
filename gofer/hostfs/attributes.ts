/** Attributes of files: what stat(2) tells, and SETATTR. */
import { O_RDWR, S_IFMT, S_IFREG } from "../../linux/abi/fcntl.ts";
import { trySetTimes, UTIME, type TimeSpec } from "../../linux/at.ts";
import { tryClose, tryTruncate } from "../../linux/data.ts";
import { FATTR } from "../fuse/abi.ts";
import { Attributes, NO_HANDLE, type AttributesReply, type Change, type Entry } from "../fuse/file-system.ts";
import { EFBIG, ESTALE } from "./errnos.ts";
import type { Host } from "./host.ts";
import type { HostNode } from "./node.ts";
import { SAME } from "./owner.ts";

const PERMISSIONS = 0o7777;
const S_ISUID = 0o4000;
const S_ISGID = 0o2000;
const GROUP_EXECUTE = 0o010;
const scratchAttributes = new Attributes();

/** From `host.stat`, which tells of `node` at `fd`. */
export function fill(host: Host, node: HostNode, fd: number, out: Attributes): void {
  const { stat } = host;
  out.inodeLow = stat.inodeLow;
  out.inodeHigh = stat.inodeHigh;
  out.size = stat.size;
  out.blocks = stat.blocks;
  out.accessSeconds = stat.accessSeconds;
  out.accessNanoseconds = stat.accessNanoseconds;
  out.modifySeconds = stat.modifySeconds;
  out.modifyNanoseconds = stat.modifyNanoseconds;
  out.changeSeconds = stat.changeSeconds;
  out.changeNanoseconds = stat.changeNanoseconds;
  out.birthSeconds = stat.birthSeconds;
  out.birthNanoseconds = stat.birthNanoseconds;
  out.nlink = stat.nlink;
  out.rdevMajor = stat.rdevMajor;
  out.rdevMinor = stat.rdevMinor;
  out.blockSize = stat.blockSize;
  host.owner.tell(fd, stat, out);
  node.setsGroup = node.isDirectory && (out.mode & S_ISGID) !== 0;
  node.group = out.gid;
}

/** Looks at `node` anew: what its group is, and whether it hands it down. @returns 0 or the negative errno. */
export function refresh(host: Host, node: HostNode, fd: number): number {
  const result = host.stat.ofFd(fd);
  if (result >= 0) fill(host, node, fd, scratchAttributes);
  return result;
}

/** The answer for one more reference to `node`. `host.stat` tells of it. */
export function fillEntry(host: Host, node: HostNode, fd: number, out: Entry): void {
  node.lookups++;
  out.node = node.id;
  out.generation = node.generation;
  out.entryMs = host.belief.entryMs;
  out.attributesMs = host.belief.attributesMs;
  fill(host, node, fd, out.attributes);
}

export function getAttributes(host: Host, id: number, handle: number, out: AttributesReply): number {
  const node = host.nodes.get(id);
  if (node === undefined) return -ESTALE;
  // The handle's own, where there is one: the node may have lost its name while its descriptor was closed.
  const fd = (handle > 0 ? host.handles.get(handle, node)?.fd : undefined) ?? host.nodes.fdOf(node);
  const result = fd < 0 ? fd : host.stat.ofFd(fd);
  if (result < 0) return result;
  out.validMs = host.belief.attributesMs;
  fill(host, node, fd, out.attributes);
  return 0;
}

/** In the order in which the bits of a later step survive the earlier ones: truncating and chown(2) clear set-id bits, chmod sets them. */
export function setAttributes(host: Host, id: number, change: Change, out: AttributesReply): number {
  const node = host.nodes.get(id);
  if (node === undefined) return -ESTALE;
  const fd = host.nodes.fdOf(node);
  const looked = fd < 0 ? fd : host.stat.ofFd(fd);
  if (looked < 0) return looked;
  const result = firstFailure(
    () => ((change.valid & FATTR.SIZE) === 0 ? 0 : truncate(host, id, fd, change)),
    () => changeOwner(host, fd, change),
    () => ((change.valid & FATTR.MODE) === 0 ? 0 : host.owner.changeMode(fd, host.stat, change.mode & PERMISSIONS)),
    () => changeTimes(fd, change),
  );
  return result < 0 ? result : getAttributes(host, id, change.handle, out);
}

function firstFailure(...steps: readonly (() => number)[]): number {
  for (const step of steps) {
    const result = step();
    if (result < 0) return result;
  }
  return 0;
}

function truncate(host: Host, id: number, fd: number, change: Change): number {
  if (change.size > Number.MAX_SAFE_INTEGER) return -EFBIG;
  const handle = change.handle === NO_HANDLE ? 0 : change.handle;
  const result = handle > 0 || host.opensItself ? truncateOpen(host, id, handle, change.size) : truncateByNode(host, id, change.size);
  if (result < 0 || (change.valid & FATTR.KILL_SUIDGID) === 0) return result;
  return killPrivileges(host, fd);
}

function truncateOpen(host: Host, id: number, handle: number, size: number): number {
  const data = host.dataFd(id, handle, true);
  return data < 0 ? data : tryTruncate(data, size);
}

function truncateByNode(host: Host, id: number, size: number): number {
  const node = host.nodes.get(id);
  if (node === undefined) return -ESTALE;
  const fd = host.openData(node, O_RDWR);
  if (fd < 0) return fd;
  const result = tryTruncate(fd, size);
  tryClose(fd);
  return result;
}

function changeOwner(host: Host, fd: number, { valid, uid, gid }: Change): number {
  if ((valid & (FATTR.UID | FATTR.GID)) === 0) return 0;
  return host.owner.change(fd, host.stat, (valid & FATTR.UID) === 0 ? SAME : uid, (valid & FATTR.GID) === 0 ? SAME : gid);
}

function changeTimes(fd: number, { valid, access, modify }: Change): number {
  if ((valid & (FATTR.ATIME | FATTR.MTIME)) === 0) return 0;
  select(access, valid, FATTR.ATIME, FATTR.ATIME_NOW);
  select(modify, valid, FATTR.MTIME, FATTR.MTIME_NOW);
  return trySetTimes(fd, access, modify);
}

function select(time: TimeSpec, valid: number, given: number, now: number): void {
  if ((valid & given) === 0) time.nanoseconds = UTIME.omit;
  else if ((valid & now) !== 0) time.nanoseconds = UTIME.now;
}

/**
 * Clears the set-id bits of a regular file as the kernel does when somebody without CAP_FSETID writes to it: set-group-id only where the
 * group may execute. Source: Linux fs/attr.c, setattr_should_drop_suidgid.
 */
export function killPrivileges(host: Host, fd: number): number {
  const { stat, owner } = host;
  if (stat.ofFd(fd) < 0 || (stat.mode & S_IFMT) !== S_IFREG) return 0;
  owner.tell(fd, stat, scratchAttributes);
  const { mode } = scratchAttributes;
  const drop = (mode & S_ISUID) | ((mode & (S_ISGID | GROUP_EXECUTE)) === (S_ISGID | GROUP_EXECUTE) ? S_ISGID : 0);
  return drop === 0 ? 0 : owner.changeMode(fd, stat, mode & PERMISSIONS & ~drop);
}
