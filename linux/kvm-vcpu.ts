/** A vCPU's descriptor. Source: Linux Documentation/virt/kvm/api.rst, section by the ioctl's name. */
import process from "node:process";
import * as kvm from "./abi/kvm.ts";
import { SYS } from "./arch.ts";
import { check } from "./errors.ts";
import { fdNumber, type FdLike } from "./fd.ts";
import { getStruct, setStruct } from "./kvm-vm.ts";
import {
  decodeMsrs, decodeRegs, encodeCpuid, encodeMsrs, encodeRegs, REGS_SIZE, SREGS_SIZE, type CpuidEntry, type Msr, type Regs,
} from "./kvm-structs.ts";
import { scratch } from "./memory.unsafe.ts";
import { retrying, syscall } from "./syscall.unsafe.ts";

/** Runs the guest until it needs something: 0, or the negative errno (EINTR after a signal or where immediate_exit is set). */
export function runVcpu(vcpu: number): number {
  return syscall(SYS.ioctl, vcpu, kvm.KVM_RUN, 0);
}

export function getRegs(vcpu: FdLike): Regs {
  const bytes = getStruct(vcpu, kvm.KVM_GET_REGS, REGS_SIZE, "KVM_GET_REGS");
  return decodeRegs(new DataView(bytes.buffer));
}

/** Registers that are not named become 0. */
export function setRegs(vcpu: FdLike, regs: Partial<Regs>): void {
  setStruct(vcpu, kvm.KVM_SET_REGS, encodeRegs(regs), "KVM_SET_REGS");
}

/** struct kvm_sregs, for the functions of kvm-structs.ts. */
export function getSregs(vcpu: FdLike): DataView {
  return new DataView(getStruct(vcpu, kvm.KVM_GET_SREGS, SREGS_SIZE, "KVM_GET_SREGS").buffer);
}

export function setSregs(vcpu: FdLike, sregs: DataView): void {
  setStruct(vcpu, kvm.KVM_SET_SREGS, new Uint8Array(sregs.buffer, sregs.byteOffset, SREGS_SIZE), "KVM_SET_SREGS");
}

export function setCpuid(vcpu: FdLike, entries: readonly CpuidEntry[]): void {
  setStruct(vcpu, kvm.KVM_SET_CPUID2, encodeCpuid(entries), "KVM_SET_CPUID2");
}

/** @returns how many were set, from the first on: KVM stops at one that it refuses. */
export function setMsrs(vcpu: FdLike, msrs: readonly Msr[]): number {
  return setMsrStruct(vcpu, encodeMsrs(msrs));
}

/** The same for a struct kvm_msrs. */
export function setMsrStruct(vcpu: FdLike, msrs: Uint8Array): number {
  using s = scratch();
  return check(retrying(SYS.ioctl, fdNumber(vcpu), kvm.KVM_SET_MSRS, s.copy(msrs)), "KVM_SET_MSRS");
}

/** Those of `indices` that there are, up to the first that there is not. */
export function getMsrs(vcpu: FdLike, indices: readonly number[]): Msr[] {
  using s = scratch();
  const content = encodeMsrs(indices.map((index) => [index, 0n] as const));
  const block = s.reserve(content.length);
  block.bytes.set(content);
  const count = check(retrying(SYS.ioctl, fdNumber(vcpu), kvm.KVM_GET_MSRS, block.address), "KVM_GET_MSRS");
  return decodeMsrs(block.view, count);
}

/** The local APIC's register page. */
const LAPIC_SIZE = 1024;

export function getLapic(vcpu: FdLike): Uint8Array {
  return getStruct(vcpu, kvm.KVM_GET_LAPIC, LAPIC_SIZE, "KVM_GET_LAPIC");
}

export function setLapic(vcpu: FdLike, registers: Uint8Array): void {
  setStruct(vcpu, kvm.KVM_SET_LAPIC, registers, "KVM_SET_LAPIC");
}

/** The signals that are blocked while the thread is in KVM_RUN; bit n-1 stands for signal n. */
export function setRunSignalMask(vcpu: FdLike, mask: bigint): void {
  const content = new DataView(new ArrayBuffer(12));
  content.setUint32(0, 8, true);
  content.setBigUint64(4, mask, true);
  setStruct(vcpu, kvm.KVM_SET_SIGNAL_MASK, new Uint8Array(content.buffer), "KVM_SET_SIGNAL_MASK");
}

/** Tells the host's kernel that the guest was stopped, so that its watchdog does not complain. Only where the guest uses kvmclock. */
export function noteClockStopped(vcpu: FdLike): void {
  syscall(SYS.ioctl, fdNumber(vcpu), kvm.KVM_KVMCLOCK_CTRL, 0);
}

/** The calling thread's id. Source: gettid(2). */
export function threadId(): number {
  return syscall(SYS.gettid);
}

/** Sends a signal to one thread of this process. Source: tgkill(2). @returns 0 or the negative errno: ESRCH where it has ended. */
export function signalThread(thread: number, signal: number): number {
  return syscall(kvm.__NR_tgkill, process.pid, thread, signal);
}

/** Structures that are saved and restored as opaque bytes, in the order in which KVM wants them restored. */
const STATE = [
  ["mpState", kvm.KVM_GET_MP_STATE, kvm.KVM_SET_MP_STATE, 4],
  ["regs", kvm.KVM_GET_REGS, kvm.KVM_SET_REGS, REGS_SIZE],
  ["sregs", kvm.KVM_GET_SREGS, kvm.KVM_SET_SREGS, SREGS_SIZE],
  ["xsave", kvm.KVM_GET_XSAVE, kvm.KVM_SET_XSAVE, 4096],
  ["xcrs", kvm.KVM_GET_XCRS, kvm.KVM_SET_XCRS, 392],
  ["debugRegs", kvm.KVM_GET_DEBUGREGS, kvm.KVM_SET_DEBUGREGS, 128],
  ["lapic", kvm.KVM_GET_LAPIC, kvm.KVM_SET_LAPIC, LAPIC_SIZE],
  ["events", kvm.KVM_GET_VCPU_EVENTS, kvm.KVM_SET_VCPU_EVENTS, 64],
] as const;

export type VcpuState = Readonly<Record<(typeof STATE)[number][0], Uint8Array>>;

/** All but CPUID and MSRs. The vCPU must not be running, and must have finished its last exit. */
export function saveVcpuState(vcpu: FdLike): VcpuState {
  return Object.fromEntries(STATE.map(([name, request, , size]) => [name, getStruct(vcpu, request, size, `save ${name}`)])) as unknown as VcpuState;
}

/** Into a vCPU that already has the same CPUID. */
export function restoreVcpuState(vcpu: FdLike, state: VcpuState): void {
  for (const [name, , request] of STATE) setStruct(vcpu, request, state[name], `restore ${name}`);
}
