/**
 * Locks on files that others on the host use as well. Each owner in the guest has an open file description of its own here, whose locks the host
 * keeps apart from everybody else's. Where nobody else uses the files, the guest's kernel keeps their locks itself, and nothing of this is asked.
 */
import { O_RDONLY, O_RDWR } from "../../linux/abi/fcntl.ts";
import { EBADF } from "../../linux/abi/errno.ts";
import { tryClose } from "../../linux/data.ts";
import { LOCK_TYPE, tryFindConflict, tryLockFile, tryLockRange, type Conflict } from "../../linux/range-lock.ts";
import type { Lock } from "../fuse/file-system.ts";
import { ESTALE } from "./errnos.ts";
import type { Host } from "./host.ts";
import type { HostNode } from "./node.ts";

const ENOLCK = 37;
const FLOCK_OPERATION = [1, 2, 8] as const;

const keyOf = ({ ownerLow, ownerHigh }: Lock) => `${ownerHigh}:${ownerLow}`;

/** The owner's descriptor, opened at its first lock. */
function ownerFd(host: Host, node: HostNode, lock: Lock): number {
  const known = host.locks.get(node, keyOf(lock));
  if (known !== undefined) return known.fd;
  const fd = host.openData(node, host.loan.readOnly ? O_RDONLY : O_RDWR);
  if (fd < 0) return fd;
  if (host.locks.add(node, keyOf(lock), { fd, pid: lock.pid })) return fd;
  tryClose(fd);
  return -ENOLCK;
}

const lengthOf = ({ start, end }: Lock) => (end === Number.MAX_SAFE_INTEGER ? 0 : end - start + 1);

export function getLock(host: Host, id: number, lock: Lock): number {
  const node = host.nodes.get(id);
  if (node === undefined) return -ESTALE;
  const fd = ownerFd(host, node, lock);
  if (fd < 0) return fd;
  const found: Conflict = { type: LOCK_TYPE.none, start: 0, length: 0, pid: 0 };
  const result = tryFindConflict(fd, lock.type, lock.start, lengthOf(lock), found);
  if (result < 0) return result;
  lock.type = found.type;
  if (found.type === LOCK_TYPE.none) return 0;
  lock.start = found.start;
  lock.end = found.length === 0 ? Number.MAX_SAFE_INTEGER : found.start + found.length - 1;
  // A process of the host has no number in the guest.
  lock.pid = found.pid === -1 ? host.locks.otherPid(node, keyOf(lock)) : 0;
  return 0;
}

export function setLock(host: Host, id: number, handle: number, lock: Lock): number {
  const node = host.nodes.get(id);
  if (node === undefined) return -ESTALE;
  if (lock.flock) {
    const fd = host.handles.get(handle, node)?.fd;
    return fd === undefined ? -EBADF : tryLockFile(fd, FLOCK_OPERATION[lock.type] ?? 0);
  }
  if (lock.type === LOCK_TYPE.none && host.locks.get(node, keyOf(lock)) === undefined) return 0;
  const fd = ownerFd(host, node, lock);
  return fd < 0 ? fd : tryLockRange(fd, lock.type, lock.start, lengthOf(lock));
}

/** A process has closed one of its descriptors of the file: its locks on it are gone. Source: fcntl(2). */
export function dropLocks(host: Host, id: number, lock: Lock): void {
  const node = host.nodes.get(id);
  if (node !== undefined) host.locks.drop(node, keyOf(lock));
}
