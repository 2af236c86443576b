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
/** Owners at a time, each a descriptor. */
const MAX_OWNERS = 512;
const FLOCK_OPERATION = [1, 2, 8] as const;

interface Owner {
  readonly fd: number;
  readonly pid: number;
}

export class LockTable {
  readonly #owners = new Map<HostNode, Map<string, Owner>>();
  #count = 0;

  get(node: HostNode, key: string): Owner | undefined {
    return this.#owners.get(node)?.get(key);
  }

  add(node: HostNode, key: string, owner: Owner): boolean {
    if (this.#count >= MAX_OWNERS) return false;
    const owners = this.#owners.get(node) ?? new Map<string, Owner>();
    owners.set(key, owner);
    this.#owners.set(node, owners);
    this.#count++;
    return true;
  }

  /** The only other owner's pid; 0 where there are several: the host does not tell whose lock it is. */
  otherPid(node: HostNode, key: string): number {
    const others = [...(this.#owners.get(node) ?? [])].filter(([name]) => name !== key);
    return others.length === 1 ? (others[0]?.[1].pid ?? 0) : 0;
  }

  /** Closing the description gives all its locks back. */
  drop(node: HostNode, key: string): void {
    const owners = this.#owners.get(node);
    const owner = owners?.get(key);
    if (owners === undefined || owner === undefined) return;
    tryClose(owner.fd);
    owners.delete(key);
    this.#count--;
    if (owners.size === 0) this.#owners.delete(node);
  }

  dropAll(node: HostNode): void {
    for (const key of this.#owners.get(node)?.keys() ?? []) this.drop(node, key);
  }

  clear(): void {
    for (const node of this.#owners.keys()) this.dropAll(node);
  }
}

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
