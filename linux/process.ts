/** Processes: waiting, signalling, pidfds, identity of the calling task. Sources: the man page named like each function. */
import { SYS } from "./arch.ts";
import { ECHILD, ESRCH } from "./abi/errno.ts";
import { check } from "./errors.ts";
import { Fd, fdNumber, type FdLike } from "./fd.ts";
import { scratch } from "./memory.unsafe.ts";
import { retrying, syscall } from "./syscall.unsafe.ts";

/** How a process ended. */
export type ExitStatus = { readonly kind: "exited"; readonly code: number } | { readonly kind: "signaled"; readonly signal: number };

const WNOHANG = 1;

/** The exit code that a shell would report: 128 + n for signal n. */
export function shellCode(status: ExitStatus): number {
  return status.kind === "exited" ? status.code : 128 + status.signal;
}

/** Waits for child `pid` (-1: any). @returns undefined where there is no such child. @throws SysError */
export function waitPid(pid: number): { pid: number; status: ExitStatus } | undefined {
  return wait4(pid, 0);
}

/** The same without blocking; undefined also where no child has ended yet. */
export function tryWaitPid(pid: number): { pid: number; status: ExitStatus } | undefined {
  return wait4(pid, WNOHANG);
}

/** Reaps all children that have ended. @returns whether there are no others. */
export function reapChildren(): boolean {
  for (;;) {
    const reaped = retrying(SYS.wait4, -1, 0, WNOHANG, 0);
    if (reaped === -ECHILD) return true;
    if (check(reaped, "wait4") === 0) return false;
  }
}

function wait4(pid: number, options: number): { pid: number; status: ExitStatus } | undefined {
  using s = scratch();
  const word = s.reserve(8);
  const reaped = retrying(SYS.wait4, pid, word.address, options, 0);
  if (reaped === 0 || reaped === -ECHILD) return undefined;
  check(reaped, "wait4");
  return { pid: reaped, status: decodeWaitStatus(word.view.getInt32(0, true)) };
}

function decodeWaitStatus(word: number): ExitStatus {
  const signal = word & 0x7f;
  return signal === 0 ? { kind: "exited", code: (word >> 8) & 0xff } : { kind: "signaled", signal };
}

/**
 * kill(2). @param pid negative: a process group. @returns false where there is no such process. @throws SysError on any other refusal; RangeError for 0,
 * which would be the caller's own group: a pid that nobody has filled in.
 */
export function kill(pid: number, signal: number): boolean {
  if (pid === 0) throw new RangeError("kill(2) of pid 0");
  const result = syscall(SYS.kill, pid, signal);
  if (result === -ESRCH) return false;
  check(result, "kill", String(pid));
  return true;
}

/** Has the directory be the caller's root and its working directory. Source: chroot(2). @throws SysError */
export function changeRoot(directory: FdLike): void {
  changeDirectoryTo(directory);
  using s = scratch();
  check(syscall(SYS.chroot, s.cstr(".")), "chroot");
}

/** tgkill(2): a signal to one thread. @returns whether it was there. @throws SysError */
export function killThread(process: number, thread: number, signal: number): boolean {
  const result = syscall(SYS.tgkill, process, thread, signal);
  if (result === -ESRCH) return false;
  check(result, "tgkill");
  return true;
}

/** @throws SysError ESRCH where the process is gone. */
export function pidfdOpen(pid: number): Fd {
  return new Fd(check(syscall(SYS.pidfd_open, pid, 0), "pidfd_open", String(pid)));
}

/** @returns false where the process is gone. */
export function pidfdSendSignal(pidfd: FdLike, signal: number): boolean {
  const result = syscall(SYS.pidfd_send_signal, fdNumber(pidfd), signal, 0, 0);
  if (result === -ESRCH) return false;
  check(result, "pidfd_send_signal");
  return true;
}

export function getPid(): number {
  return syscall(SYS.getpid);
}

export function getParentPid(): number {
  return syscall(SYS.getppid);
}

/** Ends this process at once: no exit handlers, no flushing. Source: exit_group(2). */
export function exitNow(code: number): never {
  syscall(SYS.exit_group, code);
  throw new Error("exit_group returned");
}

export function newSession(): void {
  check(syscall(SYS.setsid), "setsid");
}

export function changeDirectory(path: string): void {
  using s = scratch();
  check(syscall(SYS.chdir, s.cstr(path)), "chdir", path);
}

export function changeDirectoryTo(fd: FdLike): void {
  check(syscall(SYS.fchdir, fdNumber(fd)), "fchdir");
}

/** @returns the mask before. */
export function setUmask(mask: number): number {
  return syscall(SYS.umask, mask);
}

/** personality(2); `persona` is PER_LINUX (0), PER_LINUX32 (8), with flags. */
export function setPersonality(persona: number): void {
  check(syscall(SYS.personality, persona), "personality");
}

/** setrlimit(2) by prlimit64: limits as 64-bit values, RLIM_INFINITY is 2^64 - 1. */
export function setResourceLimit(resource: number, soft: bigint, hard: bigint, name: string, pid = 0): void {
  using s = scratch();
  const limit = s.reserve(16);
  limit.view.setBigUint64(0, soft, true);
  limit.view.setBigUint64(8, hard, true);
  check(syscall(SYS.prlimit64, pid, resource, limit.address, 0), "prlimit64", name);
}

export function getResourceLimit(resource: number, pid = 0): { readonly soft: bigint; readonly hard: bigint } {
  using s = scratch();
  const limit = s.reserve(16);
  check(syscall(SYS.prlimit64, pid, resource, 0, limit.address), "prlimit64", String(resource));
  return { soft: limit.view.getBigUint64(0, true), hard: limit.view.getBigUint64(8, true) };
}
