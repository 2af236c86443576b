// The ABIs that the kernel tells apart for a filter. AUDIT_ARCH values: include/uapi/linux/audit.h, elf-em.h. x32 shares
// its value with x86_64 and is told by bit 30 of the number (arch/x86/include/uapi/asm/unistd.h).
import { aarch64 } from "./tables/aarch64.ts";
import { arm } from "./tables/arm.ts";
import { loongarch64 } from "./tables/loongarch64.ts";
import { m68k } from "./tables/m68k.ts";
import { mips } from "./tables/mips.ts";
import { mips64 } from "./tables/mips64.ts";
import { mips64n32 } from "./tables/mips64n32.ts";
import { parisc } from "./tables/parisc.ts";
import { parisc64 } from "./tables/parisc64.ts";
import { ppc } from "./tables/ppc.ts";
import { ppc64 } from "./tables/ppc64.ts";
import { riscv64 } from "./tables/riscv64.ts";
import { s390 } from "./tables/s390.ts";
import { s390x } from "./tables/s390x.ts";
import { sh } from "./tables/sh.ts";
import { x32 } from "./tables/x32.ts";
import { x86 } from "./tables/x86.ts";
import { x86_64 } from "./tables/x86_64.ts";

export type Endian = "little" | "big";

export interface Arch {
  /** `seccomp_data.arch`, unsigned. */
  readonly audit: number;
  /** Name in OCI's linux.seccomp.architectures and in libseccomp. */
  readonly oci: string;
  /** Width of a syscall argument as the kernel reports it. A 32-bit ABI's arguments are compared by their low word. */
  readonly bits: 32 | 64;
  readonly endian: Endian;
  readonly table: string;
}

const row = (audit: number, oci: string, bits: 32 | 64, endian: Endian, table: string): Arch => ({
  audit,
  oci: `SCMP_ARCH_${oci}`,
  bits,
  endian,
  table,
});

// n32 and x32 have 64-bit registers and the kernel reports them whole, so they count as 64 here.
export const archs = {
  x86_64: row(0xc000003e, "X86_64", 64, "little", x86_64),
  x86: row(0x40000003, "X86", 32, "little", x86),
  x32: row(0xc000003e, "X32", 64, "little", x32),
  aarch64: row(0xc00000b7, "AARCH64", 64, "little", aarch64),
  arm: row(0x40000028, "ARM", 32, "little", arm),
  riscv64: row(0xc00000f3, "RISCV64", 64, "little", riscv64),
  loongarch64: row(0xc0000102, "LOONGARCH64", 64, "little", loongarch64),
  s390x: row(0x80000016, "S390X", 64, "big", s390x),
  s390: row(0x00000016, "S390", 32, "big", s390),
  ppc64le: row(0xc0000015, "PPC64LE", 64, "little", ppc64),
  ppc64: row(0x80000015, "PPC64", 64, "big", ppc64),
  ppc: row(0x00000014, "PPC", 32, "big", ppc),
  mips: row(0x00000008, "MIPS", 32, "big", mips),
  mipsel: row(0x40000008, "MIPSEL", 32, "little", mips),
  mips64: row(0x80000008, "MIPS64", 64, "big", mips64),
  mipsel64: row(0xc0000008, "MIPSEL64", 64, "little", mips64),
  mips64n32: row(0xa0000008, "MIPS64N32", 64, "big", mips64n32),
  mipsel64n32: row(0xe0000008, "MIPSEL64N32", 64, "little", mips64n32),
  parisc: row(0x0000000f, "PARISC", 32, "big", parisc),
  parisc64: row(0x8000000f, "PARISC64", 64, "big", parisc64),
  m68k: row(0x00000004, "M68K", 32, "big", m68k),
  sh: row(0x4000002a, "SH", 32, "little", sh),
  sheb: row(0x0000002a, "SHEB", 32, "big", sh),
} as const satisfies Record<string, Arch>;

export type ArchName = keyof typeof archs;

export const archNames = Object.keys(archs) as ArchName[];

/** Set in every x32 number and in no x86_64 number. */
export const X32_BIT = 0x4000_0000;

/** The ABI that a call belongs to: the AUDIT_ARCH value decides, and for x86_64 and x32 the number. */
export function archOf(audit: number, nr: number): ArchName | undefined {
  if (audit === archs.x86_64.audit) return nr >= X32_BIT && nr < 2 * X32_BIT ? "x32" : "x86_64";
  return archNames.find((name) => archs[name].audit === audit);
}

export function archFromOci(oci: string): ArchName | undefined {
  return archNames.find((name) => archs[name].oci === oci);
}
