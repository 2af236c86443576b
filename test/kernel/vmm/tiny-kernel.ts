// Kernels of a few instructions, in the file formats of real ones: they run under the whole machine.

const ELF_HEADER = 64;
const PROGRAM_HEADER = 56;
const LOAD_ADDRESS = 0x10_0000;
const XEN_ELFNOTE_PHYS32_ENTRY = 18;

/** An ELF file with a PVH entry, whose code starts in 32-bit protected mode with EBX at the start info. */
export function pvhKernel(code: readonly number[]): Uint8Array {
  const noteSize = 12 + 4 + 4;
  const codeOffset = 0x1000;
  const file = Buffer.alloc(codeOffset + code.length);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  file.writeUInt16LE(2, 16);
  file.writeUInt16LE(62, 18);
  file.writeBigUInt64LE(BigInt(ELF_HEADER), 32);
  file.writeUInt16LE(PROGRAM_HEADER, 54);
  file.writeUInt16LE(2, 56);
  const noteOffset = ELF_HEADER + 2 * PROGRAM_HEADER;
  programHeader(file, ELF_HEADER, 1, codeOffset, LOAD_ADDRESS, code.length);
  programHeader(file, ELF_HEADER + PROGRAM_HEADER, 4, noteOffset, 0, noteSize);
  file.writeUInt32LE(4, noteOffset);
  file.writeUInt32LE(4, noteOffset + 4);
  file.writeUInt32LE(XEN_ELFNOTE_PHYS32_ENTRY, noteOffset + 8);
  file.write("Xen\0", noteOffset + 12, "latin1");
  file.writeUInt32LE(LOAD_ADDRESS, noteOffset + 16);
  file.set(code, codeOffset);
  return file;
}

function programHeader(file: Buffer, at: number, type: number, offset: number, address: number, size: number): void {
  file.writeUInt32LE(type, at);
  file.writeBigUInt64LE(BigInt(offset), at + 8);
  file.writeBigUInt64LE(BigInt(address), at + 24);
  file.writeBigUInt64LE(BigInt(size), at + 32);
  file.writeBigUInt64LE(BigInt(size), at + 40);
}

const le32 = (value: number) => [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];

/** 32-bit instructions, as far as the tests need them. */
export const asm = {
  /** mov dx, port; mov al, value; out dx, al */
  out: (port: number, value: number) => [0x66, 0xba, port & 0xff, port >> 8, 0xb0, value, 0xee],
  /** mov dx, port; in al, dx */
  in: (port: number) => [0x66, 0xba, port & 0xff, port >> 8, 0xec],
  /** mov dword [address], value */
  store: (address: number, value: number) => [0xc7, 0x05, ...le32(address), ...le32(value)],
  /** mov eax, [address]; mov [target], eax */
  copy: (address: number, target: number) => [0xa1, ...le32(address), 0xa3, ...le32(target)],
  /** Sends a text to the serial port. */
  print: (text: string) => [...Buffer.from(text)].flatMap((byte) => asm.out(0x3f8, byte)),
  powerOff: () => asm.out(0x600, 0x34),
  reset: () => asm.out(0x64, 0xfe),
  /** jmp to itself */
  spin: () => [0xeb, 0xfe],
  /** cli; hlt; jmp back */
  halt: () => [0xfa, 0xf4, 0xeb, 0xfc],
};
