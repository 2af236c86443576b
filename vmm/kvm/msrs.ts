/**
 * Model-specific registers that the guest may neither read nor write, beside those that KVM itself refuses: an access is a general protection fault, which
 * Linux expects of each. They are what CPUID (cpuid.ts) says the guest does not have, whatever KVM would answer, and clocks of the host's power.
 * Sources: Intel SDM volume 4; AMD64 APM volume 2, appendix A; Linux Documentation/virt/kvm/api.rst, KVM_X86_SET_MSR_FILTER.
 */
export interface MsrRule {
  readonly first: number;
  /** Included. */
  readonly last: number;
  readonly reason: string;
}

/** At most 16: KVM takes no more. */
export const DENIED_MSRS: readonly MsrRule[] = [
  { first: 0x8c, last: 0x8f, reason: "SGX: the key that signs enclaves" },
  { first: 0xc1, last: 0xc8, reason: "performance counters: they time the host" },
  { first: 0x186, last: 0x18d, reason: "what these count" },
  { first: 0x309, last: 0x30c, reason: "fixed performance counters" },
  { first: 0x38d, last: 0x390, reason: "control of both" },
  { first: 0x480, last: 0x493, reason: "VMX: no nested virtual machines" },
  { first: 0x4c1, last: 0x4c8, reason: "the performance counters in their full width" },
  { first: 0x560, last: 0x587, reason: "processor trace" },
  { first: 0x606, last: 0x64f, reason: "energy counters: what others compute can be read from them (CVE-2020-8694)" },
  { first: 0xc001_0000, last: 0xc001_0007, reason: "AMD performance counters: KVM has them whatever CPUID says" },
  { first: 0xc001_0114, last: 0xc001_0117, reason: "SVM: as VMX" },
  { first: 0xc001_0200, last: 0xc001_020b, reason: "AMD performance counters of the extended kind" },
  { first: 0xc001_0299, last: 0xc001_029b, reason: "AMD energy counters (CVE-2020-12912)" },
  { first: 0xc001_1030, last: 0xc001_103d, reason: "AMD instruction-based sampling" },
];
