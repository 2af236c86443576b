/**
 * Puts a Linux kernel into guest memory: a bzImage by the 64-bit boot protocol, and so an ELF file with relocations behind it (image/kernel.ts), at a
 * random address; any other by its PVH note.
 * Sources: Linux Documentation/arch/x86/boot.rst, Documentation/arch/x86/zero-page.rst; Xen docs/misc/pvh.pandoc, elf(5).
 */
import { BOOT } from "../layout.ts";
import type { GuestMemory } from "../memory.ts";
import { randomBytes } from "../../linux/random.ts";
import { readElf, type ElfKernel } from "./elf.ts";
import { memoryMap } from "./memory-map.ts";
import { findRelocations, relocatorCode, type RelocationTable } from "./relocator.ts";

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
  ramdiskSize: 0x21c, commandLine: 0x228, initrdMax: 0x22c, xloadFlags: 0x236, commandLineSize: 0x238, preferredAddress: 0x258, initSize: 0x260, end: 0x268,
} as const;
const ZERO_PAGE = { rsdp: 0x070, e820Count: 0x1e8, e820: 0x2d0 } as const;
const HEADER_MAGIC = 0x5372_6448;
const XLF_KERNEL_64 = 1;
const OLDEST_PROTOCOL = 0x020c;
const NEWEST_PROTOCOL = 0x020f;
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
  if (kernel.getUint32(0, true) === ELF_MAGIC) return loadElf(memory, kernel, files);
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
  if (end - initramfs.length < lowest) throw new Error(`guest memory is too small for this kernel and its initramfs of ${initramfs.length} bytes`);
  return { address: placeBelow(memory, end, initramfs), size: initramfs.length };
}

/** @returns where: at the beginning of a page. */
function placeBelow(memory: GuestMemory, end: number, content: Uint8Array): number {
  const address = ((end - content.length) & ~0xfff) >>> 0;
  memory.write(address, content);
  return address;
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

const START_INFO_MAGIC = 0x336e_c578;

/** A kernel that can be moved is, and entered where its own unpacking code would; others by PVH, where they are linked for. */
function loadElf(memory: GuestMemory, file: DataView, files: KernelFiles): Entry {
  const kernel = readElf(file);
  const relocations = findRelocations(kernel);
  if (relocations !== undefined) return loadMoved(memory, kernel, relocations, files);
  if (kernel.pvhEntry === undefined) throw new Error("the ELF file has no PVH entry: a Linux kernel has it with CONFIG_PVH");
  const { end } = extentOf(kernel);
  placeSegments(memory, kernel, 0);
  const ramdisk = placeInitramfs(memory, files.initramfs, end, 0x7fff_ffff);
  memory.write(BOOT.pvhStartInfo, startInfo(memory.bootSize, ramdisk));
  return { mode: "protected", address: kernel.pvhEntry, startInfo: BOOT.pvhStartInfo };
}

function extentOf({ segments }: ElfKernel): { readonly start: number; readonly end: number } {
  return { start: Math.min(...segments.map(({ physical }) => physical)), end: Math.max(...segments.map(({ physical, memorySize }) => physical + memorySize)) };
}

function placeSegments(memory: GuestMemory, { file, segments }: ElfKernel, distance: number): void {
  for (const { offset, physical, fileSize } of segments) memory.write(physical + distance, new Uint8Array(file.buffer, file.byteOffset + offset, fileSize));
}

/** Linux arch/x86/boot/compressed/kaslr.c, page_64_types.h: addresses of such a kernel are chosen in steps of 2 MiB, the virtual ones within a GiB. */
const STEP = 2 << 20;
const VIRTUAL_SPACE = 1 << 30;

/** Where in memory, and at which virtual address: two numbers that do not depend on each other. The table of relocations lies behind all that. */
function loadMoved(memory: GuestMemory, kernel: ElfKernel, relocations: RelocationTable, { initramfs, commandLine }: KernelFiles): Entry {
  const { start, end } = extentOf(kernel);
  const ramdisk = placeInitramfs(memory, initramfs, end, 0x7fff_ffff);
  const table = placeBelow(memory, ramdisk.size > 0 ? ramdisk.address : (memory.regions[0]?.size ?? 0), relocations.bytes);
  const room = table - end;
  if (room < 0) throw new Error("guest memory is too small for this kernel");
  const random = !commandLine.split(" ").includes("nokaslr");
  const [up, distance] = random ? [randomStep(room), randomStep(VIRTUAL_SPACE - end)] : [0, 0];
  placeSegments(memory, kernel, up);
  const linked = BigInt.asIntN(32, BigInt(kernel.segments.find(({ physical }) => physical === start)?.virtual ?? 0));
  memory.write(BOOT.relocator, relocatorCode(relocations, { table, toPhysical: BigInt(start + up) - linked, distance, entry: kernel.entry + up }));
  memory.write(BOOT.zeroPage, zeroPage(ownHeader(random), memory.bootSize, ramdisk));
  return { mode: "long", address: BOOT.relocator, bootParams: BOOT.zeroPage };
}

/** @returns a multiple of STEP, at most `most`. */
function randomStep(most: number): number {
  return (randomBytes(4).readUInt32LE() % (Math.floor(most / STEP) + 1)) * STEP;
}

/** KASLR_FLAG: so the kernel knows that it was moved, and chooses the addresses of its tables at random as well. */
const LOADED_HIGH = 1;
const MOVED = 2;

/** The header that an unpacked kernel has not any more. */
function ownHeader(random: boolean): DataView {
  const header = new DataView(new ArrayBuffer(HEADER.end));
  header.setUint8(HEADER.jump, HEADER.end - HEADER.magic);
  header.setUint32(HEADER.magic, HEADER_MAGIC, true);
  header.setUint16(HEADER.version, NEWEST_PROTOCOL, true);
  header.setUint8(HEADER.loadFlags, LOADED_HIGH | (random ? MOVED : 0));
  return header;
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
