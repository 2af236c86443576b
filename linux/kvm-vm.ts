/** A virtual machine's descriptor. Source: Linux Documentation/virt/kvm/api.rst, section by the ioctl's name. */
import * as kvm from "./abi/kvm.ts";
import { SYS } from "./arch.ts";
import { check } from "./errors.ts";
import { Fd, fdNumber, type FdLike } from "./fd.ts";
import { scratch } from "./memory.unsafe.ts";
import { retrying } from "./syscall.unsafe.ts";

/** An ioctl whose argument is a structure that KVM reads. @throws SysError */
export function setStruct(fd: FdLike, request: number, content: Uint8Array, name: string): void {
  using s = scratch();
  check(retrying(SYS.ioctl, fdNumber(fd), request, s.copy(content)), name);
}

/** An ioctl whose argument is a structure of `size` bytes that KVM fills; `prepare` writes what KVM reads first. @throws SysError */
export function getStruct(fd: FdLike, request: number, size: number, name: string, prepare?: (view: DataView) => void): Uint8Array {
  using s = scratch();
  const block = s.reserve(size);
  prepare?.(block.view);
  check(retrying(SYS.ioctl, fdNumber(fd), request, block.address), name);
  return block.bytes.slice();
}

function setNumber(fd: FdLike, request: number, argument: number, name: string): number {
  return check(retrying(SYS.ioctl, fdNumber(fd), request, argument), name);
}

/** A structure of `size` bytes filled by `fill`. */
function struct(size: number, fill: (view: DataView) => void): Uint8Array {
  const view = new DataView(new ArrayBuffer(size));
  fill(view);
  return new Uint8Array(view.buffer);
}

/** Guest-physical memory backed by memory of this process. */
export interface MemorySlot {
  readonly slot: number;
  /** KVM_MEM_* flags. */
  readonly flags?: number;
  /** Guest-physical, and in this process; multiples of the page size. */
  readonly guestAddress: number;
  readonly hostAddress: number;
  /** Bytes; 0 removes the slot. */
  readonly size: number;
}

export function setMemorySlot(vm: FdLike, { slot, flags = 0, guestAddress, hostAddress, size }: MemorySlot): void {
  setStruct(vm, kvm.KVM_SET_USER_MEMORY_REGION, struct(32, (view) => {
    view.setUint32(0, slot, true);
    view.setUint32(4, flags, true);
    view.setBigUint64(8, BigInt(guestAddress), true);
    view.setBigUint64(16, BigInt(size), true);
    view.setBigUint64(24, BigInt(hostAddress), true);
  }), "KVM_SET_USER_MEMORY_REGION");
}

/** Three pages below 4 GiB, outside of memory, that Intel's hardware needs for real mode. Before the first vCPU. */
export function setTssAddress(vm: FdLike, address: number): void {
  setNumber(vm, kvm.KVM_SET_TSS_ADDR, address, "KVM_SET_TSS_ADDR");
}

/** One page more, for the same reason. */
export function setIdentityMapAddress(vm: FdLike, address: number): void {
  setStruct(vm, kvm.KVM_SET_IDENTITY_MAP_ADDR, struct(8, (view) => view.setBigUint64(0, BigInt(address), true)), "KVM_SET_IDENTITY_MAP_ADDR");
}

/** Interrupt controllers in the kernel: PIC, IOAPIC, and a local APIC in each vCPU. Before the first vCPU. */
export function createIrqchip(vm: FdLike): void {
  setNumber(vm, kvm.KVM_CREATE_IRQCHIP, 0, "KVM_CREATE_IRQCHIP");
}

/** The 8254 timer in the kernel; port 0x61 is left for the speaker that there is not. */
export function createPit(vm: FdLike): void {
  setStruct(vm, kvm.KVM_CREATE_PIT2, struct(64, (view) => view.setUint32(0, kvm.KVM_PIT_SPEAKER_DUMMY, true)), "KVM_CREATE_PIT2");
}

export function createVcpu(vm: FdLike, id: number): Fd {
  return new Fd(setNumber(vm, kvm.KVM_CREATE_VCPU, id, "KVM_CREATE_VCPU"));
}

/** Sets the level of an interrupt line (GSI). */
export function setInterruptLine(vm: FdLike, gsi: number, level: 0 | 1): void {
  setStruct(vm, kvm.KVM_IRQ_LINE, struct(8, (view) => {
    view.setUint32(0, gsi, true);
    view.setUint32(4, level, true);
  }), "KVM_IRQ_LINE");
}

/** From now on, adding to the eventfd is an edge on the interrupt line. */
export function connectInterrupt(vm: FdLike, eventFd: FdLike, gsi: number): void {
  setStruct(vm, kvm.KVM_IRQFD, struct(32, (view) => {
    view.setUint32(0, fdNumber(eventFd), true);
    view.setUint32(4, gsi, true);
  }), "KVM_IRQFD");
}

/** From now on, the guest's writing the 32-bit `value` to `address` adds 1 to the eventfd, and does not end KVM_RUN. */
export function connectDoorbell(vm: FdLike, eventFd: FdLike, address: number, value: number): void {
  setStruct(vm, kvm.KVM_IOEVENTFD, struct(64, (view) => {
    view.setBigUint64(0, BigInt(value), true);
    view.setBigUint64(8, BigInt(address), true);
    view.setUint32(16, 4, true);
    view.setInt32(20, fdNumber(eventFd), true);
    view.setUint32(24, kvm.KVM_IOEVENTFD_FLAG_DATAMATCH, true);
  }), "KVM_IOEVENTFD");
}

/** Sizes of structures that are saved and restored as they are. */
const CLOCK_SIZE = 48;
const PIT_SIZE = 112;
const IRQCHIP_SIZE = 520;
const IRQCHIPS = [kvm.KVM_IRQCHIP_PIC_MASTER, kvm.KVM_IRQCHIP_PIC_SLAVE, kvm.KVM_IRQCHIP_IOAPIC];

/** What KVM keeps of a VM outside of its vCPUs, as opaque bytes. */
export interface VmState {
  readonly clock: Uint8Array;
  readonly pit: Uint8Array;
  readonly irqchips: readonly Uint8Array[];
}

/** No vCPU may run meanwhile. */
export function saveVmState(vm: FdLike): VmState {
  return {
    clock: getStruct(vm, kvm.KVM_GET_CLOCK, CLOCK_SIZE, "KVM_GET_CLOCK"),
    pit: getStruct(vm, kvm.KVM_GET_PIT2, PIT_SIZE, "KVM_GET_PIT2"),
    irqchips: IRQCHIPS.map((chip) => getStruct(vm, kvm.KVM_GET_IRQCHIP, IRQCHIP_SIZE, "KVM_GET_IRQCHIP", (view) => view.setUint32(0, chip, true))),
  };
}

/** @param state of a VM with the same devices. The guest's clock goes on from where it was saved. */
export function restoreVmState(vm: FdLike, { clock, pit, irqchips }: VmState): void {
  const stopped = struct(CLOCK_SIZE, (view) => view.setBigUint64(0, new DataView(clock.buffer, clock.byteOffset).getBigUint64(0, true), true));
  setStruct(vm, kvm.KVM_SET_CLOCK, stopped, "KVM_SET_CLOCK");
  setStruct(vm, kvm.KVM_SET_PIT2, pit, "KVM_SET_PIT2");
  for (const chip of irqchips) setStruct(vm, kvm.KVM_SET_IRQCHIP, chip, "KVM_SET_IRQCHIP");
}

/** Registers that the guest may neither read nor write; `ranges` has at most 16, first and last included. */
export function denyMsrs(vm: FdLike, ranges: readonly (readonly [first: number, last: number])[]): void {
  using s = scratch();
  const filter = s.reserve(392);
  filter.view.setUint32(0, kvm.KVM_MSR_FILTER_DEFAULT_ALLOW, true);
  for (const [i, [first, last]] of ranges.entries()) {
    const at = 8 + i * 24;
    // A zero bit denies.
    const bitmap = s.reserve(((last - first + 64) >> 6) * 8);
    filter.view.setUint32(at, kvm.KVM_MSR_FILTER_READ | kvm.KVM_MSR_FILTER_WRITE, true);
    filter.view.setUint32(at + 4, last - first + 1, true);
    filter.view.setUint32(at + 8, first, true);
    filter.view.setBigUint64(at + 16, BigInt(bitmap.address), true);
  }
  check(retrying(SYS.ioctl, fdNumber(vm), kvm.KVM_X86_SET_MSR_FILTER, filter.address), "KVM_X86_SET_MSR_FILTER");
}
