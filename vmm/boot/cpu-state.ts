/**
 * The first vCPU's registers at a kernel's entry. Sources: Linux Documentation/arch/x86/boot.rst, "64-bit Boot Protocol"; Xen
 * docs/misc/pvh.pandoc, "Domain start state"; AMD64 Architecture Programmer's Manual volume 2, 4 and 5 (segments, paging).
 */
import type { FdLike } from "../../linux/fd.ts";
import { getSregs, setMsrs, setRegs, setSregs } from "../../linux/kvm-vcpu.ts";
import { writeControl, writeSegment, writeTable } from "../../linux/kvm-structs.ts";
import { BOOT } from "../layout.ts";
import type { GuestMemory } from "../memory.ts";
import type { Entry } from "./linux-kernel.ts";

const CR0_PROTECTED = 0x1n;
const CR0_EXTENSION = 0x10n;
const CR0_PAGING = 0x8000_0000n;
const CR4_PAE = 0x20n;
const EFER_LONG_ENABLED = 0x100n;
const EFER_LONG_ACTIVE = 0x400n;

/** Selectors of the boot protocol: __BOOT_CS, __BOOT_DS. */
const CODE_SELECTOR = 0x10;
const DATA_SELECTOR = 0x18;
const TASK_SELECTOR = 0x20;

const FLAT = { base: 0n, limit: 0xffff_ffff, present: 1, dpl: 0, s: 1, g: 1 } as const;
const DATA = { ...FLAT, selector: DATA_SELECTOR, type: 3, db: 1, l: 0 } as const;
const TASK = { ...FLAT, limit: 0x67, selector: TASK_SELECTOR, type: 11, s: 0, db: 0, l: 0, g: 0 } as const;

/** The same as descriptors, for a guest that loads a selector again: null, null, code, data, task. */
function descriptors(longMode: boolean): Uint8Array {
  const code = longMode ? 0x00af_9b00_0000_ffffn : 0x00cf_9b00_0000_ffffn;
  return new Uint8Array(new BigUint64Array([0n, 0n, code, 0x00cf_9300_0000_ffffn, 0x0000_8b00_0000_0067n, 0n]).buffer);
}

/** Maps the first 4 GiB to themselves with pages of 2 MiB. The kernel replaces the tables as soon as it has its own. */
function pageTables(): Uint8Array {
  const PRESENT_WRITABLE = 3;
  const LARGE = 0x80;
  const tables = new BigUint64Array(6 * 512);
  tables[0] = BigInt(BOOT.pageTables + 0x1000 + PRESENT_WRITABLE);
  for (let gigabyte = 0; gigabyte < 4; gigabyte++) tables[512 + gigabyte] = BigInt(BOOT.pageTables + 0x2000 + gigabyte * 0x1000 + PRESENT_WRITABLE);
  for (let page = 0; page < 4 * 512; page++) tables[1024 + page] = BigInt(page * 0x20_0000 + LARGE + PRESENT_WRITABLE);
  return new Uint8Array(tables.buffer);
}

const MSR_MTRR_DEFAULT = 0x2ff;
const MTRR_ENABLED_WRITE_BACK = 0x806n;

/** Prepares the boot vCPU. The others wait for it in the state in which KVM makes them. */
export function setBootState(vcpu: FdLike, memory: GuestMemory, entry: Entry): void {
  const longMode = entry.mode === "long";
  memory.write(BOOT.gdt, descriptors(longMode));
  const sregs = getSregs(vcpu);
  writeSegment(sregs, "cs", { ...FLAT, selector: CODE_SELECTOR, type: 11, db: longMode ? 0 : 1, l: longMode ? 1 : 0 });
  for (const name of ["ds", "es", "fs", "gs", "ss"] as const) writeSegment(sregs, name, DATA);
  writeSegment(sregs, "tr", TASK);
  writeTable(sregs, "gdt", BigInt(BOOT.gdt), 6 * 8 - 1);
  writeTable(sregs, "idt", 0n, 0);
  writeControl(sregs, "cr0", CR0_PROTECTED | CR0_EXTENSION | (longMode ? CR0_PAGING : 0n));
  if (longMode) {
    memory.write(BOOT.pageTables, pageTables());
    writeControl(sregs, "cr3", BigInt(BOOT.pageTables));
    writeControl(sregs, "cr4", CR4_PAE);
    writeControl(sregs, "efer", EFER_LONG_ENABLED | EFER_LONG_ACTIVE);
  }
  setSregs(vcpu, sregs);
  setMsrs(vcpu, [[MSR_MTRR_DEFAULT, MTRR_ENABLED_WRITE_BACK]]);
  setRegs(vcpu, {
    rip: BigInt(entry.address), rflags: 2n,
    ...(entry.mode === "long" ? { rsi: BigInt(entry.bootParams) } : { rbx: BigInt(entry.startInfo) }),
  });
}
