/**
 * Locks that belong to an open file description, for ranges of bytes and for whole files, without waiting and without allocation.
 * Sources: fcntl(2) "Open file description locks", flock(2).
 */
import { SYS } from "./arch.ts";
import { permanentBlock } from "./memory.unsafe.ts";
import { syscall } from "./syscall.unsafe.ts";

const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;
const LOCK_NB = 4;
/** struct flock. */
const FLOCK = { type: 0, whence: 2, start: 8, length: 16, pid: 24, size: 32 } as const;
const WORD = 0x1_0000_0000;
const block = permanentBlock(FLOCK.size);

export const LOCK_TYPE = { read: 0, write: 1, none: 2 } as const;

/** What stands in the way of a lock. `length` 0: to the end of the file. `pid` is -1 for a lock of an open file description. */
export interface Conflict {
  type: number;
  start: number;
  length: number;
  pid: number;
}

function put(type: number, start: number, length: number): void {
  block.bytes.fill(0);
  block.view.setInt16(FLOCK.type, type, true);
  putWide(FLOCK.start, start);
  putWide(FLOCK.length, length);
}

function putWide(offset: number, value: number): void {
  block.view.setUint32(offset, value % WORD, true);
  block.view.setUint32(offset + 4, Math.floor(value / WORD), true);
}

function wide(offset: number): number {
  return block.view.getUint32(offset, true) + block.view.getUint32(offset + 4, true) * WORD;
}

/** @param length 0 to the end of the file. @returns 0, -EAGAIN where somebody else has it, or another negative errno. */
export function tryLockRange(fd: number, type: number, start: number, length: number): number {
  put(type, start, length);
  return syscall(SYS.fcntl, fd, F_OFD_SETLK, block.address);
}

/** Puts what would stand in the way into `out`; its type is LOCK_TYPE.none where nothing would. */
export function tryFindConflict(fd: number, type: number, start: number, length: number, out: Conflict): number {
  put(type, start, length);
  const result = syscall(SYS.fcntl, fd, F_OFD_GETLK, block.address);
  out.type = block.view.getInt16(FLOCK.type, true);
  out.start = wide(FLOCK.start);
  out.length = wide(FLOCK.length);
  out.pid = block.view.getInt32(FLOCK.pid, true);
  return result;
}

/** flock(2). @param operation LOCK_SH (1), LOCK_EX (2), LOCK_UN (8). */
export function tryLockFile(fd: number, operation: number): number {
  return syscall(SYS.flock, fd, operation | LOCK_NB);
}
