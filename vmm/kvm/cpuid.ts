/**
 * What the guest's CPUID says: what KVM supports on this host, with changes. Each change is a row with its reason.
 * Sources: Linux Documentation/virt/kvm/x86/cpuid.rst; Intel SDM volume 2, CPUID; AMD64 APM volume 3, appendix E.
 */
import type { CpuidEntry } from "../../linux/kvm-structs.ts";

type Register = "eax" | "ebx" | "ecx" | "edx";

interface BitRule {
  readonly leaf: number;
  readonly subleaf?: number;
  readonly register: Register;
  readonly bit: number;
  readonly to: 0 | 1;
  readonly reason: string;
}

/** In order of leaf, register and bit. */
export const BIT_RULES: readonly BitRule[] = [
  { leaf: 0x1, register: "ecx", bit: 3, to: 0, reason: "MONITOR: a vCPU that waits in MWAIT does not give the processor back" },
  { leaf: 0x1, register: "ecx", bit: 5, to: 0, reason: "VMX: no nested virtual machines, KVM's nested code is out of the guest's reach" },
  { leaf: 0x1, register: "ecx", bit: 15, to: 0, reason: "PDCM: there is no performance monitoring" },
  { leaf: 0x1, register: "ecx", bit: 24, to: 1, reason: "TSC deadline: KVM's local APIC has it, though it is not in KVM's list" },
  { leaf: 0x1, register: "ecx", bit: 31, to: 1, reason: "hypervisor: tells the guest to look at leaf 0x40000000" },
  { leaf: 0x7, subleaf: 0, register: "ebx", bit: 2, to: 0, reason: "SGX: enclaves need memory of their own from the host" },
  { leaf: 0x7, subleaf: 0, register: "ebx", bit: 4, to: 0, reason: "HLE: transactions are a way to time the host" },
  { leaf: 0x7, subleaf: 0, register: "ebx", bit: 11, to: 0, reason: "RTM: the same" },
  { leaf: 0x7, subleaf: 0, register: "ebx", bit: 25, to: 0, reason: "processor trace: a large device of its own" },
  { leaf: 0x8000_0001, register: "ecx", bit: 2, to: 0, reason: "SVM: as VMX" },
  { leaf: 0x8000_0001, register: "ecx", bit: 23, to: 0, reason: "AMD performance counters: as PDCM" },
  { leaf: 0x8000_0001, register: "ecx", bit: 24, to: 0, reason: "AMD northbridge counters: as PDCM" },
];

/** Leaves that are all zero for the guest. */
export const EMPTY_LEAVES: Readonly<Record<number, string>> = {
  0xa: "architectural performance monitoring: counters time the host",
  0x12: "SGX",
  0x14: "processor trace",
  0x8000_000a: "SVM",
  0x8000_0022: "AMD performance monitoring",
};


export interface CpuTopology {
  /** This vCPU's number, which is its APIC id. */
  readonly id: number;
  /** vCPUs of the machine, 1 to 254: as many cores of one socket, without threads. */
  readonly count: number;
}

const bitsFor = (count: number) => Math.ceil(Math.log2(Math.max(count, 1)));

export function guestCpuid(supported: readonly CpuidEntry[], topology: CpuTopology): CpuidEntry[] {
  const known = supported.filter(({ leaf }) => leaf !== 0xb && leaf !== 0x1f);
  return [...known.map((entry) => setTopology(applyRules(entry), topology)), ...topologyLeaves(topology)];
}

function applyRules(entry: CpuidEntry): CpuidEntry {
  if (EMPTY_LEAVES[entry.leaf] !== undefined) return { ...entry, eax: 0, ebx: 0, ecx: 0, edx: 0 };
  const changed = { ...entry };
  for (const { leaf, subleaf, register, bit, to } of BIT_RULES) {
    if (leaf !== entry.leaf || (subleaf !== undefined && subleaf !== entry.subleaf)) continue;
    const mask = (1 << bit) >>> 0;
    changed[register] = (to === 1 ? changed[register] | mask : changed[register] & ~mask) >>> 0;
  }
  return changed;
}

/** APIC id and counts in the older leaves. */
function setTopology(entry: CpuidEntry, { id, count }: CpuTopology): CpuidEntry {
  switch (entry.leaf) {
    // EBX: APIC id, logical processors, line size of CLFLUSH. EDX bit 28: the count is valid.
    case 0x1: return {
      ...entry, ebx: ((id << 24) | (count << 16) | (entry.ebx & 0xffff)) >>> 0,
      edx: (count > 1 ? entry.edx | (1 << 28) : entry.edx & ~(1 << 28)) >>> 0,
    };
    // Caches: cores per package in bits 26 to 31; none shared between cores.
    case 0x4: return { ...entry, eax: ((entry.eax & 0x3fff) | ((count - 1) << 26)) >>> 0 };
    // AMD: number of cores, and the width of the core's part of the APIC id.
    case 0x8000_0008: return { ...entry, ecx: (bitsFor(count) << 12) | (count - 1) };
    // AMD: extended APIC id, core id, node.
    case 0x8000_001e: return { ...entry, eax: id, ebx: id & 0xff, ecx: 0 };
    default: return entry;
  }
}

/** Extended topology: one thread per core, all cores in one package. */
function topologyLeaves({ id, count }: CpuTopology): CpuidEntry[] {
  const SIGNIFICANT_SUBLEAF = 1;
  const [THREADS, CORES] = [1, 2];
  return [
    { leaf: 0xb, subleaf: 0, flags: SIGNIFICANT_SUBLEAF, eax: 0, ebx: 1, ecx: (THREADS << 8) | 0, edx: id },
    { leaf: 0xb, subleaf: 1, flags: SIGNIFICANT_SUBLEAF, eax: bitsFor(count), ebx: count, ecx: (CORES << 8) | 1, edx: id },
    { leaf: 0xb, subleaf: 2, flags: SIGNIFICANT_SUBLEAF, eax: 0, ebx: 0, ecx: 2, edx: id },
  ];
}
