/** What this host can do for micro-VMs, in plain words: `tssandbox vm check`. */
import { readFileSync } from "node:fs";
import { EACCES, ENODEV, ENOENT, ENXIO, EPERM } from "../linux/abi/errno.ts";
import { isErrno, messageOf } from "../linux/errors.ts";
import type { Fd } from "../linux/fd.ts";
import { openKvm } from "../linux/kvm.ts";
import { getSregs, setRegs, setSregs } from "../linux/kvm-vcpu.ts";
import { writeSegment } from "../linux/kvm-structs.ts";
import { now } from "../linux/sleep.ts";
import { Vcpu } from "./kvm/vcpu.ts";
import { Vm } from "./kvm/vm.ts";
import { createGuestMemory } from "./memory.ts";

export type Readiness =
  | { readonly kind: "no-device" }
  | { readonly kind: "no-permission" }
  /** The device is there, and does not do what we need. */
  | { readonly kind: "unusable"; readonly reason: string }
  /** Guests are emulated: correct, and too slow for a kernel. */
  | { readonly kind: "software"; readonly nanosecondsPerInstruction: number }
  /** Hardware virtualization inside a virtual machine. */
  | { readonly kind: "nested"; readonly nanosecondsPerInstruction: number }
  | { readonly kind: "ready"; readonly nanosecondsPerInstruction: number };

/** A guest instruction takes less than a nanosecond on hardware, and 10 to 200 ns where the hardware itself is emulated, by a machine that is busy; a software KVM takes 500. */
const SOFTWARE_NANOSECONDS = 250;

/** @param device for tests. */
export function checkVm(device = "/dev/kvm", cpuinfo = "/proc/cpuinfo"): Readiness {
  let kvm: Fd;
  try {
    kvm = openKvm(device);
  } catch (error) {
    if (isErrno(error, ENOENT, ENXIO, ENODEV)) return { kind: "no-device" };
    if (isErrno(error, EACCES, EPERM)) return { kind: "no-permission" };
    return { kind: "unusable", reason: messageOf(error) };
  }
  try {
    return judge(measureInstruction(kvm), readFileSync(cpuinfo, "utf8"));
  } catch (error) {
    return { kind: "unusable", reason: messageOf(error) };
  } finally {
    kvm.close();
  }
}

/** @param cpuinfo content of /proc/cpuinfo. */
export function judge(nanosecondsPerInstruction: number, cpuinfo: string): Readiness {
  if (nanosecondsPerInstruction > SOFTWARE_NANOSECONDS) return { kind: "software", nanosecondsPerInstruction };
  return { kind: /^flags\s*:.*\bhypervisor\b/m.test(cpuinfo) ? "nested" : "ready", nanosecondsPerInstruction };
}

export function describeReadiness(readiness: Readiness): string {
  switch (readiness.kind) {
    case "no-device": return "no: there is no /dev/kvm. The processor or its firmware does not offer virtualization, or the kernel module kvm_intel or kvm_amd is not loaded";
    case "no-permission": return "no: /dev/kvm is there, but this user may not open it. Members of its group (often kvm) may";
    case "unusable": return `no: /dev/kvm is there, but not usable: ${readiness.reason}`;
    case "software": return `no: this KVM has no hardware behind it and emulates guests, ${time(readiness)}: a kernel would take minutes to boot`;
    case "nested": return `yes, nested: this machine is itself virtual; ${time(readiness)}. Exits from the guest cost more than on hardware`;
    case "ready": return `yes: hardware virtualization; ${time(readiness)}`;
    default: return readiness satisfies never;
  }
}

function time({ nanosecondsPerInstruction }: { nanosecondsPerInstruction: number }): string {
  return `${nanosecondsPerInstruction < 10 ? nanosecondsPerInstruction.toFixed(1) : Math.round(nanosecondsPerInstruction)} ns for an instruction`;
}

const LOOPS = 4000;
/** On a busy machine most runs are interrupted; a short one among several is not. */
const MAX_RUNS = 64;
const MIN_RUNS = 3;
const CODE_ADDRESS = 0x1000;
/** mov cx, LOOPS; again: loop again; hlt */
const PROGRAM = [0xb9, LOOPS & 0xff, LOOPS >> 8, 0xe2, 0xfe, 0xf4];

/** Nanoseconds for one instruction of a guest that counts down in real mode: the best of several runs. */
function measureInstruction(kvm: Fd): number {
  const vm = Vm.create(kvm);
  const memory = createGuestMemory(2 << 20);
  vm.addMemory(memory);
  memory.write(CODE_ADDRESS, new Uint8Array(PROGRAM));
  const handle = vm.createVcpu(0);
  const vcpu = new Vcpu(handle.fd.number, handle.run);
  const sregs = getSregs(handle.fd);
  writeSegment(sregs, "cs", { base: 0n, limit: 0xffff, selector: 0, type: 0xb, present: 1, dpl: 0, db: 0, s: 1, l: 0, g: 0 });
  setSregs(handle.fd, sregs);
  let best = Infinity;
  for (let run = 0; run < MIN_RUNS || (run < MAX_RUNS && best > SOFTWARE_NANOSECONDS); run++) {
    setRegs(handle.fd, { rip: BigInt(CODE_ADDRESS), rflags: 2n });
    const start = now();
    const exit = vcpu.run();
    if (exit.kind !== "halt") throw new Error(`the measuring guest ended with ${exit.kind}`);
    best = Math.min(best, ((now() - start) * 1e6) / LOOPS);
  }
  handle.fd.close();
  vm.fd.close();
  return best;
}
