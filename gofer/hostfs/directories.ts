/** Listings: getdents64(2) into FUSE's format. */
import { EBADF, EINVAL } from "../../linux/abi/errno.ts";
import { CString } from "../../linux/c-string.ts";
import { tryListEntries, trySeekDirectory } from "../../linux/data.ts";
import { permanentBlock } from "../../linux/memory.unsafe.ts";
import { ROOT_NODE, type DirectorySink, type Opened } from "../fuse/file-system.ts";
import { ESTALE } from "./errnos.ts";
import type { Handle } from "./handles.ts";
import type { Host } from "./host.ts";
import { lookup } from "./names.ts";
import type { HostNode } from "./node.ts";

/** struct linux_dirent64. Source: getdents64(2). */
const DIRENT64 = { ino: 0, off: 8, reclen: 16, type: 18, name: 19 } as const;
const MAX_LISTING = 32768;
/** Holds at least one entry, whatever its name. */
const MIN_LISTING = 512;
const listing = permanentBlock(MAX_LISTING);
const name = new CString(listing);

export function openDirectory(host: Host, id: number, out: Opened): number {
  const node = host.nodes.get(id);
  if (node === undefined) return -ESTALE;
  const fd = host.openListing(node);
  if (fd < 0) return fd;
  out.handle = host.handles.add(fd, node, 0);
  return out.handle === 0 ? -24 : 0;
}

export function readDirectory(host: Host, id: number, handle: number, low: number, high: number, sink: DirectorySink): number {
  const node = host.nodes.get(id);
  if (node === undefined) return -ESTALE;
  if (handle > 0) {
    const open = host.handles.get(handle, node);
    return open === undefined ? -EBADF : list(host, node, open, open.fd, low, high, sink);
  }
  if (!host.opensItself) return -EBADF;
  const fd = ownListing(host, node);
  return fd < 0 ? fd : list(host, node, node, fd, low, high, sink);
}

function ownListing(host: Host, node: HostNode): number {
  const { data } = host.nodes;
  if (node.data.fd >= 0) {
    data.touch(node.data);
    return node.data.fd;
  }
  const fd = host.openListing(node);
  if (fd < 0) return fd;
  data.put(node.data, fd);
  node.listLow = 0;
  node.listHigh = 0;
  return fd;
}

/** `place` remembers where the descriptor stands, so that a listing read from front to back needs no lseek(2). */
function list(host: Host, node: HostNode, place: Handle | HostNode, fd: number, low: number, high: number, sink: DirectorySink): number {
  if (place.listLow !== low || place.listHigh !== high || (low === 0 && high === 0)) {
    const sought = trySeekDirectory(fd, low, high);
    if (sought < 0) return sought;
  }
  const filled = tryListEntries(fd, listing, 0, listingSize(sink));
  if (filled < 0) return filled;
  for (let at = 0; at < filled; at += listing.view.getUint16(at + DIRENT64.reclen, true)) {
    if (!put(host, node, at, filled, sink)) return at === 0 ? -EINVAL : forgetPlace(place);
    place.listLow = listing.view.getUint32(at + DIRENT64.off, true);
    place.listHigh = listing.view.getUint32(at + DIRENT64.off + 4, true);
  }
  return 0;
}

/** The descriptor stands behind what was taken: no offset says where. */
function forgetPlace(place: Handle | HostNode): number {
  place.listLow = 0;
  place.listHigh = 0;
  return 0;
}

/** So much that it is likely to fit: an entry here takes 24 bytes and more, in the reply 32 and, with attributes, 160. */
function listingSize(sink: DirectorySink): number {
  let room = 0;
  for (let names = MAX_LISTING; names >= MIN_LISTING && room === 0; names /= 2) if (sink.fits(names)) room = names;
  return Math.max(MIN_LISTING, sink.plus ? Math.trunc(room / 4) : Math.trunc((room * 3) / 4));
}

/** @returns false where the entry does not fit. */
function put(host: Host, node: HostNode, at: number, end: number, sink: DirectorySink): boolean {
  const length = name.point(listing, at + DIRENT64.name, end);
  if (!sink.fits(length)) return false;
  const { view } = listing;
  const isDots = name.equals(".") || name.equals("..");
  if (sink.plus) takeAttributes(host, node, isDots, sink);
  // What lies above the root is nobody's business.
  const hidden = node.id === ROOT_NODE && isDots;
  const inodeLow = hidden ? ROOT_NODE : view.getUint32(at + DIRENT64.ino, true);
  const inodeHigh = hidden ? 0 : view.getUint32(at + DIRENT64.ino + 4, true);
  const type = view.getUint8(at + DIRENT64.type);
  const low = view.getUint32(at + DIRENT64.off, true);
  const high = view.getUint32(at + DIRENT64.off + 4, true);
  sink.add(inodeLow, inodeHigh, type, low, high, listing, at + DIRENT64.name, length);
  return true;
}

/** The kernel takes no reference on `.` and `..`. */
function takeAttributes(host: Host, node: HostNode, isDots: boolean, sink: DirectorySink): void {
  if (isDots || lookup(host, node.id, name, sink.entry) < 0) sink.entry.node = 0;
}
