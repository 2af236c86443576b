/**
 * One virtual machine: memory, vCPU threads, devices, and its life.
 *
 *   device thread (this file, threads/loop.ts)          one thread for each vCPU (threads/vcpu-thread.ts)
 *   ─────────────────────────────────────────           ─────────────────────────────────────────────────
 *   owns every virtio device and its back end           KVM_RUN; ports and interrupt registers from shared memory
 *   woken by ioeventfds (queues), sockets, taps,        asks the device thread for other registers (threads/mailbox.ts)
 *   timers and the mailboxes' doorbell
 *   raises interrupts by irqfd                          is interrupted by flag and signal for pause and stop
 */
import { Worker } from "node:worker_threads";
import { POLLIN } from "../linux/abi/poll.ts";
import { addEvents, createEventFd, takeEvents } from "../linux/eventfd.ts";
import type { Fd } from "../linux/fd.ts";
import { KVM_MEM_READONLY } from "../linux/abi/kvm.ts";
import { mapForever } from "../linux/kvm-memory.unsafe.ts";
import { msrIndices, supportedCpuid } from "../linux/kvm.ts";
import { RUN } from "../linux/kvm-structs.ts";
import { noteClockStopped, restoreVcpuState, saveVcpuState, setCpuid, signalThread, type VcpuState } from "../linux/kvm-vcpu.ts";
import { connectDoorbell, connectInterrupt, restoreVmState, saveVmState, type VmState } from "../linux/kvm-vm.ts";
import { randomBytes } from "../linux/random.ts";
import { sleepMs } from "../linux/sleep.ts";
import { acpiTables, EVENT_NEW_GENERATION, EVENT_POWER_BUTTON } from "./boot/acpi.ts";
import { setBootState } from "./boot/cpu-state.ts";
import { loadKernel, type KernelFiles } from "./boot/linux-kernel.ts";
import { RTC_WORDS } from "./devices/rtc.ts";
import { SERIAL_WORDS } from "./devices/serial.ts";
import { guestCpuid } from "./kvm/cpuid.ts";
import { Vm, type VcpuHandle } from "./kvm/vm.ts";
import { EventDevice } from "./devices/events.ts";
import { Pmem, type PmemOptions } from "./devices/pmem.ts";
import { BOOT, EVENT_REGISTER, HIGH_MEMORY_START, MAX_VIRTIO_WINDOWS, PORTS, SECTION, virtioInterrupt, VIRTIO_WINDOW_SIZE, VIRTIO_WINDOWS } from "./layout.ts";
import { createGuestMemory, type GuestMemory } from "./memory.ts";
import { restoreMsrs, saveMsrs } from "./snapshot/msrs.ts";
import { KICK_SIGNAL, type VcpuThreadData } from "./threads/vcpu-data.ts";
import { Loop } from "./threads/loop.ts";
import { Mailbox, MAILBOX_BYTES, type Command, type Phase, type Request } from "./threads/mailbox.ts";
import type { VirtioDevice } from "./virtio/device.ts";
import { INTERRUPT_STATUS_WORDS, InterruptStatus } from "./virtio/interrupt-status.ts";
import { MmioTransport, QUEUE_NOTIFY, type TransportState } from "./virtio/transport.ts";

export interface MachineConfig {
  /** 1 to 32. */
  readonly vcpus: number;
  /** /dev/kvm, where it is open already. */
  readonly kvm?: Fd;
  /** Bytes; a multiple of 2 MiB. */
  readonly memoryBytes: number;
  /** Where the serial port's output goes: a descriptor that stays open. */
  readonly consoleFd: number;
  /** The program that a vCPU's thread executes: one that imports threads/vcpu-thread.ts. */
  readonly vcpuProgram: string | URL;
  /** What the guest did against the rules, in words. */
  readonly onGuestError?: (message: string) => void;
}

export interface MachineState {
  readonly vcpus: readonly { readonly state: VcpuState; readonly msrs: readonly (readonly [index: number, value: string])[] }[];
  readonly vm: VmState;
  readonly serial: readonly number[];
  readonly devices: readonly { readonly name: string; readonly state: TransportState }[];
}

/** How a machine ended. */
export type End =
  | { readonly kind: "power-off" }
  | { readonly kind: "reset" }
  /** Stopped from outside. */
  | { readonly kind: "stopped" }
  /** KVM or a vCPU gave up. */
  | { readonly kind: "failed"; readonly reason: string };

interface RunningVcpu {
  readonly handle: VcpuHandle;
  readonly mailbox: Mailbox;
}

/** How often a vCPU that does not heed is interrupted again, in milliseconds: a signal may come just before KVM_RUN. */
const KICK_AGAIN_MS = 1;

const sharedWords = (count: number) => new Int32Array(new SharedArrayBuffer(count * 4));

export class Machine {
  readonly loop = new Loop();
  readonly memory: GuestMemory;
  readonly vm: Vm;
  readonly #config: MachineConfig;
  readonly #vcpus: readonly RunningVcpu[];
  readonly #doorbell = createEventFd();
  readonly #shared = { interruptStatus: sharedWords(INTERRUPT_STATUS_WORDS), serial: sharedWords(SERIAL_WORDS), rtc: sharedWords(RTC_WORDS) };
  readonly #serialInterrupt = createEventFd();
  readonly #events: EventDevice;
  readonly #interrupts = new InterruptStatus(this.#shared.interruptStatus);
  readonly #transports: MmioTransport[] = [];
  #pmemEnd: number;
  #end: End | undefined;

  /** @param memory new where left out. */
  constructor(config: MachineConfig, memory?: GuestMemory) {
    this.#config = config;
    // They take their time to start, and wait then for a vCPU: everything else is made meanwhile.
    const mailboxes = Array.from({ length: config.vcpus }, () => this.#startThread());
    this.vm = config.kvm === undefined ? Vm.create() : Vm.create(config.kvm);
    this.memory = memory ?? createGuestMemory(config.memoryBytes);
    this.#pmemEnd = Math.max(HIGH_MEMORY_START, ...this.memory.regions.map(({ start, size }) => start + size));
    this.vm.addMemory(this.memory);
    this.vm.createPlatform();
    connectInterrupt(this.vm.fd, this.#serialInterrupt, PORTS.serialInterrupt);
    this.#events = new EventDevice(this.vm);
    this.#vcpus = this.#createVcpus(mailboxes);
    this.loop.watch(this.#doorbell.number, POLLIN, () => this.#answerAll());
  }

  #createVcpus(mailboxes: readonly Mailbox[]): readonly RunningVcpu[] {
    const supported = supportedCpuid(this.vm.kvm);
    return mailboxes.map((mailbox, id) => {
      const handle = this.vm.createVcpu(id);
      setCpuid(handle.fd, guestCpuid(supported, { id, count: mailboxes.length }));
      mailbox.giveVcpu({ fd: handle.fd.number, address: handle.run.address, size: handle.run.size });
      return { handle, mailbox };
    });
  }

  /** Gives the machine a device, before `load`. @throws RangeError for more than 31. */
  addDevice(device: VirtioDevice): void {
    const window = this.#transports.length;
    if (window >= MAX_VIRTIO_WINDOWS) throw new RangeError(`more than ${MAX_VIRTIO_WINDOWS} devices`);
    const line = createEventFd();
    connectInterrupt(this.vm.fd, line, virtioInterrupt(window));
    const transport = new MmioTransport({
      device, memory: this.memory, loop: this.loop, interrupts: this.#interrupts, window, raise: () => addEvents(line, 1n),
      ...(this.#config.onGuestError === undefined ? {} : { onGuestError: this.#config.onGuestError }),
    });
    for (const queue of device.queueSizes.keys()) this.#addDoorbell(transport, windowAddress(window) + QUEUE_NOTIFY, queue);
    this.#transports.push(transport);
  }

  #addDoorbell(transport: MmioTransport, address: number, queue: number): void {
    const doorbell = createEventFd();
    connectDoorbell(this.vm.fd, doorbell, address, queue);
    this.loop.watch(doorbell.number, POLLIN, () => {
      takeEvents(doorbell);
      transport.notify(queue);
    });
  }

  /** A file as persistent memory behind all memory. @param size a multiple of 2 MiB, no larger than the file. */
  addPmem({ fd, size, readOnly }: Omit<PmemOptions, "start">): void {
    const start = this.#pmemEnd;
    this.#pmemEnd += Math.ceil(size / SECTION) * SECTION;
    this.vm.addSlot(start, mapForever(fd, size, readOnly ? "read-only" : "shared"), readOnly ? KVM_MEM_READONLY : 0);
    this.addDevice(new Pmem({ fd, size, readOnly, start }));
  }

  /** Puts kernel and tables into memory, and the first vCPU at the kernel's entry. */
  load(files: KernelFiles): void {
    const entry = loadKernel(this.memory, files);
    this.memory.write(BOOT.generationId, randomBytes(16));
    this.memory.write(BOOT.acpi, acpiTables({ vcpus: this.#config.vcpus, windows: this.#windows() }));
    const first = this.#vcpus[0];
    if (first === undefined) throw new RangeError("a machine without vCPUs");
    setBootState(first.handle.fd, this.memory, entry);
  }

  #windows() {
    return this.#transports.map((_, i) => ({ address: windowAddress(i), interrupt: virtioInterrupt(i) }));
  }

  /** What another process needs to go on from here, besides memory. Only while paused. */
  saveState(): MachineState {
    const indices = msrIndices(this.vm.kvm);
    return {
      vcpus: this.#vcpus.map(({ handle }) => ({ state: saveVcpuState(handle.fd), msrs: saveMsrs(handle.fd, indices).map(([index, value]) => [index, String(value)] as const) })),
      vm: saveVmState(this.vm.fd),
      serial: Array.from(this.#shared.serial),
      devices: this.#transports.map((transport) => ({ name: transport.device.name, state: transport.save() })),
    };
  }

  /**
   * Goes on from a saved state, instead of `load`, with the same number of vCPUs and the same devices. The guest is told that it is a copy.
   * @throws Error where the machine is another.
   */
  restoreState(state: MachineState): void {
    const ours = this.#transports.map(({ device }) => device.name).join(", ");
    if (state.vcpus.length !== this.#vcpus.length) throw new Error(`the snapshot has ${state.vcpus.length} vCPUs, the machine ${this.#vcpus.length}`);
    if (state.devices.map(({ name }) => name).join(", ") !== ours) throw new Error(`the snapshot's devices are not the machine's (${ours})`);
    restoreVmState(this.vm.fd, state.vm);
    for (const [i, { handle }] of this.#vcpus.entries()) {
      const saved = state.vcpus[i];
      if (saved === undefined) continue;
      restoreVcpuState(handle.fd, saved.state);
      restoreMsrs(handle.fd, saved.msrs.map(([index, value]) => [index, BigInt(value)] as const));
    }
    this.#shared.serial.set(state.serial);
    for (const [i, transport] of this.#transports.entries()) {
      const saved = state.devices[i];
      if (saved !== undefined) transport.restore(saved.state);
    }
    this.memory.write(BOOT.generationId, randomBytes(16));
    this.#events.raise(EVENT_NEW_GENERATION);
  }

  /** As if somebody had pressed the button: the guest shuts down where it cares. */
  pressPowerButton(): void {
    this.#events.raise(EVENT_POWER_BUTTON);
  }

  /** Returns when every vCPU's thread has loaded what it needs, and waits for `start`. @throws Error where one could not */
  awaitThreads(): void {
    while (this.#vcpus.some(({ mailbox }) => mailbox.phase === "starting")) {
      sleepMs(1);
      this.#answerAll();
      if (this.#end?.kind === "failed") throw new Error(this.#end.reason);
    }
  }

  /** Lets the vCPUs run. */
  start(): void {
    this.resume();
  }

  /** @returns by what it is told of its vCPU, and to wait then. */
  #startThread(): Mailbox {
    const buffer = new SharedArrayBuffer(MAILBOX_BYTES);
    const mailbox = new Mailbox(buffer);
    mailbox.setCommand("pause");
    const workerData: VcpuThreadData = {
      mailbox: buffer, doorbell: this.#doorbell.number, serialInterrupt: this.#serialInterrupt.number, consoleFd: this.#config.consoleFd, ...this.#shared,
    };
    // eslint-disable-next-line no-new
    new Worker(this.#config.vcpuProgram, {
      workerData, resourceLimits: { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 16, codeRangeSizeMb: 16 },
    });
    return mailbox;
  }

  /** Runs the devices until the machine ends. */
  run(): End {
    while (this.#end === undefined) this.loop.turn();
    return this.#end;
  }

  /** Ends the machine from outside: power off without asking the guest. */
  stop(): void {
    this.#end ??= { kind: "stopped" };
    this.loop.defer(() => undefined);
  }

  /** Returns when no vCPU runs and each has finished its last exit. */
  pause(): void {
    this.#command("pause", "paused");
    for (const { handle } of this.#vcpus) noteClockStopped(handle.fd);
  }

  resume(): void {
    for (const { mailbox } of this.#vcpus) mailbox.setCommand("run");
  }

  /** Ends the vCPUs' threads; they do not start again. */
  endThreads(): void {
    this.#command("stop", "stopped");
  }

  #command(command: Command, reached: Phase): void {
    for (const { mailbox } of this.#vcpus) mailbox.setCommand(command);
    const waiting = () => this.#vcpus.filter(({ mailbox }) => mailbox.phase !== reached && mailbox.phase !== "stopped");
    for (let late = waiting(); late.length > 0; late = waiting()) {
      for (const vcpu of late) this.#kick(vcpu);
      sleepMs(KICK_AGAIN_MS);
      // It may be waiting for an answer. Nothing else of the loop runs meanwhile: who asks for this is in it.
      this.#answerAll();
    }
  }

  #kick({ handle, mailbox }: RunningVcpu): void {
    handle.run.view.setUint8(RUN.immediateExit, 1);
    if (mailbox.thread !== 0) signalThread(mailbox.thread, KICK_SIGNAL);
  }

  #answerAll(): void {
    takeEvents(this.#doorbell);
    for (const { mailbox } of this.#vcpus) {
      const { request } = mailbox;
      if (request !== undefined) mailbox.answer(...this.#answer(request));
    }
  }

  #answer(request: Request): readonly [low: number, high: number] {
    switch (request.kind) {
      case "read": return this.#read(request);
      case "write": return this.#write(request);
      case "reset":
      case "power-off":
        if (request.text !== "") this.#config.onGuestError?.(request.text);
        this.#end ??= { kind: request.kind };
        return [0, 0];
      case "failure":
        this.#end ??= { kind: "failed", reason: request.text };
        return [0, 0];
      default: return request.kind satisfies never;
    }
  }

  /** What nobody answers for reads as all ones. */
  #read({ address, size }: Request): readonly [low: number, high: number] {
    if (address === EVENT_REGISTER) return [this.#events.take(), 0];
    const at = this.#transportAt(address);
    return at === undefined ? [0xffff_ffff, 0xffff_ffff] : at.transport.read(at.offset, size);
  }

  #write({ address, size, low, high }: Request): readonly [low: number, high: number] {
    const at = this.#transportAt(address);
    at?.transport.write(at.offset, size, low, high);
    return [0, 0];
  }

  #transportAt(address: number): { transport: MmioTransport; offset: number } | undefined {
    const offset = address - VIRTIO_WINDOWS;
    const transport = this.#transports[Math.floor(offset / VIRTIO_WINDOW_SIZE)];
    return transport === undefined ? undefined : { transport, offset: offset % VIRTIO_WINDOW_SIZE };
  }
}

function windowAddress(window: number): number {
  return VIRTIO_WINDOWS + window * VIRTIO_WINDOW_SIZE;
}
