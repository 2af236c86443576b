/** prctl(2), one function an operation. Source: Linux include/uapi/linux/prctl.h. */
import { SYS } from "./arch.ts";
import { check } from "./errors.ts";
import { syscall } from "./syscall.unsafe.ts";

function prctl(option: number, name: string, a = 0, b = 0): number {
  return check(syscall(SYS.prctl, option, a, b, 0, 0), "prctl", name);
}

/** The signal this process gets when its parent ends; 0 for none. */
export function setParentDeathSignal(signal: number): void {
  prctl(1, "PR_SET_PDEATHSIG", signal);
}

/** While not dumpable, a process's memory and /proc/PID/exe are closed to others of the same user. */
export function setDumpable(on: boolean): void {
  prctl(4, "PR_SET_DUMPABLE", on ? 1 : 0);
}

/** Keeps permitted capabilities across a change from uid 0 to another. */
export function setKeepCapabilities(on: boolean): void {
  prctl(8, "PR_SET_KEEPCAPS", on ? 1 : 0);
}

/** @returns false where the kernel does not know the capability. */
export function dropFromBoundingSet(capability: number): boolean {
  return syscall(SYS.prctl, 24, capability, 0, 0, 0) >= 0;
}

export function setChildSubreaper(on: boolean): void {
  prctl(36, "PR_SET_CHILD_SUBREAPER", on ? 1 : 0);
}

export function setNoNewPrivileges(): void {
  prctl(38, "PR_SET_NO_NEW_PRIVS", 1);
}

/**
 * Gives this process, all its threads and what it forks from now on a cookie: an SMT sibling of theirs never runs anybody else at the same time. Source: Linux
 * Documentation/admin-guide/hw-vuln/core-scheduling.rst. @throws SysError EINVAL where the kernel has no core scheduling, ENODEV where the processor has no SMT.
 */
export function createCoreCookie(): void {
  const [CREATE, OWN, THREAD_GROUP] = [1, 0, 1];
  check(syscall(SYS.prctl, 62, CREATE, OWN, THREAD_GROUP, 0), "prctl", "PR_SCHED_CORE");
}

const PR_CAP_AMBIENT = 47;

export function clearAmbientCapabilities(): void {
  prctl(PR_CAP_AMBIENT, "PR_CAP_AMBIENT_CLEAR_ALL", 4);
}

/** @returns the negative errno where it is refused: EPERM unless the capability is both permitted and inheritable. */
export function tryRaiseAmbient(capability: number): number {
  return syscall(SYS.prctl, PR_CAP_AMBIENT, 2, capability, 0, 0);
}
