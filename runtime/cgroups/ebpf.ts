/**
 * An assembler for the few eBPF instructions that a device program needs.
 * Source: Documentation/bpf/standardization/instruction-set.rst.
 */

/** Registers: 0 is the result, 1 the context at entry. */
export type Register = 0 | 1 | 2 | 3 | 4 | 5;

/** Opcodes: class | source or size | operation. The 32-bit classes, so that an immediate is not sign-extended. */
export const opcode = {
  /** LDX | MEM | W: dst = *(u32 *)(src + offset) */
  load32: 0x61,
  /** ALU | MOV | X */
  move: 0xbc,
  /** ALU | MOV | K */
  moveImmediate: 0xb4,
  /** ALU | AND | K */
  andImmediate: 0x54,
  /** ALU | RSH | K */
  shiftRightImmediate: 0x74,
  /** JMP32 | JNE | K: skips `offset` instructions if dst != imm. */
  skipIfNot: 0x56,
  /** JMP32 | JEQ | K */
  skipIf: 0x16,
  /** JMP | EXIT */
  exit: 0x95,
} as const;

export interface Instruction {
  readonly code: number;
  readonly dst?: Register;
  readonly src?: Register;
  /** Signed 16 bit. */
  readonly offset?: number;
  /** 32 bit. */
  readonly immediate?: number;
}

export const instructionSize = 8;

/** struct bpf_insn[]: code, registers (dst in the low half), offset, immediate. */
export function assemble(program: readonly Instruction[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(program.length * instructionSize));
  for (const [index, { code, dst = 0, src = 0, offset = 0, immediate = 0 }] of program.entries()) {
    const at = index * instructionSize;
    view.setUint8(at, code);
    view.setUint8(at + 1, dst | (src << 4));
    view.setInt16(at + 2, offset, true);
    view.setUint32(at + 4, immediate, true);
  }
  return new Uint8Array(view.buffer);
}
