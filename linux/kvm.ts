/** /dev/kvm: what the host can do, and new virtual machines. Source: Linux Documentation/virt/kvm/api.rst. */
import * as kvm from "./abi/kvm.ts";
import { SYS } from "./arch.ts";
import { O_RDWR } from "./abi/fcntl.ts";
import { check } from "./errors.ts";
import { Fd, fdNumber, type FdLike } from "./fd.ts";
import { ioctl, open } from "./file.ts";
import { CPUID_ENTRY_SIZE, decodeCpuid, type CpuidEntry } from "./kvm-structs.ts";
import { scratch } from "./memory.unsafe.ts";
import { retrying, syscall } from "./syscall.unsafe.ts";

/** Most entries that KVM gives. Source: KVM_MAX_CPUID_ENTRIES in arch/x86/include/asm/kvm_host.h. */
const MAX_CPUID_ENTRIES = 256;

/** @throws SysError ENOENT without the device, EACCES without the permission, ENXIO or ENODEV without its driver. */
export function openKvm(path = "/dev/kvm"): Fd {
  return open(path, O_RDWR);
}

/** 12 since Linux 2.6.22. */
export function kvmApiVersion(kvmFd: FdLike): number {
  return ioctl(kvmFd, kvm.KVM_GET_API_VERSION, 0, "KVM_GET_API_VERSION");
}

/** What KVM says to a KVM_CAP_*: 0 is no; more than 1 is a number of something. `fd` is /dev/kvm or a VM. */
export function checkExtension(fd: FdLike, capability: number): number {
  return ioctl(fd, kvm.KVM_CHECK_EXTENSION, capability, "KVM_CHECK_EXTENSION");
}

/** A VM without vCPUs and memory. KVM takes its vCPUs from the process that creates it only. @throws SysError */
export function createVm(kvmFd: FdLike): Fd {
  return new Fd(check(retrying(SYS.ioctl, fdNumber(kvmFd), kvm.KVM_CREATE_VM, 0), "KVM_CREATE_VM"));
}

/** Size in bytes of what a vCPU's descriptor maps: struct kvm_run and more. */
export function vcpuMapSize(kvmFd: FdLike): number {
  return ioctl(kvmFd, kvm.KVM_GET_VCPU_MMAP_SIZE, 0, "KVM_GET_VCPU_MMAP_SIZE");
}

/** The CPUID leaves that host and KVM support. */
export function supportedCpuid(kvmFd: FdLike): CpuidEntry[] {
  using s = scratch();
  const block = s.reserve(8 + MAX_CPUID_ENTRIES * CPUID_ENTRY_SIZE);
  block.view.setUint32(0, MAX_CPUID_ENTRIES, true);
  check(syscall(SYS.ioctl, fdNumber(kvmFd), kvm.KVM_GET_SUPPORTED_CPUID, block.address), "KVM_GET_SUPPORTED_CPUID");
  return decodeCpuid(block.view);
}

/** More than any KVM has: it had about 100 in 2024. */
const MAX_MSRS = 1024;

/** The registers that KVM keeps state in, to be saved and restored. */
export function msrIndices(kvmFd: FdLike): number[] {
  using s = scratch();
  const block = s.reserve(4 + MAX_MSRS * 4);
  block.view.setUint32(0, MAX_MSRS, true);
  check(syscall(SYS.ioctl, fdNumber(kvmFd), kvm.KVM_GET_MSR_INDEX_LIST, block.address), "KVM_GET_MSR_INDEX_LIST");
  return Array.from({ length: block.view.getUint32(0, true) }, (_, i) => block.view.getUint32(4 + i * 4, true));
}
