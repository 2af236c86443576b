/**
 * The guest's physical address space.
 *
 *   0                         real-mode table, boot structures (vmm/boot)
 *   0x0009_fc00 - 0x0010_0000 reserved, ACPI tables from 0xe0000 on
 *   0x0010_0000               memory
 *   0xc000_0000               end of low memory at the latest
 *   0xd000_0000               virtio-mmio windows, one page each
 *   0xd010_0000               event register (ACPI generic event device)
 *   0xfec0_0000, 0xfee0_0000  IOAPIC, local APICs, in the kernel
 *   0xfffb_c000               four pages for KVM (Intel's real mode)
 *   0x1_0000_0000             the rest of memory
 *   behind memory             room for memory to come, then pmem regions
 */

export const PAGE = 4096;

export const LOW_MEMORY_END = 0xc000_0000;
export const HIGH_MEMORY_START = 0x1_0000_0000;

export const VIRTIO_WINDOWS = 0xd000_0000;
export const VIRTIO_WINDOW_SIZE = 0x1000;
/** Lines of the IOAPIC that nothing else has: 16 to 23 first, which no ISA device was ever on. */
export const VIRTIO_INTERRUPTS = [16, 17, 18, 19, 20, 21, 22, 23, 5, 6, 7, 10, 11, 12, 13] as const;
/** Windows at most. More than there are lines share them: an edge is heard by every driver of its line. */
export const MAX_VIRTIO_WINDOWS = 31;

export const virtioInterrupt = (window: number): number => VIRTIO_INTERRUPTS[window % VIRTIO_INTERRUPTS.length] ?? 0;

export const EVENT_REGISTER = 0xd010_0000;
export const EVENT_INTERRUPT = 9;

export const IOAPIC = 0xfec0_0000;
export const LOCAL_APIC = 0xfee0_0000;

export const KVM_IDENTITY_MAP = 0xfffb_c000;
export const KVM_TSS = 0xfffb_d000;

/** Boot structures in the first 640 KiB. */
export const BOOT = {
  gdt: 0x500,
  pvhStartInfo: 0x6000,
  zeroPage: 0x7000,
  pageTables: 0x9000,
  /** Code that runs before a kernel that was moved. */
  relocator: 0x1_0000,
  commandLine: 0x2_0000,
  commandLineLimit: 0x1_0000,
  lowEnd: 0x9_fc00,
  /** A 16-byte counter that tells clones apart, and a page that has nothing else. */
  generationId: 0xd_f000,
  acpi: 0xe_0000,
  acpiEnd: 0x10_0000,
  highMemory: 0x10_0000,
} as const;

export const PORTS = {
  serial: 0x3f8,
  serialInterrupt: 4,
  rtc: 0x70,
  keyboardData: 0x60,
  keyboardCommand: 0x64,
  /** Sleep control and status of hardware-reduced ACPI. */
  sleep: 0x600,
} as const;

/** Linux adds memory in sections of 128 MiB (Documentation/mm/memory-model.rst). */
export const SECTION = 128 << 20;

/** Where the memory begins that a guest of `size` bytes may be given while it runs. */
export const growthStart = (size: number): number => Math.max(HIGH_MEMORY_START, ...memoryRanges(size).map((range) => Math.ceil((range.start + range.size) / SECTION) * SECTION));

/** How guest memory of `size` bytes is split around the hole below 4 GiB. */
export function memoryRanges(size: number): readonly { readonly start: number; readonly size: number }[] {
  const low = Math.min(size, LOW_MEMORY_END);
  const ranges = [{ start: 0, size: low }];
  return size > low ? [...ranges, { start: HIGH_MEMORY_START, size: size - low }] : ranges;
}
