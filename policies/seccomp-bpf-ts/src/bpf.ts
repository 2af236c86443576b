// Classic BPF as a filter of seccomp uses it: include/uapi/linux/bpf_common.h, filter.h (struct sock_filter).
import type { Endian } from "./arch.ts";

export interface Instruction {
  /** Opcode, 16 bits. */
  readonly code: number;
  /** Instructions skipped when the comparison holds, 0-255. */
  readonly jt: number;
  /** Instructions skipped when it does not, 0-255. */
  readonly jf: number;
  /** Constant, unsigned 32 bits. */
  readonly k: number;
}

export const opcode = {
  ldAbs: 0x20,
  ldImm: 0x00,
  ldMem: 0x60,
  ldLen: 0x80,
  ldxImm: 0x01,
  ldxMem: 0x61,
  ldxLen: 0x81,
  st: 0x02,
  stx: 0x03,
  ja: 0x05,
  jeqK: 0x15,
  jgtK: 0x25,
  jgeK: 0x35,
  jsetK: 0x45,
  andK: 0x54,
  neg: 0x84,
  retK: 0x06,
  retA: 0x16,
  tax: 0x07,
  txa: 0x87,
} as const;

/** Bits of an opcode: the class, its operation, and whether the operand is X instead of the constant. */
export const CLASS_MASK = 0x07;
export const OP_MASK = 0xf0;
export const SOURCE_X = 0x08;

export const aluClass = 0x04;
export const jumpClass = 0x05;

/** No MOD: kernel/seccomp.c seccomp_check_filter does not list it. */
export const aluNames = {
  0x00: "add",
  0x10: "sub",
  0x20: "mul",
  0x30: "div",
  0x40: "or",
  0x50: "and",
  0x60: "lsh",
  0x70: "rsh",
  0xa0: "xor",
} as const;

export const jumpNames = { 0x10: "jeq", 0x20: "jgt", 0x30: "jge", 0x40: "jset" } as const;

/** BPF_MAXINSNS (include/uapi/linux/bpf_common.h). */
export const MAX_INSTRUCTIONS = 4096;
/** BPF_MEMWORDS: M[0] to M[15]. */
export const MEMORY_WORDS = 16;
/** sizeof(struct seccomp_data): nr, arch, instruction pointer, six arguments. */
export const DATA_SIZE = 64;
export const OFFSET_NR = 0;
export const OFFSET_ARCH = 4;

/** Offset of one 32-bit half of an argument. */
export function argOffset(index: number, half: "low" | "high", endian: Endian): number {
  const second = (half === "high") === (endian === "little");
  return 16 + 8 * index + (second ? 4 : 0);
}

const INSTRUCTION_SIZE = 8;

export function encodeProgram(instructions: readonly Instruction[], endian: Endian = "little"): Uint8Array {
  const bytes = new Uint8Array(instructions.length * INSTRUCTION_SIZE);
  const view = new DataView(bytes.buffer);
  const little = endian === "little";
  for (const [index, { code, jt, jf, k }] of instructions.entries()) {
    const at = index * INSTRUCTION_SIZE;
    view.setUint16(at, code, little);
    view.setUint8(at + 2, jt);
    view.setUint8(at + 3, jf);
    view.setUint32(at + 4, k, little);
  }
  return bytes;
}

/** @throws RangeError when the length is not a multiple of 8. */
export function decodeProgram(program: Uint8Array, endian: Endian = "little"): Instruction[] {
  if (program.length % INSTRUCTION_SIZE !== 0) {
    throw new RangeError(`a program of ${program.length} bytes: struct sock_filter has 8`);
  }
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const little = endian === "little";
  const instructions: Instruction[] = [];
  for (let at = 0; at < program.length; at += INSTRUCTION_SIZE) {
    instructions.push({
      code: view.getUint16(at, little),
      jt: view.getUint8(at + 2),
      jf: view.getUint8(at + 3),
      k: view.getUint32(at + 4, little),
    });
  }
  return instructions;
}
