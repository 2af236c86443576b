// Every way in which KVM_RUN ends, made by guests of a few instructions on the real API.
import { expect, test } from "vitest";
import * as vcpuCalls from "../../../linux/kvm-vcpu.ts";
import { getRegs, setRegs } from "../../../linux/kvm-vcpu.ts";
import { readControl, writeControl, writeTable } from "../../../linux/kvm-structs.ts";
import { CODE, tinyGuest } from "./tiny-guest.ts";

const HLT = 0xf4;

test("halt: HLT without the kernel's interrupt controllers", () => {
  using guest = tinyGuest([0xb8, 0x34, 0x12, HLT]); // mov ax, 0x1234
  expect(guest.vcpu.run()).toEqual({ kind: "halt" });
  expect(getRegs(guest.handle.fd)).toMatchObject({ rax: 0x1234n, rip: BigInt(CODE + 4) });
});

test("io: a byte written, with port and value", () => {
  using guest = tinyGuest([0xb0, 0x41, 0xba, 0xf8, 0x03, 0xee, HLT]); // mov al, 'A'; mov dx, 0x3f8; out dx, al
  const exit = guest.vcpu.run();
  expect(exit).toMatchObject({ kind: "io", port: 0x3f8, size: 1, count: 1, isWrite: true });
  if (exit.kind === "io") expect([...guest.vcpu.ioData(exit)]).toEqual([0x41]);
  expect(guest.vcpu.run().kind).toBe("halt");
});

test("io: a word read gives the guest what was filled in", () => {
  using guest = tinyGuest([0xe5, 0x70, HLT]); // in ax, 0x70
  const exit = guest.vcpu.run();
  expect(exit).toMatchObject({ kind: "io", port: 0x70, size: 2, count: 1, isWrite: false });
  if (exit.kind === "io") guest.vcpu.ioData(exit).set([0xcd, 0xab]);
  expect(guest.vcpu.run().kind).toBe("halt");
  expect(getRegs(guest.handle.fd).rax & 0xffffn).toBe(0xabcdn);
});

test("io: a string written arrives whole, in one exit or in several", () => {
  const text = "tssandbox";
  using guest = tinyGuest([0xbe, 0x00, 0x20, 0xb9, text.length, 0x00, 0xba, 0xf8, 0x03, 0xfc, 0xf3, 0x6e, HLT]); // rep outsb
  guest.memory.write(0x2000, Buffer.from(text));
  let seen = "";
  for (let exit = guest.vcpu.run(); exit.kind !== "halt"; exit = guest.vcpu.run()) {
    if (exit.kind !== "io") throw new Error(exit.kind);
    seen += Buffer.from(guest.vcpu.ioData(exit)).toString();
  }
  expect(seen).toBe(text);
});

const MMIO = { regs: { rsi: 0x10n } } as const;

test("mmio: a write outside of memory, with address and value", () => {
  // A segment base beyond memory, as only KVM_SET_SREGS can make it.
  using guest = tinyGuest([0xc7, 0x04, 0x78, 0x56, HLT], MMIO); // mov word [si], 0x5678
  moveDataSegment(guest.handle.fd.number, 0xd000_0000n);
  const exit = guest.vcpu.run();
  expect(exit).toEqual({ kind: "mmio", address: 0xd000_0010, size: 2, isWrite: true });
  if (exit.kind === "mmio") expect([...guest.vcpu.mmioData(exit)]).toEqual([0x78, 0x56]);
  expect(guest.vcpu.run().kind).toBe("halt");
});

test("mmio: a read outside of memory gives the guest what was filled in", () => {
  using guest = tinyGuest([0x66, 0x8b, 0x04, HLT], MMIO); // mov eax, [si]
  moveDataSegment(guest.handle.fd.number, 0xd000_0000n);
  const exit = guest.vcpu.run();
  expect(exit).toEqual({ kind: "mmio", address: 0xd000_0010, size: 4, isWrite: false });
  if (exit.kind === "mmio") guest.vcpu.mmioData(exit).set([0x76, 0x69, 0x72, 0x74]);
  expect(guest.vcpu.run().kind).toBe("halt");
  expect(getRegs(guest.handle.fd).rax & 0xffff_ffffn).toBe(0x7472_6976n);
});

function moveDataSegment(fd: number, base: bigint): void {
  const sregs = vcpuCalls.getSregs(fd);
  sregs.setBigUint64(24, base, true); // ds.base
  vcpuCalls.setSregs(fd, sregs);
}

test("shutdown: an exception without a table to handle it", () => {
  using guest = tinyGuest([0x0f, 0x0b]); // ud2
  const sregs = vcpuCalls.getSregs(guest.handle.fd);
  writeTable(sregs, "idt", 0n, 0);
  writeControl(sregs, "cr0", readControl(sregs, "cr0") | 1n); // protected mode: real mode's table is taken for granted
  vcpuCalls.setSregs(guest.handle.fd, sregs);
  expect(guest.vcpu.run()).toEqual({ kind: "shutdown" });
});

test("interrupted: immediate_exit returns before the guest runs", () => {
  using guest = tinyGuest([0x40, HLT]); // inc ax
  guest.vcpu.immediateExit = true;
  expect(guest.vcpu.run()).toEqual({ kind: "interrupted" });
  expect(getRegs(guest.handle.fd).rip).toBe(BigInt(CODE));
  guest.vcpu.immediateExit = false;
  expect(guest.vcpu.run()).toEqual({ kind: "halt" });
});

test("a state that no processor has is refused by the call that sets it", () => {
  using guest = tinyGuest([HLT]);
  const sregs = vcpuCalls.getSregs(guest.handle.fd);
  writeControl(sregs, "cr0", 0x8000_0000n); // paging without protection
  expect(() => vcpuCalls.setSregs(guest.handle.fd, sregs)).toThrow("KVM_SET_SREGS: invalid argument (EINVAL)");
});

test("internal-error: code outside of memory cannot be emulated", () => {
  using guest = tinyGuest([HLT]);
  const sregs = vcpuCalls.getSregs(guest.handle.fd);
  sregs.setBigUint64(0, 0xd000_0000n, true); // cs.base
  vcpuCalls.setSregs(guest.handle.fd, sregs);
  setRegs(guest.handle.fd, { rip: 0n, rflags: 2n });
  expect(guest.vcpu.run()).toMatchObject({ kind: "internal-error", suberror: 1 });
});

/** mov ecx, index; rdmsr; mov dx, 0x80; out dx, al */
const readMsr = (index: number) => [0x66, 0xb9, index & 0xff, (index >> 8) & 0xff, (index >> 16) & 0xff, index >>> 24, 0x0f, 0x32, 0xba, 0x80, 0x00, 0xee];
/** A general protection fault's vector in real mode's table, and what stands there: mov dx, 0x81; out dx, al. */
const FAULT = { vector: 13 * 4, address: 0x1800, code: [0xba, 0x81, 0x00, 0xee] };

test.each([
  ["a performance counter", 0xc1, 0x81],
  ["what it counts", 0x186, 0x81],
  ["AMD's", 0xc001_0004, 0x81],
  ["the time stamp counter", 0x10, 0x80],
])("a register of the processor's, on a machine's platform: %s", (_what, index, port) => {
  using guest = tinyGuest(readMsr(index), { platform: true });
  guest.memory.write(FAULT.vector, Uint8Array.of(FAULT.address & 0xff, FAULT.address >> 8, 0, 0));
  guest.memory.write(FAULT.address, Uint8Array.from(FAULT.code));
  let exit = guest.vcpu.run();
  for (let again = 0; again < 20 && exit.kind === "interrupted"; again++) exit = guest.vcpu.run();
  expect(exit).toMatchObject({ kind: "io", port });
});
