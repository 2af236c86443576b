import { expect, test } from "vitest";
import { DENIED_MSRS } from "./msrs.ts";

test("ranges in order, apart from each other, and no more than KVM takes", () => {
  expect(DENIED_MSRS.length).toBeLessThanOrEqual(16);
  for (const [i, { first, last }] of DENIED_MSRS.entries()) {
    expect(first).toBeLessThanOrEqual(last);
    expect(first).toBeGreaterThan(DENIED_MSRS[i - 1]?.last ?? -1);
  }
});

/** Time stamp counter, APIC base, SYSENTER, PAT, kvmclock, EFER, SYSCALL, segment bases. */
test.for([0x10, 0x1b, 0x174, 0x277, 0x4b56_4d01, 0xc000_0080, 0xc000_0082, 0xc000_0100])("what every kernel needs is not among them: %i", (index) => {
  expect(DENIED_MSRS.filter(({ first, last }) => index >= first && index <= last)).toEqual([]);
});
