/**
 * Takes a kernel out of its bzImage, which unpacks itself at every boot: a machine starts the sooner when that has been done once. What comes out is
 * vmlinux, an ELF file, with the table of its relocations behind it (boot/relocations.ts). Source: Linux Documentation/arch/x86/boot.rst
 * (payload_offset, payload_length), scripts/Makefile.lib (size_append).
 */
import { execFileSync } from "node:child_process";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { LZ4_LEGACY_MAGIC, unpackLz4 } from "./lz4.ts";

const HEADER = { setupSectors: 0x1f1, magic: 0x202, payloadOffset: 0x248, payloadLength: 0x24c } as const;
const HEADER_MAGIC = 0x5372_6448;
const SECTOR = 512;
const ELF_MAGIC = 0x464c_457f;
const MAX_KERNEL = 512 << 20;

/** Packed content by the number it begins with, in little endian. All but gzip's have the unpacked size in four bytes behind them. */
const FORMATS: readonly { readonly magic: number; readonly mask: number; readonly unpack: (packed: Uint8Array) => Uint8Array }[] = [
  { magic: 0x8b1f, mask: 0xffff, unpack: (packed) => gunzipSync(packed) },
  { magic: 0xfd2f_b528, mask: 0xffff_ffff, unpack: (packed) => zstdDecompressSync(packed.subarray(0, -4)) },
  { magic: LZ4_LEGACY_MAGIC, mask: 0xffff_ffff, unpack: (packed) => unpackLz4(packed.subarray(0, -4)) },
  { magic: 0x587a_37fd, mask: 0xffff_ffff, unpack: (packed) => byXz("xz", packed.subarray(0, -4)) },
  { magic: 0x5d, mask: 0xff_ffff, unpack: (packed) => byXz("lzma", packed.subarray(0, -4)) },
];

/** @param format of xz(1). */
function byXz(format: string, packed: Uint8Array): Uint8Array {
  return execFileSync("xz", ["-dc", `--format=${format}`], { input: packed, maxBuffer: MAX_KERNEL });
}

/** @returns the kernel as it came, where it is none that unpacks itself, or packed in a way that is not known here. @throws Error where it is damaged; where xz(1) fails */
export function unpackKernel(kernel: Uint8Array): Uint8Array {
  const view = new DataView(kernel.buffer, kernel.byteOffset, kernel.byteLength);
  if (kernel.length < 0x1000 || view.getUint32(HEADER.magic, true) !== HEADER_MAGIC) return kernel;
  const start = ((view.getUint8(HEADER.setupSectors) || 4) + 1) * SECTOR + view.getUint32(HEADER.payloadOffset, true);
  const length = view.getUint32(HEADER.payloadLength, true);
  if (length < 8 || start + length > kernel.length) return kernel;
  const format = FORMATS.find(({ magic, mask }) => (view.getUint32(start, true) & mask) >>> 0 === magic);
  if (format === undefined) return kernel;
  const unpacked = format.unpack(kernel.subarray(start, start + length));
  const elf = new DataView(unpacked.buffer, unpacked.byteOffset, unpacked.byteLength);
  if (elf.getUint32(0, true) !== ELF_MAGIC) return kernel;
  leaveOutZeroes(elf);
  return unpacked;
}

const PT_LOAD = 1;
const PAGE = 4096;

/** Says of zeroes at the end of what is loaded that they are not in the file: memory is zeroed before. Linux has its .bss there. */
function leaveOutZeroes(elf: DataView): void {
  const headers = Number(elf.getBigUint64(32, true));
  for (let i = 0; i < elf.getUint16(56, true); i++) {
    const at = headers + i * elf.getUint16(54, true);
    const [offset, size] = [elf.getBigUint64(at + 8, true), elf.getBigUint64(at + 32, true)].map(Number);
    if (elf.getUint32(at, true) !== PT_LOAD || offset === undefined || size === undefined) continue;
    const content = new Uint8Array(elf.buffer, elf.byteOffset + offset, size);
    const used = content.findLastIndex((byte) => byte !== 0) + 1;
    elf.setBigUint64(at + 32, BigInt(Math.min(size, Math.ceil(used / PAGE) * PAGE)), true);
  }
}
