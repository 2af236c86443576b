/**
 * The thread of one vCPU: KVM_RUN, and what its exits ask for. Ports and the interrupt registers of virtio are answered here, from state in
 * shared memory; everything else is asked of the device thread.
 */
import { workerData } from "node:worker_threads";
import { addEvents } from "../../linux/eventfd.ts";
import { messageOf } from "../../linux/errors.ts";
import { getRegs, setRunSignalMask, threadId } from "../../linux/kvm-vcpu.ts";
import { mappedElsewhere } from "../../linux/kvm-memory.unsafe.ts";
import { ALL_SIGNALS, setSignalMask } from "../../linux/signal.ts";
import { createSignalFd, signalMask, takeSignal } from "../../linux/signalfd.ts";
import type { Fd } from "../../linux/fd.ts";
import { PortBus } from "../devices/ports.ts";
import { KeyboardController, SleepControl, type PowerEvent } from "../devices/power.ts";
import { Rtc } from "../devices/rtc.ts";
import { Serial } from "../devices/serial.ts";
import { sendToConsole } from "../devices/console-output.ts";
import { describeExit, type Exit } from "../kvm/exit.ts";
import { Vcpu } from "../kvm/vcpu.ts";
import { InterruptStatus } from "../virtio/interrupt-status.ts";
import { Mailbox, type RequestKind } from "./mailbox.ts";
import { KICK_SIGNAL, type VcpuThreadData } from "./vcpu-data.ts";

class VcpuThread {
  readonly #vcpu: Vcpu;
  readonly #mailbox: Mailbox;
  readonly #ports: PortBus;
  readonly #interrupts: InterruptStatus;
  readonly #ring: () => void;
  readonly #signals: Fd;
  /** What ends the machine has been told: KVM_RUN would only meet it again. */
  #ended = false;

  constructor(data: VcpuThreadData) {
    this.#mailbox = new Mailbox(data.mailbox);
    this.#interrupts = new InterruptStatus(data.interruptStatus);
    this.#ring = () => addEvents(data.doorbell, 1n);
    this.#ports = new PortBus(this.#portDevices(data));
    // Every signal waits, but for the kick while in KVM_RUN. It stays pending then, and is taken from the signalfd.
    setSignalMask(ALL_SIGNALS);
    const kick = signalMask([KICK_SIGNAL]);
    this.#signals = createSignalFd(kick);
    const { fd, address, size } = this.#mailbox.awaitVcpu();
    this.#vcpu = new Vcpu(fd, mappedElsewhere(address, size));
    setRunSignalMask(fd, ALL_SIGNALS & ~kick);
    this.#mailbox.setThread(threadId());
  }

  #portDevices(data: VcpuThreadData) {
    const onPower = (event: PowerEvent) => this.#tell(event);
    const serial = new Serial(data.serial, {
      send: (byte) => sendToConsole(data.consoleFd, byte),
      interrupt: () => addEvents(data.serialInterrupt, 1n),
    });
    return [serial, new Rtc(data.rtc), new KeyboardController(onPower), new SleepControl(onPower)];
  }

  /** Runs until told to stop. A failure of the guest or of KVM is told, and ends the thread. */
  run(): void {
    while (!this.#ended && this.#obey()) {
      const exit = this.#vcpu.run();
      if (!this.#handle(exit)) this.#tell("failure", describeExit(exit));
    }
    this.#mailbox.setPhase("stopped");
    this.#ring();
  }

  /** @returns whether to go on. */
  #obey(): boolean {
    if (this.#mailbox.command === "pause") {
      this.#mailbox.setPhase("paused");
      this.#ring();
      this.#mailbox.waitWhilePaused();
    }
    this.#mailbox.setPhase("running");
    return this.#mailbox.command !== "stop";
  }

  #handle(exit: Exit): boolean {
    switch (exit.kind) {
      case "io": return this.#io(exit);
      case "mmio": return this.#mmio(exit);
      case "interrupted": return this.#interrupted();
      case "halt": return true;
      case "shutdown":
        this.#tell("reset", `a triple fault at 0x${getRegs(this.#vcpu.fd).rip.toString(16)}`);
        return true;
      default: return false;
    }
  }

  #io(exit: Extract<Exit, { kind: "io" }>): true {
    const data = this.#vcpu.ioData(exit);
    if (exit.isWrite) this.#ports.write(exit.port, exit.size, data);
    else this.#ports.read(exit.port, exit.size, data);
    return true;
  }

  #mmio(exit: Extract<Exit, { kind: "mmio" }>): true {
    const data = this.#vcpu.mmioData(exit);
    if (this.#interrupts.handle(exit.address, exit.isWrite, data)) return true;
    const { kind, low, high } = exit.isWrite ? { kind: "write" as const, ...halves(data) } : { kind: "read" as const, low: 0, high: 0 };
    const answer = this.#mailbox.ask({ kind, address: exit.address, size: exit.size, low, high }, this.#ring);
    if (!exit.isWrite) for (let i = 0; i < data.length; i++) data[i] = ((answer[i >> 2] ?? 0) >>> ((i & 3) * 8)) & 0xff;
    return true;
  }

  #interrupted(): true {
    // In this order: a kick that comes after the flag was cleared sets it again.
    this.#vcpu.immediateExit = false;
    while (takeSignal(this.#signals) !== undefined);
    return true;
  }

  #tell(kind: Exclude<RequestKind, "read" | "write">, text = ""): void {
    this.#ended = true;
    this.#mailbox.ask({ kind, address: 0, size: 0, low: 0, high: 0, text }, this.#ring);
  }

  fail(error: unknown): void {
    this.#tell("failure", messageOf(error));
  }
}

function halves(data: Uint8Array): { low: number; high: number } {
  let [low, high] = [0, 0];
  for (const [i, byte] of data.entries()) {
    if (i < 4) low = (low | (byte << (i * 8))) >>> 0;
    else high = (high | (byte << ((i - 4) * 8))) >>> 0;
  }
  return { low, high };
}

const thread = new VcpuThread(workerData as VcpuThreadData);
try {
  thread.run();
} catch (error) {
  thread.fail(error);
}
