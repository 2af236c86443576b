/** seccomp(2). */
import { SYS } from "./arch.ts";
import { check } from "./errors.ts";
import { scratch } from "./memory.unsafe.ts";
import { syscall } from "./syscall.unsafe.ts";

export const SECCOMP_SET_MODE_FILTER = 1;
const INSTRUCTION_SIZE = 8;

/** For all threads of the process; ESRCH, or a thread's id, where one has filters that the caller has not. */
export const SECCOMP_FILTER_FLAG_TSYNC = 1;
/** The result is a descriptor that tells of calls. */
export const SECCOMP_FILTER_FLAG_NEW_LISTENER = 8;
/** Only a fatal signal interrupts a call that the listener has received. */
export const SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 32;

/**
 * Loads a filter for the calling task; it needs no_new_privs or CAP_SYS_ADMIN.
 * @param program struct sock_filter[], 8 bytes each.
 * @param flags SECCOMP_FILTER_FLAG_*.
 * @returns the listener's descriptor with SECCOMP_FILTER_FLAG_NEW_LISTENER, else 0.
 */
export function setSeccompFilter(program: Uint8Array, flags: number): number {
  using s = scratch();
  return check(syscall(SYS.seccomp, SECCOMP_SET_MODE_FILTER, flags, s.copy(filterProgram(program.length, s.copy(program)))), "seccomp");
}

/** struct sock_fprog. @param size of the filter, in bytes. @param address where it is. */
export function filterProgram(size: number, address: number): Uint8Array {
  const program = new DataView(new ArrayBuffer(16));
  program.setUint16(0, size / INSTRUCTION_SIZE, true);
  program.setBigUint64(8, BigInt(address), true);
  return new Uint8Array(program.buffer);
}
