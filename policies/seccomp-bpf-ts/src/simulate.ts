// Runs a filter as the kernel does. Arithmetic is unsigned and 32 bits wide; division by an X of 0 ends the filter with
// 0, which is kill-thread; a shift by X uses X's lower five bits (net/core/filter.c bpf_convert_filter).
import { actionRank, decodeVerdict } from "./action.ts";
import type { Verdict } from "./action.ts";
import { archs } from "./arch.ts";
import type { ArchName, Endian } from "./arch.ts";
import {
  CLASS_MASK,
  DATA_SIZE,
  MEMORY_WORDS,
  OFFSET_ARCH,
  OFFSET_NR,
  OP_MASK,
  SOURCE_X,
  argOffset,
  decodeProgram,
  jumpClass,
  opcode,
} from "./bpf.ts";
import type { Instruction } from "./bpf.ts";
import { check } from "./check.ts";

/** A syscall as a filter sees it. */
export interface Call {
  /** An ABI, which also decides the byte order, or an AUDIT_ARCH value of a little-endian machine. */
  readonly arch: ArchName | number;
  /** The number as in the register; x32's carry bit 30. */
  readonly nr: number;
  /** Up to six, taken modulo 2^64; absent ones are 0. */
  readonly args?: readonly (bigint | number)[];
  /** Instruction pointer. */
  readonly ip?: bigint | number;
}

export interface Run extends Verdict {
  /** The value returned. */
  readonly value: number;
  /** Indexes of the instructions executed, in order. */
  readonly trace: readonly number[];
}

export function callEndian(call: Call): Endian {
  return typeof call.arch === "number" ? "little" : archs[call.arch].endian;
}

export function callAudit(call: Call): number {
  return typeof call.arch === "number" ? call.arch >>> 0 : archs[call.arch].audit;
}

/** struct seccomp_data, as words indexed by offset / 4: what a filter can load. */
export function dataWords(call: Call): Uint32Array {
  const words = new Uint32Array(DATA_SIZE / 4);
  const endian = callEndian(call);
  words[OFFSET_NR / 4] = call.nr;
  words[OFFSET_ARCH / 4] = callAudit(call);
  for (const [index, value] of [call.ip ?? 0, ...(call.args ?? [])].slice(0, 7).entries()) {
    const wide = BigInt.asUintN(64, BigInt(value));
    // The instruction pointer lies where argument -1 would.
    words[argOffset(index - 1, "low", endian) / 4] = Number(wide & 0xffff_ffffn);
    words[argOffset(index - 1, "high", endian) / 4] = Number(wide >> 32n);
  }
  return words;
}

function alu(op: number, a: number, operand: number): number | undefined {
  switch (op) {
    case 0x00:
      return a + operand;
    case 0x10:
      return a - operand;
    case 0x20:
      return Math.imul(a, operand);
    case 0x30:
      return operand === 0 ? undefined : Math.trunc(a / operand);
    case 0x40:
      return a | operand;
    case 0x50:
      return a & operand;
    case 0x60:
      return a << (operand & 31);
    case 0x70:
      return a >>> (operand & 31);
    case 0xa0:
      return a ^ operand;
    default:
      throw new RangeError(`ALU operation 0x${op.toString(16)}`);
  }
}

function holds(op: number, a: number, operand: number): boolean {
  switch (op) {
    case 0x10:
      return a === operand;
    case 0x20:
      return a > operand;
    case 0x30:
      return a >= operand;
    case 0x40:
      return (a & operand) !== 0;
    default:
      throw new RangeError(`jump operation 0x${op.toString(16)}`);
  }
}

interface Machine {
  a: number;
  x: number;
  pc: number;
  readonly memory: Uint32Array;
  readonly data: Uint32Array;
}

// One instruction; a number when the filter returns.
function step(machine: Machine, { code, jt, jf, k }: Instruction): number | undefined {
  machine.pc++;
  const operand = (code & SOURCE_X) === 0 ? k : machine.x;
  switch (code) {
    case opcode.ldAbs:
      machine.a = machine.data[k / 4] ?? 0;
      return undefined;
    case opcode.ldImm:
      machine.a = k;
      return undefined;
    case opcode.ldxImm:
      machine.x = k;
      return undefined;
    case opcode.ldLen:
      machine.a = DATA_SIZE;
      return undefined;
    case opcode.ldxLen:
      machine.x = DATA_SIZE;
      return undefined;
    case opcode.ldMem:
      machine.a = machine.memory[k] ?? 0;
      return undefined;
    case opcode.ldxMem:
      machine.x = machine.memory[k] ?? 0;
      return undefined;
    case opcode.st:
      machine.memory[k] = machine.a;
      return undefined;
    case opcode.stx:
      machine.memory[k] = machine.x;
      return undefined;
    case opcode.tax:
      machine.x = machine.a;
      return undefined;
    case opcode.txa:
      machine.a = machine.x;
      return undefined;
    case opcode.neg:
      machine.a = -machine.a >>> 0;
      return undefined;
    case opcode.retK:
      return k;
    case opcode.retA:
      return machine.a;
    case opcode.ja:
      machine.pc += k;
      return undefined;
    default:
      break;
  }
  const op = code & OP_MASK;
  if ((code & CLASS_MASK) === jumpClass) {
    machine.pc += holds(op, machine.a, operand) ? jt : jf;
    return undefined;
  }
  const result = alu(op, machine.a, operand);
  if (result === undefined) return 0;
  machine.a = result >>> 0;
  return undefined;
}

function run(instructions: readonly Instruction[], call: Call): Run {
  const machine: Machine = { a: 0, x: 0, pc: 0, memory: new Uint32Array(MEMORY_WORDS), data: dataWords(call) };
  const trace: number[] = [];
  for (;;) {
    const instruction = instructions[machine.pc];
    if (instruction === undefined) throw new RangeError(`no instruction at ${machine.pc}`);
    trace.push(machine.pc);
    const value = step(machine, instruction);
    if (value !== undefined) return { ...decodeVerdict(value), value, trace };
  }
}

/**
 * A function that runs one program on many calls.
 *
 * @throws RangeError when the kernel would refuse the program.
 */
export function simulator(program: Uint8Array, endian: Endian = "little"): (call: Call) => Run {
  const refusal = check(program, endian);
  if (refusal !== undefined) throw new RangeError(`instruction ${refusal.at}: ${refusal.reason}`);
  const instructions = decodeProgram(program, endian);
  return (call) => run(instructions, call);
}

/** Runs a program on one call. @throws RangeError when the kernel would refuse the program. */
export function simulate(program: Uint8Array, call: Call): Run {
  return simulator(program, callEndian(call))(call);
}

/**
 * Several filters on one task, in the order they were loaded. All run; the most restrictive action wins, and of equal
 * actions the data of the filter loaded last (kernel/seccomp.c seccomp_run_filters). No filter: allow.
 */
export function simulateStack(programs: readonly Uint8Array[], call: Call): Run {
  let winner: Run = { action: "allow", data: 0, value: 0x7fff_0000, trace: [] };
  for (const program of programs.toReversed()) {
    const result = simulate(program, call);
    if (actionRank(result.value) < actionRank(winner.value)) winner = result;
  }
  return winner;
}
