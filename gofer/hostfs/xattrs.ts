/**
 * Extended attributes. `user.` is the guest's, less our own; `security.capability` too where owners are kept: the kernel translates it to
 * the user namespace of whoever reads or writes it. All else is the host's: labels, ACLs, `trusted.`. Source: xattr(7).
 */
import { ENODATA, EOPNOTSUPP, EPERM, ERANGE } from "../../linux/abi/errno.ts";
import { CString } from "../../linux/c-string.ts";
import { permanentBlock, type Block } from "../../linux/memory.unsafe.ts";
import { tryGetXattr, tryListXattr, tryRemoveXattr, trySetXattr } from "../../linux/xattr-path.ts";
import type { Host } from "./host.ts";

/** XATTR_LIST_MAX. */
const LIST_MAX = 65536;
const list = permanentBlock(LIST_MAX);
const listed = new CString(list);
const OURS = "user.tssandbox.";

function isGuests(host: Host, name: CString): boolean {
  if (name.startsWith("user.")) return !name.startsWith(OURS);
  return host.loan.ownership.kind === "kept" && name.equals("security.capability");
}

function refusal(name: CString): number {
  return name.startsWith("user.") || name.startsWith("security.") || name.startsWith("trusted.") ? -EPERM : -EOPNOTSUPP;
}

export function getXattr(host: Host, id: number, name: CString, into: Block, at: number, size: number): number {
  if (!isGuests(host, name)) return name.startsWith("system.") ? -EOPNOTSUPP : -ENODATA;
  const fd = host.fdOf(id);
  return fd < 0 ? fd : tryGetXattr(host.link.of(fd), name, into, at, size);
}

export function listXattr(host: Host, id: number, into: Block, at: number, size: number): number {
  const fd = host.fdOf(id);
  if (fd < 0) return fd;
  const length = tryListXattr(host.link.of(fd), list, 0, LIST_MAX);
  if (length === -EOPNOTSUPP) return 0;
  if (length < 0) return length;
  let kept = 0;
  for (let from = 0; from < length; ) {
    const bytes = listed.point(list, from, length) + 1;
    if (bytes === 0) break;
    if (isGuests(host, listed)) {
      if (size > 0 && kept + bytes > size) return -ERANGE;
      if (size > 0) into.bytes.set(list.bytes.subarray(from, from + bytes), at + kept);
      kept += bytes;
    }
    from += bytes;
  }
  return kept;
}

export function setXattr(host: Host, id: number, name: CString, from: Block, at: number, size: number, flags: number): number {
  if (!isGuests(host, name)) return refusal(name);
  const fd = host.fdOf(id);
  return fd < 0 ? fd : trySetXattr(host.link.of(fd), name, from, at, size, flags);
}

export function removeXattr(host: Host, id: number, name: CString): number {
  if (!isGuests(host, name)) return name.startsWith("system.") ? -EOPNOTSUPP : -ENODATA;
  const fd = host.fdOf(id);
  return fd < 0 ? fd : tryRemoveXattr(host.link.of(fd), name);
}

