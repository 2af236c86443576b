import { expect, test } from "vitest";
import { archNames, archOf, archs } from "./arch.ts";
import { isSyscallName, syscallName, syscallNumber, syscallTable } from "./syscalls.ts";

test.each([
  ["x86_64", "read", 0],
  ["x86_64", "file_setattr", 469],
  ["x86", "socketcall", 102],
  ["x32", "read", 0x4000_0000],
  ["x32", "ioctl", 0x4000_0202],
  ["aarch64", "openat", 56],
  ["arm", "set_tls", 0xf0005],
  ["arm", "arm_sync_file_range", 341],
  ["arm", "sync_file_range2", 341],
  ["riscv64", "riscv_flush_icache", 259],
  ["s390x", "clone", 120],
  ["s390", "chown32", 212],
  ["ppc64le", "swapcontext", 249],
  ["mips", "read", 4003],
  ["mipsel64", "read", 5000],
  ["mips64n32", "read", 6000],
  ["loongarch64", "clone3", 435],
] as const)("%s %s is %d", (arch, name, number) => {
  expect(syscallNumber(arch, name)).toBe(number);
});

test("numbers lead back to names, the first of two", () => {
  expect(syscallName("x86_64", 0)).toBe("read");
  expect(syscallName("arm", 341)).toBe("arm_sync_file_range");
  expect(syscallName("x86_64", 423)).toBeUndefined();
});

test("the calls since Linux 5.1 have the same numbers everywhere", () => {
  const shared = ["pidfd_send_signal", "openat2", "landlock_restrict_self", "futex_waitv", "mseal"];
  const base: Partial<Record<string, number>> = { x32: 0x4000_0000, mips: 4000, mipsel: 4000, mips64: 5000, mipsel64: 5000, mips64n32: 6000, mipsel64n32: 6000 };
  for (const arch of archNames.filter((name) => name !== "s390")) {
    for (const name of shared) {
      expect([arch, name, (syscallNumber(arch, name) ?? 0) - (base[arch] ?? 0)]).toEqual([arch, name, syscallNumber("x86_64", name)]);
    }
  }
});

test("no s390 call has number 0, which stands for unknown ones there", () => {
  for (const arch of ["s390", "s390x"] as const) expect([...syscallTable(arch).values()]).not.toContain(0);
});

test("unknown names", () => {
  expect(syscallNumber("x86_64", "chown32")).toBeUndefined();
  expect(isSyscallName("chown32")).toBe(true);
  expect(isSyscallName("toString")).toBe(false);
});

test("each AUDIT_ARCH value stands for one ABI, but x86_64's for two", () => {
  const audits = archNames.map((name) => archs[name].audit);
  expect(new Set(audits).size).toBe(audits.length - 1);
  expect(archOf(archs.x86_64.audit, 0)).toBe("x86_64");
  expect(archOf(archs.x86_64.audit, 0x4000_0000)).toBe("x32");
  expect(archOf(archs.x86_64.audit, 0xffff_ffff)).toBe("x86_64");
  expect(archOf(1, 0)).toBeUndefined();
});
