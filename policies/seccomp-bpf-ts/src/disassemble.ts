// A program as text. Jumps only lead forward, so one pass knows, for most instructions, which word is in the
// accumulator and which architecture has been established, and can say what a constant means.
import { decodeVerdict, formatVerdict } from "./action.ts";
import { X32_BIT, archOf, archs } from "./arch.ts";
import type { Endian } from "./arch.ts";
import {
  CLASS_MASK,
  DATA_SIZE,
  OFFSET_ARCH,
  OFFSET_NR,
  OP_MASK,
  SOURCE_X,
  aluNames,
  decodeProgram,
  jumpNames,
  opcode,
} from "./bpf.ts";
import type { Instruction } from "./bpf.ts";
import { isAlu, isConditionalJump } from "./check.ts";
import { syscallName } from "./syscalls.ts";

export interface Line {
  readonly at: number;
  /** Mnemonic and operands, jump targets as instruction indexes. */
  readonly code: string;
  /** What it means, empty where nothing can be said. */
  readonly comment: string;
}

/** What is known before an instruction; undefined: nothing, or it differs between the paths that lead here. */
interface Known {
  readonly word: number | undefined;
  readonly audit: number | undefined;
}

const hex = (value: number): string => `0x${value.toString(16)}`;

function wordName(offset: number, endian: Endian): string {
  if (offset === OFFSET_NR) return "nr";
  if (offset === OFFSET_ARCH) return "arch";
  const half = (offset % 8 === 4) === (endian === "little") ? "high" : "low";
  const index = (offset - 16) >> 3;
  return index < 0 ? `ip.${half}` : `args[${index}].${half}`;
}

function archLabel(audit: number): string {
  if (audit === archs.x86_64.audit) return "x86_64 or x32";
  return archOf(audit, 0) ?? "unknown architecture";
}

function numberLabel(audit: number, nr: number): string {
  const arch = archOf(audit, nr);
  if (arch === undefined) return "";
  return syscallName(arch, nr) ?? (nr === X32_BIT ? "x32" : "");
}

function constantMeaning(k: number, known: Known): string {
  if (known.word === OFFSET_ARCH) return archLabel(k);
  if (known.word === OFFSET_NR && known.audit !== undefined) return numberLabel(known.audit, k);
  return "";
}

const fixed: Record<number, (k: number) => string> = {
  [opcode.ldAbs]: (k) => `ld [${k}]`,
  [opcode.ldImm]: (k) => `ld #${hex(k)}`,
  [opcode.ldxImm]: (k) => `ldx #${hex(k)}`,
  [opcode.ldMem]: (k) => `ld M[${k}]`,
  [opcode.ldxMem]: (k) => `ldx M[${k}]`,
  [opcode.ldLen]: () => "ld len",
  [opcode.ldxLen]: () => "ldx len",
  [opcode.st]: (k) => `st M[${k}]`,
  [opcode.stx]: (k) => `stx M[${k}]`,
  [opcode.tax]: () => "tax",
  [opcode.txa]: () => "txa",
  [opcode.neg]: () => "neg",
  [opcode.retK]: (k) => `ret #${hex(k)}`,
  [opcode.retA]: () => "ret a",
};

function codeText({ code, jt, jf, k }: Instruction, at: number): string {
  const simple = fixed[code];
  if (simple !== undefined) return simple(k);
  if (code === opcode.ja) return `jmp ${at + 1 + k}`;
  const operand = (code & SOURCE_X) === 0 ? `#${hex(k)}` : "x";
  if (isConditionalJump(code)) {
    const name = jumpNames[(code & OP_MASK) as keyof typeof jumpNames];
    return `${name} ${operand}, ${at + 1 + jt}, ${at + 1 + jf}`;
  }
  if (isAlu(code)) return `${aluNames[(code & OP_MASK) as keyof typeof aluNames]} ${operand}`;
  return `.word ${hex(code)}, ${jt}, ${jf}, ${hex(k)}`;
}

function commentText({ code, k }: Instruction, known: Known, endian: Endian): string {
  if (code === opcode.ldAbs && k < DATA_SIZE) return wordName(k, endian);
  if (code === opcode.retK) return formatVerdict(decodeVerdict(k));
  if (isConditionalJump(code) && (code & SOURCE_X) === 0) return constantMeaning(k, known);
  return "";
}

const merge = <T>(a: T | undefined, b: T | undefined): T | undefined => (a === b ? a : undefined);

class Flow {
  readonly #before = new Map<number, Known>();

  before(at: number): Known {
    return this.#before.get(at) ?? { word: undefined, audit: undefined };
  }

  #reach(at: number, known: Known): void {
    const other = this.#before.get(at);
    const merged = other && { word: merge(other.word, known.word), audit: merge(other.audit, known.audit) };
    this.#before.set(at, merged ?? known);
  }

  follow(at: number, { code, jt, jf, k }: Instruction): void {
    const known = this.before(at);
    if (code === opcode.retK || code === opcode.retA) return;
    if (code === opcode.ja) {
      this.#reach(at + 1 + k, known);
    } else if (isConditionalJump(code)) {
      const isArch = code === opcode.jeqK && known.word === OFFSET_ARCH;
      this.#reach(at + 1 + jt, isArch ? { ...known, audit: k } : known);
      this.#reach(at + 1 + jf, known);
    } else {
      this.#reach(at + 1, { ...known, word: code === opcode.ldAbs ? k : changesA(code) ? undefined : known.word });
    }
  }
}

const changesA = (code: number): boolean =>
  (code & CLASS_MASK) === 0x00 || isAlu(code) || code === opcode.neg || code === opcode.txa;

/** One line for each instruction. Takes any program, also one that the kernel would refuse. */
export function disassembleLines(program: Uint8Array, endian: Endian = "little"): Line[] {
  const flow = new Flow();
  return decodeProgram(program, endian).map((instruction, at) => {
    const line = { at, code: codeText(instruction, at), comment: commentText(instruction, flow.before(at), endian) };
    flow.follow(at, instruction);
    return line;
  });
}

export function formatLine({ at, code, comment }: Line): string {
  return `${String(at).padStart(4)}: ${comment === "" ? code : `${code.padEnd(28)} ; ${comment}`}`;
}

/** The whole program as text. */
export function disassemble(program: Uint8Array, endian: Endian = "little"): string {
  return disassembleLines(program, endian).map(formatLine).join("\n");
}
