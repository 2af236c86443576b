/**
 * Puts a Linux kernel into guest memory: a bzImage by the 64-bit boot protocol, an ELF file by its PVH note.
 * Sources: Linux Documentation/arch/x86/boot.rst, Documentation/arch/x86/zero-page.rst; Xen docs/misc/pvh.pandoc, elf(5).
 */
import { BOOT } from "../layout.ts";
import type { GuestMemory } from "../memory.ts";
import { memoryMap } from "./memory-map.ts";

export interface KernelFiles {
  readonly kernel: Uint8Array;
  readonly initramfs?: Uint8Array | undefined;
  readonly commandLine: string;
}

/** Where and in which mode the first vCPU starts, and the address that its register points to. */
export type Entry =
  | { readonly mode: "long"; readonly address: number; readonly bootParams: number }
  | { readonly mode: "protected"; readonly address: number; readonly startInfo: number };

/** Offsets in the kernel's header, which are offsets in the zero page too. */
const HEADER = {
  start: 0x1f1, setupSectors: 0x1f1, jump: 0x201, magic: 0x202, version: 0x206, loaderType: 0x210, loadFlags: 0x211, ramdisk: 0x218,
  ramdiskSize: 0x21c, commandLine: 0x228, initrdMax: 0x22c, xloadFlags: 0x236, commandLineSize: 0x238, preferredAddress: 0x258, initSize: 0x260,
} as const;
const ZERO_PAGE = { rsdp: 0x070, e820Count: 0x1e8, e820: 0x2d0 } as const;
const HEADER_MAGIC = 0x5372_6448;
const XLF_KERNEL_64 = 1;
const OLDEST_PROTOCOL = 0x020c;
const ENTRY_64 = 0x200;
const SECTOR = 512;
const ELF_MAGIC = 0x464c_457f;

/** @throws Error in words where the file is no kernel that we can boot, or memory is too small. */
export function loadKernel(memory: GuestMemory, files: KernelFiles): Entry {
  const commandLine = Buffer.from(`${files.commandLine}\0`);
  if (commandLine.length > BOOT.commandLineLimit) throw new Error(`a kernel command line of ${commandLine.length} bytes`);
  memory.write(BOOT.commandLine, commandLine);
  const kernel = new DataView(files.kernel.buffer, files.kernel.byteOffset, files.kernel.byteLength);
  if (kernel.byteLength < 0x1000) throw new Error("the kernel file is too short to be one");
  if (kernel.getUint32(0, true) === ELF_MAGIC) return loadPvh(memory, kernel, files);
  if (kernel.getUint32(HEADER.magic, true) === HEADER_MAGIC) return loadBzImage(memory, kernel, files);
  throw new Error("the kernel file is neither a bzImage nor an ELF file");
}

function loadBzImage(memory: GuestMemory, kernel: DataView, { initramfs, commandLine }: KernelFiles): Entry {
  if (kernel.getUint16(HEADER.version, true) < OLDEST_PROTOCOL || (kernel.getUint16(HEADER.xloadFlags, true) & XLF_KERNEL_64) === 0) {
    throw new Error("the kernel has no 64-bit entry: it is older than Linux 3.8, or made for 32 bits");
  }
  if (commandLine.length > kernel.getUint32(HEADER.commandLineSize, true)) throw new Error("the command line is longer than this kernel allows");
  const setupSize = ((kernel.getUint8(HEADER.setupSectors) || 4) + 1) * SECTOR;
  const address = Number(kernel.getBigUint64(HEADER.preferredAddress, true));
  const initSize = kernel.getUint32(HEADER.initSize, true);
  const image = new Uint8Array(kernel.buffer, kernel.byteOffset + setupSize, kernel.byteLength - setupSize);
  memory.write(address, image);
  const ramdisk = placeInitramfs(memory, initramfs, address + initSize, kernel.getUint32(HEADER.initrdMax, true));
  memory.write(BOOT.zeroPage, zeroPage(kernel, memory.bootSize, ramdisk));
  return { mode: "long", address: address + ENTRY_64, bootParams: BOOT.zeroPage };
}

interface Ramdisk {
  readonly address: number;
  readonly size: number;
}

/** At the end of low memory, as the kernel's own loaders do, so that it is out of the way. */
function placeInitramfs(memory: GuestMemory, initramfs: Uint8Array | undefined, lowest: number, highest: number): Ramdisk {
  if (initramfs === undefined || initramfs.length === 0) return { address: 0, size: 0 };
  const end = Math.min(memory.regions[0]?.size ?? 0, highest + 1);
  const address = (end - initramfs.length) & ~0xfff;
  if (end - initramfs.length < lowest) throw new Error(`guest memory is too small for this kernel and its initramfs of ${initramfs.length} bytes`);
  memory.write(address >>> 0, initramfs);
  return { address: address >>> 0, size: initramfs.length };
}

function zeroPage(kernel: DataView, memorySize: number, ramdisk: Ramdisk): Uint8Array {
  const page = Buffer.alloc(4096);
  const headerEnd = HEADER.magic + kernel.getUint8(HEADER.jump);
  page.set(new Uint8Array(kernel.buffer, kernel.byteOffset + HEADER.start, headerEnd - HEADER.start), HEADER.start);
  page.writeUInt8(0xff, HEADER.loaderType);
  page.writeUInt32LE(BOOT.commandLine, HEADER.commandLine);
  page.writeUInt32LE(ramdisk.address, HEADER.ramdisk);
  page.writeUInt32LE(ramdisk.size, HEADER.ramdiskSize);
  page.writeBigUInt64LE(BigInt(BOOT.acpi), ZERO_PAGE.rsdp);
  const map = memoryMap(memorySize);
  page.writeUInt8(map.length, ZERO_PAGE.e820Count);
  for (const [i, { start, size, type }] of map.entries()) {
    page.writeBigUInt64LE(BigInt(start), ZERO_PAGE.e820 + i * 20);
    page.writeBigUInt64LE(BigInt(size), ZERO_PAGE.e820 + i * 20 + 8);
    page.writeUInt32LE(type, ZERO_PAGE.e820 + i * 20 + 16);
  }
  return page;
}

const PT_LOAD = 1;
const PT_NOTE = 4;
const XEN_ELFNOTE_PHYS32_ENTRY = 18;
const START_INFO_MAGIC = 0x336e_c578;

interface ProgramHeader {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly fileSize: number;
  readonly memorySize: number;
}

function programHeaders(elf: DataView): readonly ProgramHeader[] {
  const start = Number(elf.getBigUint64(32, true));
  return Array.from({ length: elf.getUint16(56, true) }, (_, i) => {
    const at = start + i * elf.getUint16(54, true);
    const word = (offset: number) => Number(elf.getBigUint64(at + offset, true));
    return { type: elf.getUint32(at, true), offset: word(8), address: word(24), fileSize: word(32), memorySize: word(40) };
  });
}

function loadPvh(memory: GuestMemory, elf: DataView, { initramfs }: KernelFiles): Entry {
  const headers = programHeaders(elf);
  const entry = headers.filter(({ type }) => type === PT_NOTE).map((header) => pvhEntry(elf, header)).find((found) => found !== undefined);
  if (entry === undefined) throw new Error("the ELF file has no PVH entry: a Linux kernel has it with CONFIG_PVH");
  let end = 0;
  for (const { offset, address, fileSize, memorySize } of headers.filter(({ type }) => type === PT_LOAD)) {
    memory.write(address, new Uint8Array(elf.buffer, elf.byteOffset + offset, fileSize));
    end = Math.max(end, address + memorySize);
  }
  const ramdisk = placeInitramfs(memory, initramfs, end, 0x7fff_ffff);
  memory.write(BOOT.pvhStartInfo, startInfo(memory.bootSize, ramdisk));
  return { mode: "protected", address: entry, startInfo: BOOT.pvhStartInfo };
}

const align = (size: number) => (size + 3) & ~3;

/** Notes are name size, descriptor size, type, name, descriptor, each part aligned to 4. */
function pvhEntry(elf: DataView, { offset, fileSize }: ProgramHeader): number | undefined {
  for (let at = offset; at + 12 <= offset + fileSize; ) {
    const [nameSize, descriptorSize, type] = [elf.getUint32(at, true), elf.getUint32(at + 4, true), elf.getUint32(at + 8, true)];
    const descriptor = at + 12 + align(nameSize);
    if (type === XEN_ELFNOTE_PHYS32_ENTRY && elf.getUint32(at + 12, true) === 0x006e_6558) return elf.getUint32(descriptor, true);
    at = descriptor + align(descriptorSize);
  }
  return undefined;
}

const START_INFO = { size: 56, module: 56, moduleSize: 32, map: 88, mapEntrySize: 24 } as const;

/** struct hvm_start_info, version 1, with one module and the memory map behind it. */
function startInfo(memorySize: number, ramdisk: Ramdisk): Uint8Array {
  const map = memoryMap(memorySize);
  const bytes = Buffer.alloc(START_INFO.map + map.length * START_INFO.mapEntrySize);
  bytes.writeUInt32LE(START_INFO_MAGIC, 0);
  bytes.writeUInt32LE(1, 4);
  bytes.writeUInt32LE(ramdisk.size === 0 ? 0 : 1, 12);
  bytes.writeBigUInt64LE(BigInt(BOOT.pvhStartInfo + START_INFO.module), 16);
  bytes.writeBigUInt64LE(BigInt(BOOT.commandLine), 24);
  bytes.writeBigUInt64LE(BigInt(BOOT.acpi), 32);
  bytes.writeBigUInt64LE(BigInt(BOOT.pvhStartInfo + START_INFO.map), 40);
  bytes.writeUInt32LE(map.length, 48);
  bytes.writeBigUInt64LE(BigInt(ramdisk.address), START_INFO.module);
  bytes.writeBigUInt64LE(BigInt(ramdisk.size), START_INFO.module + 8);
  for (const [i, { start, size, type }] of map.entries()) {
    const at = START_INFO.map + i * START_INFO.mapEntrySize;
    bytes.writeBigUInt64LE(BigInt(start), at);
    bytes.writeBigUInt64LE(BigInt(size), at + 8);
    bytes.writeUInt32LE(type, at + 16);
  }
  return bytes;
}
