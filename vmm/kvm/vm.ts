/** A VM as the thread sees it that sets it up: memory, interrupt controllers, vCPUs. */
import * as kvm from "../../linux/abi/kvm.ts";
import { SysError } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { checkExtension, createVm, kvmApiVersion, openKvm, vcpuMapSize } from "../../linux/kvm.ts";
import { mapForever } from "../../linux/kvm-memory.unsafe.ts";
import * as vmIoctl from "../../linux/kvm-vm.ts";
import type { Block } from "../../linux/memory.unsafe.ts";
import { KVM_IDENTITY_MAP, KVM_TSS } from "../layout.ts";
import type { GuestMemory } from "../memory.ts";
import { DENIED_MSRS } from "./msrs.ts";

export interface VcpuHandle {
  readonly id: number;
  readonly fd: Fd;
  readonly run: Block;
}

/** What we cannot do without; all are older than our kernel floor, but a software KVM may lack them. */
const NEEDED = {
  KVM_CAP_IRQCHIP: kvm.KVM_CAP_IRQCHIP,
  KVM_CAP_USER_MEMORY: kvm.KVM_CAP_USER_MEMORY,
  KVM_CAP_EXT_CPUID: kvm.KVM_CAP_EXT_CPUID,
  KVM_CAP_IRQFD: kvm.KVM_CAP_IRQFD,
  KVM_CAP_IOEVENTFD: kvm.KVM_CAP_IOEVENTFD,
  KVM_CAP_IMMEDIATE_EXIT: kvm.KVM_CAP_IMMEDIATE_EXIT,
} as const;

/** @throws SysError naming the first capability that this KVM lacks. */
export function requireCapabilities(kvmFd: Fd): void {
  if (kvmApiVersion(kvmFd) !== kvm.KVM_API_VERSION) throw new SysError({ syscall: "KVM_GET_API_VERSION", errno: 0, hint: "not the API of version 12" });
  for (const [name, capability] of Object.entries(NEEDED)) {
    if (checkExtension(kvmFd, capability) === 0) throw new SysError({ syscall: "KVM_CHECK_EXTENSION", errno: 0, hint: `this KVM has no ${name}` });
  }
}

export class Vm {
  readonly kvm: Fd;
  readonly fd: Fd;
  #slots = 0;

  private constructor(kvmFd: Fd) {
    this.kvm = kvmFd;
    this.fd = createVm(kvmFd);
  }

  /** @param kvmFd taken over. */
  static create(kvmFd: Fd = openKvm()): Vm {
    requireCapabilities(kvmFd);
    return new Vm(kvmFd);
  }

  addMemory(memory: GuestMemory): void {
    for (const { start, block } of memory.regions) this.addSlot(start, block);
  }

  /** Guest-physical memory that is not the guest's main memory: pmem, for instance. */
  addSlot(guestAddress: number, block: Block, flags = 0): void {
    vmIoctl.setMemorySlot(this.fd, { slot: this.#slots++, flags, guestAddress, hostAddress: block.address, size: block.size });
  }

  /** Interrupt controllers and timer in the kernel, and the registers that no guest gets (msrs.ts). Before the first vCPU. */
  createPlatform(): void {
    // Linux 5.10; a software KVM may lack it, and has no such registers.
    if (checkExtension(this.kvm, kvm.KVM_CAP_X86_MSR_FILTER) !== 0) vmIoctl.denyMsrs(this.fd, DENIED_MSRS.map(({ first, last }) => [first, last]));
    vmIoctl.setTssAddress(this.fd, KVM_TSS);
    vmIoctl.setIdentityMapAddress(this.fd, KVM_IDENTITY_MAP);
    vmIoctl.createIrqchip(this.fd);
    vmIoctl.createPit(this.fd);
  }

  createVcpu(id: number): VcpuHandle {
    const fd = vmIoctl.createVcpu(this.fd, id);
    return { id, fd, run: mapForever(fd, vcpuMapSize(this.kvm)) };
  }

  [Symbol.dispose](): void {
    this.fd.close();
    this.kvm.close();
  }
}
