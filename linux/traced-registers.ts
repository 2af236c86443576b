/** The registers of a stopped task, with which it makes calls that are not its own. Source: ptrace(2), PTRACE_GETREGS, PTRACE_SETSIGMASK. */
import { SYS } from "./arch.ts";
import * as pt from "./abi/ptrace.ts";
import { permanentBlock } from "./memory.unsafe.ts";
import { syscall } from "./syscall.unsafe.ts";

const { arg0, arg1, arg2, arg3, arg4, arg5, ip: IP, sp: SP, size: SIZE } = pt.CALL_REGISTERS;
const ARGUMENTS = [arg0, arg1, arg2, arg3, arg4, arg5] as const;
const { ax: AX, originalAx: ORIGINAL_AX } = pt.REGISTERS;
/** Of the instruction `syscall`. */
const INSTRUCTION = 2;
const MASK_SIZE = 8;
const ALL_SIGNALS = 0xffff_ffff_ffff_ffffn;

const working = permanentBlock(SIZE);
const info = permanentBlock(pt.SYSCALL_INFO.size);
const mask = permanentBlock(MASK_SIZE);

/** A copy of a task's registers. */
export type Registers = Uint8Array;

/** @returns undefined where the task is gone, or not stopped. */
export function readRegisters(pid: number): Registers | undefined {
  return syscall(SYS.ptrace, pt.PTRACE_GETREGS, pid, 0, working.address) < 0 ? undefined : working.bytes.slice();
}

/** Where its stack ends. */
export const stackPointer = (registers: Registers): number => Number(new DataView(registers.buffer, registers.byteOffset).getBigUint64(SP, true));

export interface Change {
  /** RAX: a call's result, or where it is to be made (again), its number. */
  readonly ax?: number | bigint;
  /** The number of the call that is going on: -1 for none, after which nothing is restarted. */
  readonly originalAx?: number;
  readonly args?: readonly number[];
  /** The instruction `syscall`, behind which the task is, is run again. */
  readonly again?: boolean;
}

/** Gives the task these registers, but for what is changed. @returns 0 or the negative errno. */
export function writeRegisters(pid: number, registers: Registers, { ax, originalAx, args = [], again = false }: Change): number {
  working.bytes.set(registers);
  const { view } = working;
  if (ax !== undefined) view.setBigInt64(AX, BigInt(ax), true);
  if (originalAx !== undefined) view.setBigInt64(ORIGINAL_AX, BigInt(originalAx), true);
  for (const [i, value] of args.entries()) view.setBigInt64(ARGUMENTS[i] ?? 0, BigInt(value), true);
  if (again) view.setBigUint64(IP, view.getBigUint64(IP, true) - BigInt(INSTRUCTION), true);
  return syscall(SYS.ptrace, pt.PTRACE_SETREGS, pid, 0, working.address);
}

/** What the call that a task is stopped behind returns; undefined where it is at another stop. */
export function resultOfCall(pid: number): number | undefined {
  const size = syscall(SYS.ptrace, pt.PTRACE_GET_SYSCALL_INFO, pid, pt.SYSCALL_INFO.size, info.address);
  const isBehind = size > 0 && info.view.getUint8(pt.SYSCALL_INFO.op) === pt.PTRACE_SYSCALL_INFO_EXIT;
  return isBehind ? Number(info.view.getBigInt64(pt.SYSCALL_INFO.result, true)) : undefined;
}

/** Blocks all signals. @returns what was blocked before; undefined where the task is gone. */
export function holdSignals(pid: number): bigint | undefined {
  if (syscall(SYS.ptrace, pt.PTRACE_GETSIGMASK, pid, MASK_SIZE, mask.address) < 0) return undefined;
  const before = mask.view.getBigUint64(0, true);
  setBlockedSignals(pid, ALL_SIGNALS);
  return before;
}

export function setBlockedSignals(pid: number, signals: bigint): void {
  mask.view.setBigUint64(0, signals, true);
  syscall(SYS.ptrace, pt.PTRACE_SETSIGMASK, pid, MASK_SIZE, mask.address);
}
