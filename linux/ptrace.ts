/** Looking into another task, by the part of ptrace(2) that does not make its own signals. */
import { SYS } from "./arch.ts";
import { EINVAL, ENOENT, ESRCH } from "./abi/errno.ts";
import * as pt from "./abi/ptrace.ts";
import { __WALL } from "./abi/wait.ts";
import { check, SysError } from "./errors.ts";
import { scratch } from "./memory.unsafe.ts";
import { retrying, syscall } from "./syscall.unsafe.ts";

/** A task in ptrace-stop; disposing of it lets the task go on, with the signal it was about to receive. */
export class StoppedTask implements Disposable {
  readonly pid: number;
  readonly #signal: number;

  /** @param signal what the stop has held back; 0 for nothing. */
  constructor(pid: number, signal: number) {
    this.pid = pid;
    this.#signal = signal;
  }

  [Symbol.dispose](): void {
    syscall(SYS.ptrace, pt.PTRACE_DETACH, this.pid, 0, this.#signal);
  }
}

/**
 * Attaches to the task and waits until it has stopped; no SIGSTOP is sent.
 * @throws SysError EPERM where it may not be traced or has a tracer, ESRCH where it is gone or ends meanwhile.
 */
export function stopTask(pid: number): StoppedTask {
  check(syscall(SYS.ptrace, pt.PTRACE_SEIZE, pid, 0, 0), "ptrace", `PTRACE_SEIZE ${pid}`);
  check(syscall(SYS.ptrace, pt.PTRACE_INTERRUPT, pid, 0, 0), "ptrace", `PTRACE_INTERRUPT ${pid}`);
  using s = scratch();
  const word = s.reserve(8);
  check(retrying(SYS.wait4, pid, word.address, __WALL, 0), "wait4", String(pid));
  const status = word.view.getInt32(0, true);
  if ((status & 0xff) !== 0x7f) throw new SysError({ syscall: "ptrace", errno: ESRCH, path: String(pid), hint: "the task has ended" });
  const event = status >> 16;
  return new StoppedTask(pid, event === pt.PTRACE_EVENT_STOP ? 0 : (status >> 8) & 0xff);
}

/**
 * One of the task's seccomp filters as it was loaded: struct sock_filter[].
 * @param index 0 for the one loaded first.
 * @returns undefined past the last.
 * @throws SysError EACCES without CAP_SYS_ADMIN in the initial user namespace, or where the caller itself is under seccomp; EIO on a
 * kernel without CONFIG_CHECKPOINT_RESTORE.
 */
export function seccompFilter(task: StoppedTask, index: number): Uint8Array | undefined {
  const what = `PTRACE_SECCOMP_GET_FILTER ${task.pid}`;
  const length = syscall(SYS.ptrace, pt.PTRACE_SECCOMP_GET_FILTER, task.pid, index, 0);
  // EINVAL is the answer for a task without any filter. Source: Linux kernel/seccomp.c, get_nth_filter.
  if (length === -ENOENT || length === -EINVAL) return undefined;
  using s = scratch();
  const program = s.reserve(check(length, "ptrace", what) * pt.SOCK_FILTER_SIZE);
  check(syscall(SYS.ptrace, pt.PTRACE_SECCOMP_GET_FILTER, task.pid, index, program.address), "ptrace", what);
  return program.bytes.slice();
}

/** SECCOMP_FILTER_FLAG_* of filter `index`; the kernel tells SECCOMP_FILTER_FLAG_LOG only. @returns undefined past the last. */
export function seccompFilterFlags(task: StoppedTask, index: number): number | undefined {
  using s = scratch();
  const metadata = s.reserve(pt.SECCOMP_METADATA_SIZE);
  metadata.view.setBigUint64(0, BigInt(index), true);
  const result = syscall(SYS.ptrace, pt.PTRACE_SECCOMP_GET_METADATA, task.pid, metadata.size, metadata.address);
  if (result === -ENOENT || result === -EINVAL) return undefined;
  check(result, "ptrace", `PTRACE_SECCOMP_GET_METADATA ${task.pid}`);
  return Number(metadata.view.getBigUint64(8, true));
}

/** All filters of a running task, in the order in which they were loaded; it is stopped meanwhile. @throws as `stopTask`, `seccompFilter`. */
export function seccompFilters(pid: number): Uint8Array[] {
  using task = stopTask(pid);
  const filters: Uint8Array[] = [];
  for (;;) {
    const filter = seccompFilter(task, filters.length);
    if (filter === undefined) return filters;
    filters.push(filter);
  }
}
