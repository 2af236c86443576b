/** Advisory locks on whole files. Source: flock(2). */
import { SYS } from "./arch.ts";
import { EAGAIN } from "./abi/errno.ts";
import { LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN } from "./abi/flock.ts";
import { check } from "./errors.ts";
import { fdNumber, type FdLike } from "./fd.ts";
import { retrying } from "./syscall.unsafe.ts";

export type LockKind = "shared" | "exclusive";

const OPERATION: Record<LockKind, number> = { shared: LOCK_SH, exclusive: LOCK_EX };

/**
 * Locks the open file description of `fd`: duplicates and forked children share the lock, and it ends when the last of them is closed.
 * Taking the other kind while holding one is not atomic. O_PATH descriptors are refused.
 * @param wait whether to block until the lock is free.
 * @returns false where it would have blocked.
 * @throws SysError EBADF, ENOLCK
 */
export function lockFile(fd: FdLike, kind: LockKind, wait: boolean): boolean {
  const result = retrying(SYS.flock, fdNumber(fd), OPERATION[kind] | (wait ? 0 : LOCK_NB));
  if (result === -EAGAIN) return false;
  check(result, "flock");
  return true;
}

export function unlockFile(fd: FdLike): void {
  check(retrying(SYS.flock, fdNumber(fd), LOCK_UN), "flock");
}
