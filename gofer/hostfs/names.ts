/** Names: looking up, making, removing, renaming. Every function is beneath one directory's descriptor, with one component. */
import { EINVAL, ENOENT, EPERM } from "../../linux/abi/errno.ts";
import {
  AT_REMOVEDIR, O_CREAT, O_EXCL, O_NOFOLLOW, O_PATH, O_RDWR, RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, S_IFDIR,
  S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK,
} from "../../linux/abi/fcntl.ts";
import { tryLinkPath, tryMakeDirectory, tryMakeNode, tryOpenEntry, tryRename, trySymlink, tryUnlink } from "../../linux/at.ts";
import type { CString } from "../../linux/c-string.ts";
import { tryClose } from "../../linux/data.ts";
import type { Caller, Entry } from "../fuse/file-system.ts";
import { fillEntry, refresh } from "./attributes.ts";
import { ENFILE, ESTALE } from "./errnos.ts";
import type { Host } from "./host.ts";
import type { HostNode } from "./node.ts";

const RENAME_NOREPLACE = 1;
const RENAME_EXCHANGE = 2;
const SPECIAL_BITS = 0o7000;
const PERMISSIONS = 0o7777;
const S_ISGID = 0o2000;
const CREATE_RESOLVE = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS;

export function lookup(host: Host, parentId: number, name: CString, out: Entry): number {
  const parent = host.nodes.get(parentId);
  const dir = host.directoryFd(parent);
  if (dir < 0 || parent === undefined) return dir;
  host.watches?.watch(parent, dir);
  const known = host.opensItself ? undefined : lookAt(host, dir, name);
  if (known !== undefined) return answerKnown(host, known, parent, name, out);
  const fd = host.nodes.openEntry(dir, name);
  if (fd === -ENOENT && host.belief.absentMs > 0) return answerAbsent(host, out);
  return fd < 0 ? fd : answerNew(host, fd, parent, name, out);
}

/** A shared name is asked for again and again: one statx(2) says that it still means the file that we know. */
function lookAt(host: Host, dir: number, name: CString): HostNode | undefined {
  if (host.stat.ofEntry(dir, name) < 0) return undefined;
  const node = host.nodes.find(host.stat);
  return node !== undefined && node.fd >= 0 ? node : undefined;
}

function answerKnown(host: Host, node: HostNode, parent: HostNode, name: CString, out: Entry): number {
  host.nodes.place(node, parent, name);
  fillEntry(host, node, node.fd, out);
  return 0;
}

function answerAbsent(host: Host, out: Entry): number {
  out.node = 0;
  out.entryMs = host.belief.absentMs;
  return 0;
}

/** Takes over `fd`, O_PATH. */
function answerNew(host: Host, fd: number, parent: HostNode, name: CString, out: Entry): number {
  const result = host.stat.ofFd(fd);
  if (result < 0) {
    tryClose(fd);
    return result;
  }
  const node = host.nodes.adopt(fd, parent, name);
  if (node === undefined) return -ENFILE;
  fillEntry(host, node, node.fd, out);
  return 0;
}

/** Owner and mode of what has just been made, then its entry. Takes over `fd`, O_PATH. */
function finishNew(host: Host, fd: number, parent: HostNode, name: CString, mode: number, caller: Caller, out: Entry): number {
  const looked = host.stat.ofFd(fd);
  const result = looked < 0 ? looked : dress(host, fd, parent, mode, caller);
  if (result >= 0) return answerNew(host, fd, parent, name, out);
  tryClose(fd);
  return result;
}

/** The rules of a set-group-ID directory: what is made in it has its group, directories the bit too. Source: inode(7). */
function dress(host: Host, fd: number, { setsGroup, group }: HostNode, mode: number, { uid, gid }: Caller): number {
  const type = mode & S_IFMT;
  const { mode: made } = host.stat;
  const result = host.owner.change(fd, host.stat, uid, setsGroup ? group : gid);
  if (result < 0) return result;
  // chown(2) clears the bits of a file.
  if (type === S_IFREG && (mode & SPECIAL_BITS) !== 0) return host.owner.changeMode(fd, host.stat, mode & PERMISSIONS);
  if (type === S_IFDIR && setsGroup) return host.owner.changeMode(fd, host.stat, (made & PERMISSIONS) | S_ISGID);
  return 0;
}

function directoryForNew(host: Host, parent: HostNode | undefined): number {
  const dir = host.directoryFd(parent);
  // Its group may have changed behind our back.
  const result = dir >= 0 && parent !== undefined && !host.opensItself ? refresh(host, parent, dir) : dir;
  return result < 0 ? result : dir;
}

/** Opens what has just been made by name, and finishes it; an other file by now, made by somebody else, keeps its owner. */
function adoptMade(host: Host, dir: number, parent: HostNode, name: CString, mode: number, caller: Caller, out: Entry): number {
  const fd = host.nodes.openEntry(dir, name);
  if (fd < 0) return fd;
  const isOurs = host.stat.ofFd(fd) >= 0 && (host.stat.mode & S_IFMT) === (mode & S_IFMT) && host.nodes.find(host.stat) === undefined;
  return isOurs ? finishNew(host, fd, parent, name, mode, caller, out) : answerNew(host, fd, parent, name, out);
}

/**
 * Creates a regular file and opens it for reading and writing.
 * @returns the descriptor, which the caller owns.
 */
export function createFile(host: Host, parentId: number, name: CString, mode: number, flags: number, caller: Caller, out: Entry): number {
  const parent = host.nodes.get(parentId);
  const dir = directoryForNew(host, parent);
  if (dir < 0 || parent === undefined) return dir;
  const fd = tryOpenEntry(dir, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | flags, CREATE_RESOLVE, mode & 0o777);
  if (fd < 0) return fd;
  const path = host.link.reopen(fd, O_PATH);
  const result = path < 0 ? path : finishNew(host, path, parent, name, (mode & PERMISSIONS) | S_IFREG, caller, out);
  if (result >= 0) return fd;
  tryClose(fd);
  return result;
}

export function makeNode(host: Host, parentId: number, name: CString, mode: number, caller: Caller, out: Entry): number {
  const type = mode & S_IFMT;
  if (type === S_IFREG || type === 0) return makeFile(host, parentId, name, mode, caller, out);
  // Devices would be the host's.
  if (type !== S_IFIFO && type !== S_IFSOCK) return -EPERM;
  const parent = host.nodes.get(parentId);
  const dir = directoryForNew(host, parent);
  if (dir < 0 || parent === undefined) return dir;
  const result = tryMakeNode(dir, name, type | (mode & 0o777));
  return result < 0 ? result : adoptMade(host, dir, parent, name, mode, caller, out);
}

function makeFile(host: Host, parentId: number, name: CString, mode: number, caller: Caller, out: Entry): number {
  const fd = createFile(host, parentId, name, mode, 0, caller, out);
  if (fd < 0) return fd;
  const node = host.nodes.get(out.node);
  if (host.opensItself && node !== undefined) host.keepDataFd(node, fd, true);
  else tryClose(fd);
  return 0;
}

export function makeDirectory(host: Host, parentId: number, name: CString, mode: number, caller: Caller, out: Entry): number {
  const parent = host.nodes.get(parentId);
  const dir = directoryForNew(host, parent);
  if (dir < 0 || parent === undefined) return dir;
  const result = tryMakeDirectory(dir, name, mode & 0o1777);
  return result < 0 ? result : adoptMade(host, dir, parent, name, S_IFDIR, caller, out);
}

export function symlink(host: Host, parentId: number, name: CString, target: CString, caller: Caller, out: Entry): number {
  const parent = host.nodes.get(parentId);
  const dir = directoryForNew(host, parent);
  if (dir < 0 || parent === undefined) return dir;
  const result = trySymlink(target, dir, name);
  return result < 0 ? result : adoptMade(host, dir, parent, name, S_IFLNK, caller, out);
}

export function link(host: Host, id: number, parentId: number, name: CString, out: Entry): number {
  const parent = host.nodes.get(parentId);
  const dir = host.directoryFd(parent);
  if (dir < 0 || parent === undefined) return dir;
  const fd = host.fdOf(id);
  if (fd < 0) return fd;
  const result = tryLinkPath(host.link.of(fd), dir, name);
  if (result < 0) return result;
  const made = host.nodes.openEntry(dir, name);
  return made < 0 ? made : answerNew(host, made, parent, name, out);
}

export function remove(host: Host, parentId: number, name: CString, directory: boolean): number {
  const dir = host.directoryFd(host.nodes.get(parentId));
  if (dir < 0) return dir;
  const node = knownEntry(host, dir, name);
  const result = tryUnlink(dir, name, directory ? AT_REMOVEDIR : 0);
  if (result >= 0 && node !== undefined) host.nodes.unname(node);
  return result;
}

/** The node of an entry, if the kernel knows it, with an open descriptor: its name is about to go. */
function knownEntry(host: Host, dir: number, name: CString): HostNode | undefined {
  const node = host.stat.ofEntry(dir, name) < 0 ? undefined : host.nodes.find(host.stat);
  if (node !== undefined) host.nodes.fdOf(node);
  return node;
}

export function rename(host: Host, parentId: number, name: CString, newParentId: number, newName: CString, flags: number): number {
  if (flags !== 0 && flags !== RENAME_NOREPLACE && flags !== RENAME_EXCHANGE) return -EINVAL;
  const parent = host.nodes.get(parentId);
  const newParent = host.nodes.get(newParentId);
  if (parent === undefined || newParent === undefined) return -ESTALE;
  const to = host.directoryFd(newParent);
  const from = host.directoryFd(parent);
  if (from < 0 || to < 0) return Math.min(from, to);
  const moved = knownEntry(host, from, name);
  const replaced = knownEntry(host, to, newName);
  const result = tryRename(from, name, to, newName, flags);
  if (result < 0) return result;
  if (replaced !== undefined && replaced !== moved) {
    if (flags === RENAME_EXCHANGE) host.nodes.place(replaced, parent, name);
    else host.nodes.unname(replaced);
  }
  if (moved !== undefined) host.nodes.place(moved, newParent, newName);
  return 0;
}

