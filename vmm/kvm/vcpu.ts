/** A vCPU and what its exits mean. */
import { EAGAIN, EINTR } from "../../linux/abi/errno.ts";
import { check } from "../../linux/errors.ts";
import { runVcpu } from "../../linux/kvm-vcpu.ts";
import { RUN } from "../../linux/kvm-structs.ts";
import type { Block } from "../../linux/memory.unsafe.ts";
import { decodeExit, INTERRUPTED, type Exit } from "./exit.ts";

export class Vcpu {
  readonly fd: number;
  readonly #run: Block;

  /** @param run struct kvm_run, mapped from the vCPU's descriptor. */
  constructor(fd: number, run: Block) {
    this.fd = fd;
    this.#run = run;
  }

  /** Runs the guest up to its next exit. Whatever a read exit asks for must be filled in before the next run. @throws SysError */
  run(): Exit {
    return this.exitOf(runVcpu(this.fd));
  }

  /** @param result of KVM_RUN, in whichever thread: 0 or a negative errno. @throws SysError for one that says nothing about the guest */
  exitOf(result: number): Exit {
    if (result === -EINTR || result === -EAGAIN) return INTERRUPTED;
    check(result, "KVM_RUN");
    return decodeExit(this.#run.view);
  }

  /** Makes the next run finish what the last exit began, and return at once. */
  set immediateExit(on: boolean) {
    this.#run.view.setUint8(RUN.immediateExit, on ? 1 : 0);
  }

  /** The data of an io exit: count * size bytes. */
  ioData(exit: Extract<Exit, { kind: "io" }>): Uint8Array {
    return this.#run.bytes.subarray(exit.dataOffset, exit.dataOffset + exit.count * exit.size);
  }

  /** The data of an mmio exit. */
  mmioData(exit: Extract<Exit, { kind: "mmio" }>): Uint8Array {
    return this.#run.bytes.subarray(RUN.mmio.data, RUN.mmio.data + exit.size);
  }
}
