/**
 * What a kernel's own unpacking code does last: it adds to every word of the kernel that depends on where it lies. It runs in the guest, before the kernel:
 * 200 000 words are a million instructions there, and a hundred million in JavaScript that nobody has compiled yet; and what it reaches is the guest's memory only.
 *
 * The table is numbers of 32 bits, the lower halves of virtual addresses, in lists of which each begins with 0; the last list comes first when one reads from
 * the end:
 *
 *   0, words of 64 bits    0, words of 32 bits that are relative to what moves (until Linux 6.14)    0, words of 32 bits
 *
 * Sources: Linux arch/x86/boot/compressed/misc.c (handle_relocations), arch/x86/tools/relocs.c.
 */
import type { ElfKernel } from "./elf.ts";

export interface RelocationTable {
  readonly bytes: Uint8Array;
  /** Offsets of each list's words in `bytes`, and where they end. */
  readonly lists: readonly { readonly kind: "add64" | "subtract32" | "add32"; readonly from: number; readonly to: number }[];
}

/** @returns undefined where there is nothing behind the file, or something else. */
export function findRelocations({ file, end }: ElfKernel): RelocationTable | undefined {
  const size = file.byteLength - end;
  if (end === 0 || size < 8 || size % 4 !== 0) return undefined;
  const bytes = new Uint8Array(file.buffer, file.byteOffset + end, size);
  const starts = listStarts(bytes);
  if (starts === undefined) return undefined;
  const kinds = starts.length === 2 ? (["add64", "add32"] as const) : (["add64", "subtract32", "add32"] as const);
  return { bytes, lists: kinds.map((kind, i) => ({ kind, from: (starts[i] ?? 0) + 4, to: starts[i + 1] ?? size })) };
}

/** Where the zeroes are. No address ends in so many of them, but that of the first byte of all. */
function listStarts(bytes: Uint8Array): readonly number[] | undefined {
  const zero = new Uint8Array(4);
  const starts: number[] = [];
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = view.indexOf(zero); at !== -1; at = view.indexOf(zero, at + 4)) {
    // Three zeroes of one word and one of the next are none.
    if (at % 4 === 0) starts.push(at);
    else at -= at % 4;
  }
  return starts[0] === 0 && (starts.length === 2 || starts.length === 3) ? starts : undefined;
}

export interface Move {
  /** Of the table, in memory. */
  readonly table: number;
  /** What is to be added to a virtual address as linked, to have the physical one. */
  readonly toPhysical: bigint;
  /** What is to be added to each word. */
  readonly distance: number;
  /** Where to go then. */
  readonly entry: number;
}

const le64 = (value: number | bigint) => [...new Uint8Array(new BigUint64Array([BigInt.asUintN(64, BigInt(value))]).buffer)];

/** By RAX, which has the word's address as linked, RDX and RDI. */
const CHANGE = {
  add64: [0x48, 0x01, 0x3c, 0x10], // add [rax+rdx], rdi
  subtract32: [0x29, 0x3c, 0x10], // sub [rax+rdx], edi
  add32: [0x01, 0x3c, 0x10], // add [rax+rdx], edi
} as const;

/** Code for 64-bit mode that keeps RSI, which the kernel's entry wants; it needs no stack. */
export function relocatorCode({ lists }: RelocationTable, { table, toPhysical, distance, entry }: Move): Uint8Array {
  return Uint8Array.from([
    0x48, 0xba, ...le64(toPhysical), // mov rdx, toPhysical
    0x48, 0xbf, ...le64(distance), // mov rdi, distance
    ...lists.flatMap(({ kind, from, to }) => {
      const body = [
        0x48, 0x63, 0x03, // movsxd rax, dword [rbx]
        ...CHANGE[kind],
        0x48, 0x83, 0xc3, 0x04, // add rbx, 4
      ];
      return [
        0x48, 0xbb, ...le64(table + from), // mov rbx, from
        0x48, 0xb9, ...le64(table + to), // mov rcx, to
        0xeb, body.length, // jmp to the comparison
        ...body,
        0x48, 0x39, 0xcb, // cmp rbx, rcx
        0x72, 0x100 - (body.length + 5), // jb to the body
      ];
    }),
    0x48, 0xb8, ...le64(entry), // mov rax, entry
    0xff, 0xe0, // jmp rax
  ]);
}
