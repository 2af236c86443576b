// seccomp(2) SECCOMP_SET_MODE_FILTER. This package makes no system call itself: the caller supplies a SeccompPort.
import type { Endian } from "./arch.ts";
import { check } from "./check.ts";

/**
 * The door to the kernel, in whatever process the port's calls are made:
 * - `seccomp` is the raw syscall seccomp(operation, flags, args) on the calling thread. `args` is passed as a pointer to
 *   the bytes, which must not move during the call. It returns the call's result or the negative errno; no throw.
 * - `withMemory` puts a copy of `bytes` where it does not move, calls `use` with its address, frees it when `use` has
 *   returned or thrown, and returns what `use` returned.
 */
export interface SeccompPort {
  /** Bytes of a pointer. */
  readonly pointerSize: 4 | 8;
  readonly endian: Endian;
  seccomp(operation: number, flags: number, args: Uint8Array): number;
  withMemory<T>(bytes: Uint8Array, use: (address: bigint) => T): T;
}

export interface LoadFlags {
  /** Put the filter on all threads of the process (since Linux 3.17). */
  tsync?: boolean;
  /** Log every action except allow (4.14). */
  log?: boolean;
  /** Leave speculative store bypass enabled (4.17). */
  specAllow?: boolean;
  /** Return a descriptor on which notify actions are received (5.0). It is close-on-exec. */
  newListener?: boolean;
  /** With tsync: fail with ESRCH instead of returning a thread id (5.7). Needed for tsync with newListener. */
  tsyncEsrch?: boolean;
  /** With newListener: once received, a notification is only interrupted by fatal signals (6.0). */
  waitKillableRecv?: boolean;
}

/** include/uapi/linux/seccomp.h SECCOMP_FILTER_FLAG_*. */
const flagBits: Record<keyof LoadFlags, number> = {
  tsync: 1,
  log: 2,
  specAllow: 4,
  newListener: 8,
  tsyncEsrch: 16,
  waitKillableRecv: 32,
};

const SET_MODE_FILTER = 1;
const GET_ACTION_AVAIL = 2;

export class LoadError extends Error {
  /** 0 when the kernel was not asked, or when tsync failed for a thread. */
  readonly errno: number;

  constructor(errno: number, reason: string) {
    super(reason);
    this.name = "LoadError";
    this.errno = errno;
  }
}

const reasons: Record<number, string> = {
  3: "ESRCH: another thread has a filter that this one does not extend, or is in strict mode",
  12: "ENOMEM: the task's filters together exceed 32768 instructions, each counting 4 more",
  13: "EACCES: no_new_privs is not set and the task has no CAP_SYS_ADMIN in its user namespace",
  14: "EFAULT: the port's address cannot be read",
  16: "EBUSY: an earlier filter has a notification listener already",
  22: "EINVAL: the kernel does not know one of the flags, or the task is in strict mode",
  38: "ENOSYS: the kernel has no seccomp(2)",
};

/** struct sock_fprog: the number of instructions and a pointer to them. */
export function encodeFprog(length: number, address: bigint, pointerSize: 4 | 8, endian: Endian): Uint8Array {
  const bytes = new Uint8Array(2 * pointerSize);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, length, endian === "little");
  if (pointerSize === 8) view.setBigUint64(8, address, endian === "little");
  else view.setUint32(4, Number(address), endian === "little");
  return bytes;
}

/** @throws LoadError when flags contradict each other: the kernel would only say EINVAL. */
export function encodeFlags(flags: LoadFlags): number {
  if (flags.tsync === true && flags.newListener === true && flags.tsyncEsrch !== true) {
    throw new LoadError(0, "tsync with newListener needs tsyncEsrch: a descriptor and a thread id look alike");
  }
  if (flags.waitKillableRecv === true && flags.newListener !== true) {
    throw new LoadError(0, "waitKillableRecv needs newListener");
  }
  const names = Object.keys(flagBits) as (keyof LoadFlags)[];
  return names.reduce((bits, name) => (flags[name] === true ? bits | flagBits[name] : bits), 0);
}

/**
 * Loads a program on the calling thread, for good: a filter cannot be removed and is inherited by fork and execve.
 *
 * Preconditions: no_new_privs is set, or the thread has CAP_SYS_ADMIN in its user namespace.
 *
 * @returns the listener's descriptor with `newListener`, else undefined.
 * @throws LoadError when the program or the flags are wrong, or the kernel refuses them; then no filter was added.
 */
export function load(program: Uint8Array, flags: LoadFlags, port: SeccompPort): number | undefined {
  const refusal = check(program, port.endian);
  if (refusal !== undefined) throw new LoadError(0, `instruction ${refusal.at}: ${refusal.reason}`);
  const bits = encodeFlags(flags);
  const result = port.withMemory(program, (address) => {
    const fprog = encodeFprog(program.length / 8, address, port.pointerSize, port.endian);
    return port.seccomp(SET_MODE_FILTER, bits, fprog);
  });
  if (result < 0) throw new LoadError(-result, reasons[-result] ?? `errno ${-result}`);
  if (flags.newListener === true) return result;
  if (result > 0) throw new LoadError(0, `tsync: thread ${result} could not take over the filter`);
  return undefined;
}

/** Whether the kernel knows an action, given as the value a filter returns (encodeVerdict). Since Linux 4.14. */
export function actionAvailable(value: number, port: SeccompPort): boolean {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value & 0xffff_0000, port.endian === "little");
  return port.seccomp(GET_ACTION_AVAIL, 0, bytes) === 0;
}
