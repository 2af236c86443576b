/** What a pidfd is good for besides signals (process.ts). Sources: pidfd_open(2), pidfd_getfd(2), waitid(2). */
import { SYS } from "./arch.ts";
import { EAGAIN, ECHILD, EINVAL } from "./abi/errno.ts";
import { POLLIN } from "./abi/poll.ts";
import * as wait from "./abi/wait.ts";
import { check } from "./errors.ts";
import { Fd, fdNumber, type FdLike } from "./fd.ts";
import { scratch } from "./memory.unsafe.ts";
import { poll } from "./poll.ts";
import type { ExitStatus } from "./process.ts";
import { retrying, syscall } from "./syscall.unsafe.ts";

/**
 * A copy, close-on-exec, of descriptor `number` of the process.
 * @throws SysError EBADF where it has none, EPERM without PTRACE_MODE_ATTACH_REALCREDS over it, ESRCH
 */
export function pidfdGetFd(pidfd: FdLike, number: number): Fd {
  return new Fd(check(syscall(SYS.pidfd_getfd, fdNumber(pidfd), number, 0), "pidfd_getfd", String(number)));
}

/** Waits until the process, anybody's, has ended. @param timeoutMs Infinity for ever. @returns whether it has. */
export function awaitExit(pidfd: FdLike, timeoutMs: number): boolean {
  return poll([{ fd: pidfd, events: POLLIN }], timeoutMs)[0] !== 0;
}

/** Reaps the child that has ended. @returns undefined where it is no child of ours, has been reaped, or has not ended. */
export function reapPidfd(pidfd: FdLike): ExitStatus | undefined {
  using s = scratch();
  const info = s.reserve(wait.SIGINFO_SIZE);
  const result = retrying(SYS.waitid, wait.P_PIDFD, fdNumber(pidfd), info.address, wait.WEXITED | wait.WNOHANG, 0);
  if (result === -ECHILD || result === -EAGAIN) return undefined;
  check(result, "waitid");
  if (info.view.getInt32(wait.SI_PID_OFFSET, true) === 0) return undefined;
  const status = info.view.getInt32(wait.SI_STATUS_OFFSET, true);
  const exited = info.view.getInt32(wait.SI_CODE_OFFSET, true) === wait.CLD_EXITED;
  return exited ? { kind: "exited", code: status } : { kind: "signaled", signal: status };
}

/** A descriptor of a thread, readable when it has ended; of its process on kernels before 6.9. @returns undefined where it is gone. */
export function openThread(id: number): Fd | undefined {
  const PIDFD_THREAD = 0o200;
  const thread = syscall(SYS.pidfd_open, id, PIDFD_THREAD);
  const result = thread === -EINVAL ? syscall(SYS.pidfd_open, id, 0) : thread;
  return result < 0 ? undefined : new Fd(result);
}
