/**
 * A vCPU that a thread of its own runs (linux/kvm-thread.unsafe.ts), as the device thread sees it, which answers what the guest asks for.
 *
 * To pause one is to make it finish the access that it is in, and to have it parked then: an access is finished by the next KVM_RUN, which
 * immediate_exit ends before the guest runs. Source: Linux Documentation/virt/kvm/api.rst, "immediate_exit" and KVM_RUN.
 */
import type { FdLike } from "../../linux/fd.ts";
import { getRegs, setRunSignalMask, signalThread } from "../../linux/kvm-vcpu.ts";
import type { VcpuThread, VcpuThreads } from "../../linux/kvm-thread.unsafe.ts";
import { ALL_SIGNALS } from "../../linux/signal.ts";
import { signalMask } from "../../linux/signalfd.ts";
import type { PortBus } from "../devices/ports.ts";
import { describeExit, type Exit } from "../kvm/exit.ts";
import { Vcpu } from "../kvm/vcpu.ts";
import type { VcpuHandle } from "../kvm/vm.ts";

/** Ends KVM_RUN. A real-time signal (signal(7)) that neither libc nor V8 uses. */
export const KICK_SIGNAL = 40;

/** What a vCPU finds around itself. */
export interface Surroundings {
  readonly ports: PortBus;
  /** A value in two halves. */
  read(address: number, size: number): readonly [low: number, high: number];
  write(address: number, size: number, low: number, high: number): void;
  end(kind: "reset" | "failed", text: string): void;
  /** Whether the machine's end is known: nothing that asked for it goes on. */
  readonly ended: boolean;
}

export class RunningVcpu {
  readonly handle: VcpuHandle;
  readonly #vcpu: Vcpu;
  readonly #thread: VcpuThread;
  readonly #surroundings: Surroundings;
  #wanted: "run" | "pause" = "pause";
  #stands = false;

  /** @param doorbell an eventfd that says when to `serve`. @param signals a signalfd for KICK_SIGNAL. */
  constructor(handle: VcpuHandle, threads: VcpuThreads, doorbell: FdLike, signals: FdLike, surroundings: Surroundings) {
    this.handle = handle;
    this.#surroundings = surroundings;
    this.#vcpu = new Vcpu(handle.fd.number, handle.run);
    setRunSignalMask(handle.fd, ALL_SIGNALS & ~signalMask([KICK_SIGNAL]));
    this.#thread = threads.start(handle.fd, handle.run, doorbell, signals);
  }

  /** Whether it does not run, and owes the guest nothing: its state can be read and set. */
  get stands(): boolean {
    return this.#stands;
  }

  run(): void {
    this.#wanted = "run";
    if (this.#stands) this.#go();
  }

  /** It stands after some `serve`. */
  pause(): void {
    this.#wanted = "pause";
  }

  /** Interrupts KVM_RUN; once more where it does not heed, since the signal may have come just before. */
  kick(): void {
    if (this.#thread.parked) return;
    this.#vcpu.immediateExit = true;
    signalThread(this.#thread.id, KICK_SIGNAL);
  }

  /** Precondition: it stands. Its thread is gone then, and it does not run again. */
  end(): void {
    this.#thread.end();
  }

  /** Answers its last exit, if there is one. */
  serve(): void {
    if (this.#stands || !this.#thread.parked) return;
    const exit = this.#vcpu.exitOf(this.#thread.result);
    const done = exit.kind === "interrupted" && this.#wanted === "pause";
    if (!done) this.#answer(exit);
    if (done || this.#surroundings.ended) this.#stands = true;
    else this.#go();
  }

  #go(): void {
    this.#stands = false;
    this.#vcpu.immediateExit = this.#wanted === "pause";
    this.#thread.go();
  }

  #answer(exit: Exit): void {
    switch (exit.kind) {
      case "io": return this.#io(exit);
      case "mmio": return this.#mmio(exit);
      case "interrupted":
      case "halt": return undefined;
      case "shutdown": return this.#surroundings.end("reset", `a triple fault at 0x${getRegs(this.handle.fd).rip.toString(16)}`);
      default: return this.#surroundings.end("failed", describeExit(exit));
    }
  }

  #io(exit: Extract<Exit, { kind: "io" }>): void {
    const { ports } = this.#surroundings;
    const data = this.#vcpu.ioData(exit);
    if (exit.isWrite) ports.write(exit.port, exit.size, data);
    else ports.read(exit.port, exit.size, data);
  }

  #mmio(exit: Extract<Exit, { kind: "mmio" }>): void {
    const data = this.#vcpu.mmioData(exit);
    if (exit.isWrite) {
      this.#surroundings.write(exit.address, exit.size, ...halves(data));
      return;
    }
    const answer = this.#surroundings.read(exit.address, exit.size);
    for (let i = 0; i < data.length; i++) data[i] = ((answer[i >> 2] ?? 0) >>> ((i & 3) * 8)) & 0xff;
  }
}

function halves(data: Uint8Array): readonly [low: number, high: number] {
  let [low, high] = [0, 0];
  for (const [i, byte] of data.entries()) {
    if (i < 4) low = (low | (byte << (i * 8))) >>> 0;
    else high = (high | (byte << ((i - 4) * 8))) >>> 0;
  }
  return [low, high];
}
