/**
 * Record locks: those of a process (F_SETLK) and of an open file (F_OFD_SETLK). The kernel has them all, as locks of open files. What an open file
 * of the guest's locks its own file locks; for a process the sentry has one open file of each inode, which it closes when POSIX would end the locks:
 * with the process, or when it closes any of its descriptors of that inode. Closing a descriptor does not trap, so that is looked at where it
 * matters: where another is refused because of it. Source: fcntl_locking(2).
 */
import { EAGAIN, EBADF } from "../../../linux/abi/errno.ts";
import { O_ACCMODE, O_NOCTTY, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY } from "../../../linux/abi/fcntl.ts";
import { POLLIN } from "../../../linux/abi/poll.ts";
import type { Epoll } from "../../../linux/epoll.ts";
import { Fd } from "../../../linux/fd.ts";
import * as kernel from "../../../linux/on-behalf.ts";

import { copyIn, copyOut, small } from "../memory.ts";
import { inodeOf, type HostFile } from "../objects/files.ts";
import type { WaitingCalls } from "../objects/waiting.ts";
import type { GuestTasks } from "../tasks/tasks.ts";
import type { Trapped } from "../trapped.ts";
import type { Callers } from "./callers.ts";
import type { Descriptors } from "./descriptors.ts";
import type { Procfs } from "./procfs.ts";

const EDEADLK = 35;
const F = { getLock: 5, setLock: 6, setLockWaiting: 7, getOpenFileLock: 36, setOpenFileLock: 37, setOpenFileLockWaiting: 38 } as const;
const TYPE = { read: 0, write: 1, none: 2 } as const;
const SEEK_CUR = 1;
/** struct flock. */
const FLOCK = { type: 0, whence: 2, start: 8, pid: 24, size: 32 } as const;

export const LOCK_COMMANDS: ReadonlySet<number> = new Set(Object.values(F));

/** How often a lock that another has is tried again, in milliseconds: the kernel tells nobody when it is free. */
const RETRY = 20;

/** What locks take of the sentry. */
interface Sentry {
  readonly epoll: Epoll;
  readonly waiting: WaitingCalls;
  readonly tasks: GuestTasks;
  readonly callers: Callers;
  readonly descriptors: Descriptors;
  readonly procfs: Procfs;
  /** Has `closed` be told of what the guest has closed before the call that is being handled. */
  noticeClosed(): void;
}

/** The locks that a process has of an inode. */
interface Holder {
  readonly inode: string;
  /** As the sentry counts. */
  readonly process: number;
  readonly file: Fd;
  readonly pidfd: Fd;
  /** Descriptors by which they were asked for: all are still of this inode, or the locks are gone. */
  readonly numbers: Set<number>;
}

export class Locks {
  readonly #sentry: Sentry;
  readonly #byInode = new Map<string, Map<number, Holder>>();
  readonly #byPidfd = new Map<number, Holder>();
  /** Processes that wait, and for which others. */
  readonly #waitsFor = new Map<number, number>();

  constructor(sentry: Sentry) {
    this.#sentry = sentry;
  }

  control(call: Trapped, file: HostFile, command: number): number {
    const copied = copyIn(call, call.arg(2), small, FLOCK.size);
    if (copied < 0) return copied;
    const { view } = small;
    const type = view.getInt16(FLOCK.type, true);
    const isQuestion = command === F.getLock || command === F.getOpenFileLock;
    if (!isQuestion && !mayLock(file, type)) return -EBADF;
    if (command >= F.getOpenFileLock) return this.#ofOpenFile(call, file, command);
    if (view.getInt16(FLOCK.whence, true) === SEEK_CUR) startFromPosition(file);
    const process = this.#sentry.callers.task(call)?.leader;
    if (process === undefined) return -EBADF;
    this.#sentry.noticeClosed();
    const wanted = small.bytes.slice(0, FLOCK.size);
    const holder = this.#holder(file, process);
    if (typeof holder === "number") return holder;
    small.bytes.set(wanted);
    if (isQuestion) return this.#ask(call, holder);
    holder.numbers.add(call.int(0));
    return this.#set(call, holder.file, command === F.setLockWaiting, holder);
  }

  /** The kernel does it all, but for the waiting. */
  #ofOpenFile(call: Trapped, file: HostFile, command: number): number {
    if (command !== F.getOpenFileLock) return this.#set(call, file.fd, command === F.setOpenFileLockWaiting, undefined);
    const result = kernel.lockRange(file.fd.number, F.getOpenFileLock, small.address);
    return result < 0 ? result : copyOut(call, call.arg(2), small, FLOCK.size);
  }

  /** The lock in `small`. @param own of a process's lock. */
  #set(call: Trapped, fd: Fd, isWaiting: boolean, own: Holder | undefined): number {
    small.view.setInt32(FLOCK.pid, 0, true);
    const wanted = small.bytes.slice(0, FLOCK.size);
    let result = kernel.lockRange(fd.number, F.setOpenFileLock, small.address);
    if (result === -EAGAIN && this.#dropStale(inodeOf(fd))) {
      small.bytes.set(wanted);
      result = kernel.lockRange(fd.number, F.setOpenFileLock, small.address);
    }
    if (own !== undefined) this.#waitsFor.delete(own.process);
    if (result !== -EAGAIN || !isWaiting) return result;
    if (own !== undefined) {
      small.bytes.set(wanted);
      const other = this.#inTheWay(own);
      if (other !== undefined && this.#isRing(own.process, other)) return -EDEADLK;
      if (other !== undefined) this.#waitsFor.set(own.process, other);
    }
    return this.#sentry.waiting.retryIn(call, RETRY);
  }

  #isRing(start: number, next: number | undefined): boolean {
    const seen = new Set<number>();
    for (let at = next; at !== undefined && !seen.has(at); at = this.#waitsFor.get(at)) {
      if (at === start) return true;
      seen.add(at);
    }
    return false;
  }

  /** F_GETLK. */
  #ask(call: Trapped, own: Holder): number {
    const asked = small.bytes.slice(0, FLOCK.size);
    if (this.#dropStale(own.inode)) small.bytes.set(asked);
    small.view.setInt32(FLOCK.pid, 0, true);
    const result = kernel.lockRange(own.file.number, F.getOpenFileLock, small.address);
    if (result < 0) return result;
    const found = small.bytes.slice(0, FLOCK.size);
    small.bytes.set(asked);
    const other = this.#inTheWay(own);
    small.bytes.set(found);
    const pid = other === undefined ? undefined : this.#sentry.tasks.get(other)?.guestPid;
    if (pid !== undefined && small.view.getInt16(FLOCK.type, true) !== TYPE.none) small.view.setInt32(FLOCK.pid, pid, true);
    return copyOut(call, call.arg(2), small, FLOCK.size);
  }

  /** Which process has what stands in the way of the lock in `small`: the one in whose own way nothing stands; of several readers, any. */
  #inTheWay(own: Holder): number | undefined {
    const asked = small.bytes.slice(0, FLOCK.size);
    for (const other of this.#byInode.get(own.inode)?.values() ?? []) {
      if (other === own) continue;
      small.bytes.set(asked);
      small.view.setInt32(FLOCK.pid, 0, true);
      kernel.lockRange(other.file.number, F.getOpenFileLock, small.address);
      if (small.view.getInt16(FLOCK.type, true) === TYPE.none) return other.process;
    }
    return undefined;
  }

  #holder(file: HostFile, process: number): Holder | number {
    const inode = inodeOf(file.fd);
    const others = this.#byInode.get(inode) ?? new Map<number, Holder>();
    const known = others.get(process);
    if (known !== undefined && this.#isHeld(known)) return known;
    if (known !== undefined) this.#drop(known);
    this.#sentry.callers.asSentry();
    const opened = this.#reopen(file);
    const pidfd = opened < 0 ? opened : kernel.pidfd(process);
    if (pidfd < 0) {
      if (opened >= 0) kernel.close(opened);
      return pidfd;
    }
    const holder: Holder = { inode, process, file: new Fd(opened), pidfd: new Fd(pidfd), numbers: new Set() };
    this.#byInode.set(inode, others.set(process, holder));
    this.#byPidfd.set(pidfd, holder);
    this.#sentry.epoll.add(holder.pidfd, POLLIN);
    return holder;
  }

  /** For both kinds of locks, which ask for both kinds of rights. */
  #reopen({ fd, flags }: HostFile): number {
    const opened = this.#sentry.procfs.reopen(fd, O_RDWR | O_NOCTTY | O_NONBLOCK);
    return opened >= 0 ? opened : this.#sentry.procfs.reopen(fd, (flags & O_ACCMODE) | O_NOCTTY | O_NONBLOCK);
  }

  #isHeld({ process, numbers, inode }: Holder): boolean {
    for (const number of numbers) if (this.#sentry.descriptors.inodeAt(process, number) !== inode) return false;
    return true;
  }

  /** @returns whether there was any. */
  #dropStale(inode: string): boolean {
    let dropped = false;
    for (const holder of this.#byInode.get(inode)?.values() ?? []) {
      if (this.#isHeld(holder)) continue;
      this.#drop(holder);
      dropped = true;
    }
    return dropped;
  }

  #drop(holder: Holder): void {
    const others = this.#byInode.get(holder.inode);
    others?.delete(holder.process);
    if (others?.size === 0) this.#byInode.delete(holder.inode);
    this.#byPidfd.delete(holder.pidfd.number);
    this.#waitsFor.delete(holder.process);
    holder.pidfd.close();
    // Where a gofer keeps them, it learns of the file's end later.
    small.bytes.fill(0, 0, FLOCK.size);
    small.view.setInt16(FLOCK.type, TYPE.none, true);
    kernel.lockRange(holder.file.number, F.setOpenFileLock, small.address);
    holder.file.close();
  }

  /** The kernel has told of a descriptor of ours. @returns whether it was one. */
  ended(pidfd: number): boolean {
    const holder = this.#byPidfd.get(pidfd);
    if (holder !== undefined) this.#drop(holder);
    return holder !== undefined;
  }

  /** A process has closed an open file for good: with it go all its locks of the inode. */
  closed(file: HostFile): void {
    if (this.#byInode.size === 0 || file.opener === undefined || file.isLent) return;
    const holder = this.#byInode.get(inodeOf(file.fd))?.get(file.opener);
    if (holder !== undefined) this.#drop(holder);
  }
}

function mayLock({ flags }: HostFile, type: number): boolean {
  const mode = flags & O_ACCMODE;
  return type === TYPE.read ? mode !== O_WRONLY : type === TYPE.write ? mode !== O_RDONLY : true;
}

/** A position of the description's is none of the holder's file. */
function startFromPosition({ fd }: HostFile): void {
  small.view.setBigInt64(FLOCK.start, small.view.getBigInt64(FLOCK.start, true) + BigInt(kernel.seek(fd.number, 0, SEEK_CUR)), true);
  small.view.setInt16(FLOCK.whence, 0, true);
}
