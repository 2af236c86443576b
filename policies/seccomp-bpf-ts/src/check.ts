// Refuses what the kernel refuses: bpf_check_classic and check_load_and_stores (net/core/filter.c), then
// seccomp_check_filter (kernel/seccomp.c).
import type { Endian } from "./arch.ts";
import {
  CLASS_MASK,
  DATA_SIZE,
  MAX_INSTRUCTIONS,
  MEMORY_WORDS,
  OP_MASK,
  SOURCE_X,
  aluClass,
  aluNames,
  decodeProgram,
  jumpClass,
  jumpNames,
  opcode,
} from "./bpf.ts";
import type { Instruction } from "./bpf.ts";

export interface Refusal {
  /** Index of the offending instruction, or of the last when the program as a whole is wrong. */
  readonly at: number;
  readonly reason: string;
}

const plain = new Set<number>([
  opcode.ldImm,
  opcode.ldxImm,
  opcode.ldLen,
  opcode.ldxLen,
  opcode.tax,
  opcode.txa,
  opcode.neg,
  opcode.retK,
  opcode.retA,
]);

const memory = new Set<number>([opcode.ldMem, opcode.ldxMem, opcode.st, opcode.stx]);

const ALU_DIV = 0x30;
const ALU_LSH = 0x60;
const ALU_RSH = 0x70;

export const isAlu = (code: number): boolean =>
  (code & CLASS_MASK) === aluClass && (code & OP_MASK) in aluNames && (code & ~(OP_MASK | SOURCE_X | CLASS_MASK)) === 0;

export const isConditionalJump = (code: number): boolean =>
  (code & CLASS_MASK) === jumpClass &&
  (code & OP_MASK) in jumpNames &&
  (code & ~(OP_MASK | SOURCE_X | CLASS_MASK)) === 0;

function refuseAlu({ code, k }: Instruction): string | undefined {
  if ((code & SOURCE_X) !== 0) return undefined;
  const op = code & OP_MASK;
  if (op === ALU_DIV && k === 0) return "division by the constant 0";
  if ((op === ALU_LSH || op === ALU_RSH) && k >= 32) return `shift by ${k}`;
  return undefined;
}

function refuseInstruction(instruction: Instruction, after: number): string | undefined {
  const { code, jt, jf, k } = instruction;
  if (plain.has(code)) return undefined;
  if (code === opcode.ldAbs) {
    return k >= DATA_SIZE || k % 4 !== 0 ? `load at ${k}: not an aligned word of seccomp_data` : undefined;
  }
  if (memory.has(code)) return k >= MEMORY_WORDS ? `M[${k}] does not exist` : undefined;
  if (code === opcode.ja) return k >= after ? "jump past the end" : undefined;
  if (isConditionalJump(code)) return jt >= after || jf >= after ? "jump past the end" : undefined;
  if (isAlu(code)) return refuseAlu(instruction);
  return `opcode 0x${code.toString(16)} is not allowed in a seccomp filter`;
}

// Every path to a load from M[] must have stored there before. Jumps only lead forward, so one pass is enough; as in the
// kernel, what follows a jump and is no jump's target counts as having stored everything.
function findUnstoredLoad(instructions: readonly Instruction[]): Refusal | undefined {
  const all = 0xffff;
  const atTarget = instructions.map(() => all);
  const meet = (target: number, stored: number): void => {
    atTarget[target] = (atTarget[target] ?? all) & stored;
  };
  let stored = 0;
  for (const [at, { code, jt, jf, k }] of instructions.entries()) {
    stored &= atTarget[at] ?? all;
    if (code === opcode.st || code === opcode.stx) stored |= 1 << k;
    if ((code === opcode.ldMem || code === opcode.ldxMem) && (stored & (1 << k)) === 0) {
      return { at, reason: `M[${k}] may be read before it is stored` };
    }
    if (code === opcode.ja) {
      meet(at + 1 + k, stored);
      stored = all;
    } else if (isConditionalJump(code)) {
      meet(at + 1 + jt, stored);
      meet(at + 1 + jf, stored);
      stored = all;
    }
  }
  return undefined;
}

/**
 * Undefined when the kernel accepts the program, else the first reason why it answers EINVAL.
 *
 * @throws RangeError when the length is not a multiple of 8 bytes.
 */
export function check(program: Uint8Array, endian: Endian = "little"): Refusal | undefined {
  const instructions = decodeProgram(program, endian);
  const last = instructions.length - 1;
  if (last < 0) return { at: 0, reason: "the program is empty" };
  if (last >= MAX_INSTRUCTIONS) {
    return { at: last, reason: `${last + 1} instructions: the kernel takes at most ${MAX_INSTRUCTIONS}` };
  }
  for (const [at, instruction] of instructions.entries()) {
    const reason = refuseInstruction(instruction, last - at);
    if (reason !== undefined) return { at, reason };
  }
  const lastCode = instructions[last]?.code;
  if (lastCode !== opcode.retK && lastCode !== opcode.retA) return { at: last, reason: "the last instruction must return" };
  return findUnstoredLoad(instructions);
}
