/** Numbers of what sentry and gofer handle, as people know them. */
import { OP } from "../gofer/fuse/abi.ts";
import { trappedNumbers } from "../policies/syscalls/numbers.ts";

let calls: ReadonlyMap<number, string> | undefined;
let operations: ReadonlyMap<number, string> | undefined;

const inverse = (entries: Iterable<readonly [string, number]>): ReadonlyMap<number, string> => new Map([...entries].map(([name, number]) => [number, name]));

/** Of a system call that traps under some policy; `syscall_N` for others. */
export function callName(number: number): string {
  calls ??= inverse(Object.entries(trappedNumbers));
  return calls.get(number) ?? `syscall_${number}`;
}

/** Of a FUSE opcode, as in linux/fuse.h without FUSE_; `opcode N` where there is none. */
export function operationName(opcode: number): string {
  operations ??= inverse(Object.entries(OP));
  return operations.get(opcode) ?? `opcode ${opcode}`;
}
