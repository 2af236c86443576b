/** Numbers of what sentry and gofer handle, as people know them. */
import { syscallTable } from "seccomp-bpf-ts";
import { OP } from "../gofer/fuse/abi.ts";

let calls: ReadonlyMap<number, string> | undefined;
let operations: ReadonlyMap<number, string> | undefined;

const inverse = (entries: Iterable<readonly [string, number]>): ReadonlyMap<number, string> => new Map([...entries].map(([name, number]) => [number, name]));

/** Of a system call of x86-64; `syscall_N` where there is none. */
export function callName(number: number): string {
  calls ??= inverse(syscallTable("x86_64"));
  return calls.get(number) ?? `syscall_${number}`;
}

/** Of a FUSE opcode, as in linux/fuse.h without FUSE_; `opcode N` where there is none. */
export function operationName(opcode: number): string {
  operations ??= inverse(Object.entries(OP));
  return operations.get(opcode) ?? `opcode ${opcode}`;
}
