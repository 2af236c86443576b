// What a guest is told before it runs: tables, memory map, CPUID, archives; and what the host is told about itself.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ensurePackages } from "../../packages.ts";
import { supportedCpuid, openKvm } from "../../../linux/kvm.ts";
import { acpiTables } from "../../../vmm/boot/acpi.ts";
import { integer, name, packageOf } from "../../../vmm/boot/aml.ts";
import { loadKernel } from "../../../vmm/boot/linux-kernel.ts";
import { memoryMap } from "../../../vmm/boot/memory-map.ts";
import { checkVm, describeReadiness, judge } from "../../../vmm/check.ts";
import { parseConfig } from "../../../vmm/config.ts";
import { cpioArchive } from "../../../vmm/image/cpio.ts";
import { loadOrder, unpacked } from "../../../vmm/image/modules.ts";
import { BIT_RULES, EMPTY_LEAVES, guestCpuid } from "../../../vmm/kvm/cpuid.ts";
import { BOOT } from "../../../vmm/layout.ts";
import { createGuestMemory } from "../../../vmm/memory.ts";
import { pvhKernel } from "./tiny-kernel.ts";

const folder = mkdtempSync(join(tmpdir(), "tssandbox-vmm-boot-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const sum = (bytes: Uint8Array) => bytes.reduce((total, byte) => (total + byte) & 0xff, 0);

describe("ACPI", () => {
  const tables = Buffer.from(acpiTables({ vcpus: 2, windows: [{ address: 0xd000_0000, interrupt: 16 }, { address: 0xd000_1000, interrupt: 17 }] }));
  const at = (address: number) => {
    const start = address - BOOT.acpi;
    return tables.subarray(start, start + tables.readUInt32LE(start + 4));
  };
  const xsdt = at(Number(tables.readBigUInt64LE(24)));
  const listed = [0, 1].map((i) => at(Number(xsdt.readBigUInt64LE(36 + 8 * i))));
  const dsdt = at(Number(listed[0]?.readBigUInt64LE(140)));

  beforeAll(() => ensurePackages(["acpica-tools"]));

  test("root pointer and tables have their signatures and checksums", () => {
    expect([tables.toString("latin1", 0, 8), sum(tables.subarray(0, 20)), sum(tables.subarray(0, 36))]).toEqual(["RSD PTR ", 0, 0]);
    const all = [xsdt, ...listed, dsdt];
    expect(all.map((table) => [table.toString("latin1", 0, 4), sum(table)])).toEqual([["XSDT", 0], ["FACP", 0], ["APIC", 0], ["DSDT", 0]]);
  });

  test("ACPICA's disassembler reads the devices back, and its compiler makes the same bytes of them", () => {
    const file = join(folder, "dsdt.dat");
    writeFileSync(file, dsdt);
    execFileSync("iasl", ["-d", file], { stdio: "pipe" });
    const source = readFileSync(join(folder, "dsdt.dsl"), "utf8");
    expect(source.match(/LNRO0005/g)).toHaveLength(2);
    for (const part of ["ACPI0013", "PNP0501", "PNP0B00", "PNP0C0C", "Method (_EVT, 1", "Notify (\\_SB.PWRB, 0x80)", "Name (\\_S5"]) expect(source).toContain(part);
    execFileSync("iasl", ["-oa", "-p", join(folder, "again"), join(folder, "dsdt.dsl")], { stdio: "pipe" });
    // Without its optimizations, but with the header that names the compiler.
    expect(readFileSync(join(folder, "again.aml")).subarray(36).toString("hex")).toBe(dsdt.subarray(36).toString("hex"));
  });

  test("lengths of every form are encoded", () => {
    const lengths = [1, 70, 5000, 2_000_000].map((count) => packageOf(Array.from({ length: count }, () => 0)).length - count);
    expect(lengths).toEqual([3, 4, 5, 6]);
    expect([integer(0), integer(1), integer(2), integer(256), integer(2 ** 32)].map((aml) => aml.length)).toEqual([1, 1, 2, 3, 9]);
    expect(Buffer.from(name("\\_SB.A")).toString("latin1")).toBe("\\._SB_A___");
  });
});

const ram = (size: number) => memoryMap(size).filter(({ type }) => type === 1);

test("the memory map covers memory and nothing else, in order, around the hole", () => {
  expect(ram(512 << 20).at(-1)).toEqual({ start: 0x10_0000, size: (512 << 20) - 0x10_0000, type: 1 });
  expect(ram(4 * 2 ** 30).slice(1)).toEqual([
    { start: 0x10_0000, size: 0xc000_0000 - 0x10_0000, type: 1 }, { start: 2 ** 32, size: 2 ** 30, type: 1 },
  ]);
});

const load = (kernel: Uint8Array, commandLine = "") => loadKernel(createGuestMemory(4 << 20), { kernel, commandLine });

describe("kernels", () => {
  test("an ELF file is entered by its PVH note", () => {
    expect(load(pvhKernel([0xf4]))).toEqual({ mode: "protected", address: 0x10_0000, startInfo: BOOT.pvhStartInfo });
  });

  test.for([
    ["an empty file", new Uint8Array(), "too short"],
    ["something else", new Uint8Array(8192).fill(65), "neither a bzImage nor an ELF file"],
    ["an ELF file without the note", Buffer.concat([Uint8Array.of(0x7f, 0x45, 0x4c, 0x46), Buffer.alloc(8192)]), "no PVH entry"],
  ] as const)("%s is refused", ([, kernel, message]) => {
    expect(() => load(kernel)).toThrow(message);
  });

  test("a command line that is too long is refused", () => {
    expect(() => load(pvhKernel([0xf4]), "x".repeat(70_000))).toThrow("command line");
  });

  test("an initramfs that does not fit is refused", () => {
    const memory = createGuestMemory(4 << 20);
    expect(() => loadKernel(memory, { kernel: pvhKernel([0xf4]), initramfs: new Uint8Array(4 << 20), commandLine: "" })).toThrow("too small");
  });
});

describe("CPUID", () => {
  using kvm = openKvm();
  const supported = supportedCpuid(kvm);
  const leaf = (id: number, wanted: number, count = 4) => guestCpuid(supported, { id, count }).find((entry) => entry.leaf === wanted);

  test("each rule is kept, on every host", () => {
    const entries = guestCpuid(supported, { id: 0, count: 1 });
    for (const { leaf: wanted, subleaf, register, bit, to, reason } of BIT_RULES) {
      for (const entry of entries.filter((found) => found.leaf === wanted && (subleaf === undefined || found.subleaf === subleaf))) {
        expect((entry[register] >>> bit) & 1, reason).toBe(to);
      }
    }
    for (const entry of entries.filter((found) => EMPTY_LEAVES[found.leaf] !== undefined)) {
      expect([entry.eax, entry.ebx, entry.ecx, entry.edx]).toEqual([0, 0, 0, 0]);
    }
  });

  test("each processor has its own id, and all know how many they are", () => {
    expect([0, 3].map((id) => leaf(id, 1)?.ebx).map((ebx) => [(ebx ?? 0) >>> 24, ((ebx ?? 0) >>> 16) & 0xff])).toEqual([[0, 4], [3, 4]]);
    expect([0, 3].map((id) => leaf(id, 0xb)?.edx)).toEqual([0, 3]);
    expect(guestCpuid(supported, { id: 1, count: 3 }).filter((entry) => entry.leaf === 0xb).map(({ eax, ebx }) => [eax, ebx])).toEqual([[0, 1], [2, 3], [0, 0]]);
  });
});

describe("vm check", () => {
  test("a host without the device, one without the permission", () => {
    expect(checkVm(join(folder, "missing")).kind).toBe("no-device");
    writeFileSync(join(folder, "file"), "");
    expect(checkVm(join(folder, "file")).kind).toBe("unusable");
  });

  test("this host's KVM is judged by its speed", () => {
    const readiness = checkVm();
    const flags = /^flags\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "";
    expect(readiness.kind === "software").toBe(!/\b(vmx|svm)\b/.test(flags));
    expect(describeReadiness(readiness)).toMatch(/^(yes|no)[:,]/);
  });

  test("nested and not", () => {
    expect([judge(500, ""), judge(1, "flags : fpu hypervisor svm\n"), judge(1, "flags : fpu svm\n")].map(({ kind }) => kind)).toEqual(["software", "nested", "ready"]);
  });
});

test("an archive is one that cpio reads", () => {
  const archive = cpioArchive([
    { kind: "directory", path: "d" }, { kind: "file", path: "d/f", content: "content", mode: 0o755 }, { kind: "link", path: "l", target: "d/f" },
  ]);
  const file = join(folder, "archive");
  writeFileSync(file, archive);
  const target = mkdtempSync(join(folder, "unpacked-"));
  execFileSync("busybox", ["cpio", "-idm", "-F", file], { cwd: target, stdio: "pipe" });
  expect([readFileSync(join(target, "l"), "utf8"), existsSync(join(target, "d/f"))]).toEqual(["content", true]);
  expect(execFileSync("stat", ["-c", "%a", join(target, "d/f")], { encoding: "utf8" }).trim()).toBe("755");
});

test("modules are loaded after what they need; what is built in is not; what is missing is named", () => {
  const dep = "kernel/a.ko: kernel/b.ko kernel/c.ko\nkernel/b.ko: kernel/c.ko\nkernel/c.ko:\nkernel/d-e.ko:\n";
  expect(loadOrder(dep, "kernel/f.ko\n", ["a", "b", "d_e", "f"])).toEqual(["kernel/c.ko", "kernel/b.ko", "kernel/a.ko", "kernel/d-e.ko"]);
  expect(loadOrder(dep, "", ["c"], ["b", "g"])).toEqual(["kernel/c.ko", "kernel/b.ko"]);
  expect(() => loadOrder(dep, "", ["g"])).toThrow("no module g");
});

test("a configuration that is wrong is named", () => {
  const good = { vcpus: 1, memoryMegabytes: 64, source: { kind: "boot", kernel: { path: "/k" }, commandLine: "" } };
  expect(parseConfig(JSON.stringify(good))).toMatchObject({ devices: [] });
  expect(() => parseConfig(JSON.stringify({ ...good, vcpus: 0 }))).toThrow("vcpus");
  expect(() => parseConfig(JSON.stringify({ ...good, devices: [{ kind: "net", tap: "t", mac: "zz" }] }))).toThrow("devices.0.mac");
  expect(() => parseConfig(JSON.stringify({ ...good, extra: 1 }))).toThrow("extra");
});

test("compressed modules are unpacked", () => {
  const content = Buffer.from("a module ".repeat(100));
  const packed: Record<string, Uint8Array> = { "m.ko": content, "m.ko.gz": gzipSync(content), "m.ko.zst": zstdCompressSync(content), "m.ko.xz": execFileSync("xz", ["-c"], { input: content }) };
  for (const [path, bytes] of Object.entries(packed)) expect(Buffer.from(unpacked(path, bytes)).equals(content), path).toBe(true);
  expect(() => unpacked("m.o", content)).toThrow("not a kernel module's name");
});
