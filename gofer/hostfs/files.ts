/** Contents of regular files. */
import { EBADF, EEXIST, EINVAL } from "../../linux/abi/errno.ts";
import { O_EXCL, O_RDWR, O_TRUNC } from "../../linux/abi/fcntl.ts";
import type { CString } from "../../linux/c-string.ts";
import { tryClose, tryCopyRange, tryReadAt, trySeek, trySync, tryWriteAt } from "../../linux/data.ts";
import type { Block } from "../../linux/memory.unsafe.ts";
import type { Caller, Entry, Opened } from "../fuse/file-system.ts";
import { killPrivileges } from "./attributes.ts";
import { ESTALE } from "./errnos.ts";
import type { Host } from "./host.ts";
import { createFile, lookup } from "./names.ts";

const EMFILE = 24;
const O_ACCMODE = 3;
const O_APPEND = 0o2000;
const O_DSYNC = 0o10000;
const O_SYNC = 0o4010000;
/** What of the guest's flags means something to the host's file; O_APPEND because others may write as well. */
const PASSED = O_ACCMODE | O_APPEND | O_DSYNC | O_SYNC | O_TRUNC;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;

export function open(host: Host, id: number, flags: number, kill: boolean, out: Opened): number {
  const node = host.nodes.get(id);
  if (node === undefined) return -ESTALE;
  if ((flags & O_ACCMODE) === O_ACCMODE) return -EINVAL;
  const fd = host.openData(node, flags & PASSED);
  if (fd < 0) return fd;
  if (kill && (flags & O_TRUNC) !== 0) killPrivileges(host, fd);
  out.handle = host.handles.add(fd, node, flags & PASSED & ~O_TRUNC);
  return out.handle === 0 ? -EMFILE : 0;
}

export function create(host: Host, parent: number, name: CString, flags: number, mode: number, caller: Caller, out: Entry, opened: Opened): number {
  const fd = createFile(host, parent, name, mode, flags & (O_APPEND | O_DSYNC | O_SYNC), caller, out);
  if (fd === -EEXIST && (flags & O_EXCL) === 0) return openExisting(host, parent, name, flags, out, opened);
  if (fd < 0) return fd;
  const node = host.nodes.get(out.node);
  opened.handle = node === undefined ? 0 : host.handles.add(fd, node, O_RDWR | (flags & (O_APPEND | O_DSYNC | O_SYNC)));
  if (opened.handle !== 0) return 0;
  host.nodes.forget(out.node, 1);
  return -EMFILE;
}

/** Somebody else has just made it. */
function openExisting(host: Host, parent: number, name: CString, flags: number, out: Entry, opened: Opened): number {
  const found = lookup(host, parent, name, out);
  if (found < 0) return found;
  const result = open(host, out.node, flags, false, opened);
  if (result < 0) host.nodes.forget(out.node, 1);
  return result;
}

export function read(host: Host, id: number, handle: number, position: number, into: Block, at: number, size: number): number {
  const fd = host.dataFd(id, handle, false);
  return fd < 0 ? fd : tryReadAt(fd, into, at, size, position);
}

export function write(host: Host, id: number, handle: number, position: number, from: Block, at: number, size: number, kill: boolean): number {
  const fd = host.dataFd(id, handle, true);
  if (fd < 0) return fd;
  const written = tryWriteAt(fd, from, at, size, position);
  if (kill && written >= 0) killPrivileges(host, fd);
  return written;
}

export function release(host: Host, handle: number): number {
  return handle === 0 || host.handles.close(handle) ? 0 : -EBADF;
}

/** fsync(2), of a directory too. */
export function sync(host: Host, id: number, handle: number, dataOnly: boolean): number {
  const node = host.nodes.get(id);
  if (node === undefined) return -ESTALE;
  if (handle > 0) {
    const fd = host.handles.get(handle, node)?.fd;
    return fd === undefined ? -EBADF : trySync(fd, dataOnly);
  }
  if (node.data.fd >= 0) return trySync(node.data.fd, dataOnly);
  const fd = node.isDirectory ? host.openListing(node) : host.openData(node, 0);
  if (fd < 0) return fd;
  const result = trySync(fd, dataOnly);
  tryClose(fd);
  return result;
}

export function seek(host: Host, id: number, handle: number, position: number, whence: number): number {
  if (whence !== SEEK_DATA && whence !== SEEK_HOLE) return -EINVAL;
  const fd = host.dataFd(id, handle, false);
  return fd < 0 ? fd : trySeek(fd, position, whence);
}

/** Both ends' descriptors: the second may make the first one go, so the first is asked for again. */
export function copyRange(host: Host, id: number, handle: number, position: number, toId: number, toHandle: number, toPosition: number, size: number): number {
  const to = host.dataFd(toId, toHandle, true);
  if (to < 0) return to;
  const from = host.dataFd(id, handle, false);
  if (from < 0) return from;
  const again = host.dataFd(toId, toHandle, true);
  return again < 0 ? again : tryCopyRange(from, position, again, toPosition, size);
}
