// Our KVM structures against those that the C compiler knows.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import * as structs from "../../../linux/kvm-structs.ts";

/** A C program's lines `name value`. */
function probe(body: string): Map<string, string> {
  const folder = mkdtempSync(join(tmpdir(), "tssandbox-kvm-probe-"));
  try {
    const [source, program] = [join(folder, "probe.c"), join(folder, "probe")];
    writeFileSync(source, `#include <stddef.h>\n#include <stdio.h>\n#include <linux/kvm.h>\nint main(void) {\n${body}\nreturn 0; }\n`);
    execFileSync("gcc", ["-o", program, source]);
    return new Map(execFileSync(program, { encoding: "utf8" }).trim().split("\n").map((line) => line.split(" ") as [string, string]));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function numbers(expressions: Record<string, string>): Record<string, number> {
  const lines = Object.entries(expressions).map(([name, expression]) => `printf("${name} %lld\\n", (long long)(${expression}));`);
  return Object.fromEntries([...probe(lines.join("\n"))].map(([name, value]) => [name, Number(value)]));
}

const offset = (member: string) => `offsetof(struct kvm_run, ${member})`;

test("sizes and offsets are the kernel's", () => {
  const { io, mmio, internal } = structs.RUN;
  const pairs: readonly (readonly [ours: number, c: string])[] = [
    [structs.REGS_SIZE, "sizeof(struct kvm_regs)"], [structs.SREGS_SIZE, "sizeof(struct kvm_sregs)"],
    [structs.CPUID_ENTRY_SIZE, "sizeof(struct kvm_cpuid_entry2)"],
    [structs.RUN.immediateExit, offset("immediate_exit")], [structs.RUN.exitReason, offset("exit_reason")],
    [io.direction, offset("io.direction")], [io.size, offset("io.size")], [io.port, offset("io.port")], [io.count, offset("io.count")],
    [io.dataOffset, offset("io.data_offset")],
    [mmio.address, offset("mmio.phys_addr")], [mmio.data, offset("mmio.data")], [mmio.length, offset("mmio.len")], [mmio.isWrite, offset("mmio.is_write")],
    [internal.suberror, offset("internal.suberror")], [internal.count, offset("internal.ndata")], [internal.data, offset("internal.data")],
    [structs.RUN.systemEvent.type, offset("system_event.type")],
    [structs.RUN.hardwareExitReason, offset("fail_entry.hardware_entry_failure_reason")],
  ];
  const theirs = numbers(Object.fromEntries(pairs.map(([, c], i) => [`p${i}`, c])));
  expect(pairs.map(([ours, c]) => [c, ours])).toEqual(pairs.map(([, c], i) => [c, theirs[`p${i}`]]));
});

test("general registers stand where C has them", () => {
  const regs = Object.fromEntries(structs.GENERAL_REGISTERS.map((name, i) => [name, BigInt(i + 1)]));
  const view = new DataView(structs.encodeRegs(regs as structs.Regs).buffer);
  const theirs = numbers(Object.fromEntries(structs.GENERAL_REGISTERS.map((name) => [name, `offsetof(struct kvm_regs, ${name})`])));
  expect(structs.GENERAL_REGISTERS.map((name) => view.getBigUint64(theirs[name] ?? 0, true))).toEqual(Object.values(regs));
  expect(structs.decodeRegs(view)).toEqual(regs);
});

test("segments, control registers and tables stand where C has them", () => {
  const sregs = new DataView(new ArrayBuffer(structs.SREGS_SIZE));
  const segment = { base: 0x1122334455667788n, limit: 0xfffff, selector: 0x10, type: 11, present: 1, dpl: 3, db: 1, s: 1, l: 1, g: 1 };
  for (const name of structs.SEGMENTS) structs.writeSegment(sregs, name, segment);
  structs.writeTable(sregs, "gdt", 0x500n, 47);
  structs.writeTable(sregs, "idt", 0x900n, 17);
  const controls = ["cr0", "cr2", "cr3", "cr4", "cr8", "efer", "apicBase"] as const;
  for (const [i, name] of controls.entries()) structs.writeControl(sregs, name, BigInt(i + 100));
  const c = probe(`
    struct kvm_segment seg = { .base = 0x1122334455667788, .limit = 0xfffff, .selector = 0x10, .type = 11, .present = 1, .dpl = 3, .db = 1, .s = 1, .l = 1, .g = 1 };
    struct kvm_sregs v = { .cs = seg, .ds = seg, .es = seg, .fs = seg, .gs = seg, .ss = seg, .tr = seg, .ldt = seg,
      .gdt = { .base = 0x500, .limit = 47 }, .idt = { .base = 0x900, .limit = 17 },
      .cr0 = 100, .cr2 = 101, .cr3 = 102, .cr4 = 103, .cr8 = 104, .efer = 105, .apic_base = 106 };
    printf("sregs "); for (size_t i = 0; i < sizeof v; i++) printf("%02x", ((unsigned char *)&v)[i]); puts("");`);
  expect(Buffer.from(sregs.buffer).toString("hex")).toBe(c.get("sregs"));
});

test("CPUID entries and registers keep their values on the way", () => {
  const cpuid = [{ leaf: 1, subleaf: 2, flags: 3, eax: 4, ebx: 5, ecx: 6, edx: 0xffff_ffff }];
  expect(structs.decodeCpuid(new DataView(structs.encodeCpuid(cpuid).buffer))).toEqual(cpuid);
  const msrs = [[0x10, 5n], [0xc000_0080, 2n ** 64n - 1n]] as const;
  expect(structs.decodeMsrs(new DataView(structs.encodeMsrs(msrs).buffer), 2)).toEqual(msrs);
});
