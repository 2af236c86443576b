/** Structures of KVM for x86. Layouts: Linux arch/x86/include/uapi/asm/kvm.h, include/uapi/linux/kvm.h. Full-width registers are BigInt. */

export const GENERAL_REGISTERS = [
  "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip", "rflags",
] as const;

/** struct kvm_regs: eighteen 64-bit words. */
export type Regs = Record<(typeof GENERAL_REGISTERS)[number], bigint>;
export const REGS_SIZE = GENERAL_REGISTERS.length * 8;

export function decodeRegs(view: DataView): Regs {
  return Object.fromEntries(GENERAL_REGISTERS.map((name, i) => [name, view.getBigUint64(i * 8, true)])) as Regs;
}

export function encodeRegs(regs: Partial<Regs>): Uint8Array {
  const view = new DataView(new ArrayBuffer(REGS_SIZE));
  for (const [i, name] of GENERAL_REGISTERS.entries()) view.setBigUint64(i * 8, regs[name] ?? 0n, true);
  return new Uint8Array(view.buffer);
}

/** struct kvm_segment. */
export interface Segment {
  readonly base: bigint;
  readonly limit: number;
  readonly selector: number;
  readonly type: number;
  readonly present: number;
  readonly dpl: number;
  /** Default operand size: 1 is 32 bit. */
  readonly db: number;
  /** 1 is code or data, 0 is a system segment. */
  readonly s: number;
  /** 64-bit code. */
  readonly l: number;
  /** Limit counted in pages. */
  readonly g: number;
}

export const SEGMENTS = ["cs", "ds", "es", "fs", "gs", "ss", "tr", "ldt"] as const;
export type SegmentName = (typeof SEGMENTS)[number];
const SEGMENT_SIZE = 24;
const SEGMENT_BYTES = ["type", "present", "dpl", "db", "s", "l", "g"] as const;

export function writeSegment(sregs: DataView, name: SegmentName, segment: Segment): void {
  const at = SEGMENTS.indexOf(name) * SEGMENT_SIZE;
  sregs.setBigUint64(at, segment.base, true);
  sregs.setUint32(at + 8, segment.limit, true);
  sregs.setUint16(at + 12, segment.selector, true);
  for (const [i, field] of SEGMENT_BYTES.entries()) sregs.setUint8(at + 14 + i, segment[field]);
}

/** struct kvm_sregs, kept as bytes: most of it stays as KVM gave it. */
export const SREGS_SIZE = 312;
const TABLES_OFFSET = 192;
const CONTROL_OFFSETS = { cr0: 224, cr2: 232, cr3: 240, cr4: 248, cr8: 256, efer: 264, apicBase: 272 } as const;
export type ControlName = keyof typeof CONTROL_OFFSETS;

export function readControl(sregs: DataView, name: ControlName): bigint {
  return sregs.getBigUint64(CONTROL_OFFSETS[name], true);
}

export function writeControl(sregs: DataView, name: ControlName, value: bigint): void {
  sregs.setBigUint64(CONTROL_OFFSETS[name], value, true);
}

/** The descriptor table registers: struct kvm_dtable, 16 bytes each. */
export function writeTable(sregs: DataView, name: "gdt" | "idt", base: bigint, limit: number): void {
  const at = TABLES_OFFSET + (name === "gdt" ? 0 : 16);
  sregs.setBigUint64(at, base, true);
  sregs.setUint16(at + 8, limit, true);
}

/** struct kvm_cpuid_entry2. */
export interface CpuidEntry {
  readonly leaf: number;
  readonly subleaf: number;
  /** KVM_CPUID_FLAG_*: 1 says that the subleaf counts. */
  readonly flags: number;
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

export const CPUID_ENTRY_SIZE = 40;
const CPUID_FIELDS = ["leaf", "subleaf", "flags", "eax", "ebx", "ecx", "edx"] as const;

/** struct kvm_cpuid2: a count, and as many entries from byte 8 on. */
export function decodeCpuid(view: DataView): CpuidEntry[] {
  return Array.from({ length: view.getUint32(0, true) }, (_, index) => {
    const at = 8 + index * CPUID_ENTRY_SIZE;
    return Object.fromEntries(CPUID_FIELDS.map((field, i) => [field, view.getUint32(at + i * 4, true)])) as unknown as CpuidEntry;
  });
}

export function encodeCpuid(entries: readonly CpuidEntry[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(8 + entries.length * CPUID_ENTRY_SIZE));
  view.setUint32(0, entries.length, true);
  for (const [index, entry] of entries.entries()) {
    for (const [i, field] of CPUID_FIELDS.entries()) view.setUint32(8 + index * CPUID_ENTRY_SIZE + i * 4, entry[field], true);
  }
  return new Uint8Array(view.buffer);
}

/** A model-specific register: index and value. */
export type Msr = readonly [index: number, value: bigint];
const MSR_ENTRY_SIZE = 16;

/** struct kvm_msrs: a count, and as many entries of index and value from byte 8 on. */
export function encodeMsrs(msrs: readonly Msr[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(8 + msrs.length * MSR_ENTRY_SIZE));
  view.setUint32(0, msrs.length, true);
  for (const [i, [index, value]] of msrs.entries()) {
    view.setUint32(8 + i * MSR_ENTRY_SIZE, index, true);
    view.setBigUint64(16 + i * MSR_ENTRY_SIZE, value, true);
  }
  return new Uint8Array(view.buffer);
}

/** struct kvm_msrs with the entries from number `first` on. @returns nothing where there is none */
export function msrsFrom(msrs: Uint8Array, first: number): Uint8Array {
  const rest = msrs.slice(first * MSR_ENTRY_SIZE);
  if (rest.length <= 8) return new Uint8Array(0);
  new DataView(rest.buffer).setBigUint64(0, BigInt((rest.length - 8) / MSR_ENTRY_SIZE), true);
  return rest;
}

/** The first `count` entries. */
export function decodeMsrs(view: DataView, count: number): Msr[] {
  return Array.from({ length: count }, (_, i) => [
    view.getUint32(8 + i * MSR_ENTRY_SIZE, true),
    view.getBigUint64(16 + i * MSR_ENTRY_SIZE, true),
  ]);
}

/** Offsets in struct kvm_run, which a vCPU's descriptor maps. `io` and `mmio` are members of one union. */
export const RUN = {
  immediateExit: 1,
  exitReason: 8,
  hardwareExitReason: 32,
  io: { direction: 32, size: 33, port: 34, count: 36, dataOffset: 40 },
  mmio: { address: 32, data: 40, length: 48, isWrite: 52 },
  internal: { suberror: 32, count: 36, data: 40 },
  systemEvent: { type: 32 },
} as const;
