// Guests of a few bytes of machine code, in real mode, on the KVM of this machine.
import { getSregs, setRegs, setSregs } from "../../../linux/kvm-vcpu.ts";
import { writeSegment, type Regs } from "../../../linux/kvm-structs.ts";
import { Vcpu } from "../../../vmm/kvm/vcpu.ts";
import { Vm, type VcpuHandle } from "../../../vmm/kvm/vm.ts";
import { createGuestMemory, type GuestMemory } from "../../../vmm/memory.ts";

export const CODE = 0x1000;

export interface TinyGuest extends Disposable {
  readonly vm: Vm;
  readonly memory: GuestMemory;
  readonly handle: VcpuHandle;
  readonly vcpu: Vcpu;
}

export interface TinyOptions {
  readonly regs?: Partial<Regs>;
  /** With the kernel's interrupt controllers; HLT then waits in the kernel. */
  readonly platform?: boolean;
  readonly memoryBytes?: number;
}

/** A VM with one vCPU about to run `code` in real mode, all segments at 0, the stack below the code. */
export function tinyGuest(code: readonly number[], options: TinyOptions = {}): TinyGuest {
  const vm = Vm.create();
  const memory = createGuestMemory(options.memoryBytes ?? 2 << 20);
  vm.addMemory(memory);
  if (options.platform === true) vm.createPlatform();
  memory.write(CODE, new Uint8Array(code));
  const handle = vm.createVcpu(0);
  realMode(handle, { rip: BigInt(CODE), rsp: BigInt(CODE), ...options.regs });
  return {
    vm, memory, handle, vcpu: new Vcpu(handle.fd.number, handle.run),
    [Symbol.dispose]() {
      handle.fd.close();
      vm[Symbol.dispose]();
    },
  };
}

/** Sets a vCPU up as after reset, but with code and data at 0. */
export function realMode(handle: VcpuHandle, regs: Partial<Regs>): void {
  const sregs = getSregs(handle.fd);
  const flat = { base: 0n, limit: 0xffff, selector: 0, present: 1, dpl: 0, db: 0, s: 1, l: 0, g: 0 };
  writeSegment(sregs, "cs", { ...flat, type: 0xb });
  for (const name of ["ds", "es", "fs", "gs", "ss"] as const) writeSegment(sregs, name, { ...flat, type: 3 });
  setSregs(handle.fd, sregs);
  setRegs(handle.fd, { rflags: 2n, ...regs });
}
