/**
 * One virtual machine: memory, vCPUs, devices, and its life.
 *
 *   device thread (this file, threads/loop.ts)          one thread for each vCPU (linux/kvm-thread.unsafe.ts)
 *   ─────────────────────────────────────────           ─────────────────────────────────────────────────────
 *   owns every device and its back end                  KVM_RUN; interrupt registers from memory that both see
 *   answers the vCPUs' accesses (threads/vcpu.ts)       everything else: rings the doorbell, and is parked
 *   woken by ioeventfds (queues), sockets, taps,        is interrupted by flag and signal for pause and stop
 *   timers and the vCPUs' doorbell
 *   raises interrupts by irqfd
 */
import { POLLIN } from "../linux/abi/poll.ts";
import { addEvents, createEventFd, takeEvents } from "../linux/eventfd.ts";
import type { Fd } from "../linux/fd.ts";
import { KVM_MEM_READONLY } from "../linux/abi/kvm.ts";
import { mapForever } from "../linux/kvm-memory.unsafe.ts";
import { msrIndices, supportedCpuid } from "../linux/kvm.ts";
import { VcpuThreads } from "../linux/kvm-thread.unsafe.ts";
import { noteClockStopped, restoreVcpuState, saveVcpuState, setCpuid, type VcpuState } from "../linux/kvm-vcpu.ts";
import { connectDoorbell, connectInterrupt, restoreVmState, saveVmState, type VmState } from "../linux/kvm-vm.ts";
import { randomBytes } from "../linux/random.ts";
import { createSignalFd, signalMask } from "../linux/signalfd.ts";
import { sleepMs } from "../linux/sleep.ts";
import { acpiTables, EVENT_NEW_GENERATION, EVENT_POWER_BUTTON } from "./boot/acpi.ts";
import { setBootState } from "./boot/cpu-state.ts";
import { loadKernel, type KernelFiles } from "./boot/linux-kernel.ts";
import { sendToConsole } from "./devices/console-output.ts";
import { PortBus } from "./devices/ports.ts";
import { KeyboardController, SleepControl, type PowerEvent } from "./devices/power.ts";
import { Rtc, RTC_WORDS } from "./devices/rtc.ts";
import { Serial, SERIAL_WORDS } from "./devices/serial.ts";
import { guestCpuid } from "./kvm/cpuid.ts";
import { Vm } from "./kvm/vm.ts";
import { EventDevice } from "./devices/events.ts";
import { Pmem, type PmemOptions } from "./devices/pmem.ts";
import { BOOT, EVENT_REGISTER, HIGH_MEMORY_START, MAX_VIRTIO_WINDOWS, PORTS, SECTION, virtioInterrupt, VIRTIO_WINDOW_SIZE, VIRTIO_WINDOWS } from "./layout.ts";
import { createGuestMemory, type GuestMemory } from "./memory.ts";
import { restoreMsrs, saveMsrs } from "./snapshot/msrs.ts";
import { Loop } from "./threads/loop.ts";
import { KICK_SIGNAL, RunningVcpu, type Surroundings } from "./threads/vcpu.ts";
import type { VirtioDevice } from "./virtio/device.ts";
import { INTERRUPT_REGISTERS, InterruptStatus } from "./virtio/interrupt-status.ts";
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
  /** What the guest did against the rules, in words. */
  readonly onGuestError?: (message: string) => void;
}

export interface MachineState {
  readonly vcpus: readonly { readonly state: VcpuState; readonly msrs: Uint8Array }[];
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

/** How often a vCPU that does not heed is interrupted again, in milliseconds. */
const KICK_AGAIN_MS = 1;

export class Machine {
  readonly loop = new Loop();
  readonly memory: GuestMemory;
  readonly vm: Vm;
  readonly #config: MachineConfig;
  readonly #vcpus: readonly RunningVcpu[];
  readonly #doorbell = createEventFd();
  readonly #serial = new Int32Array(SERIAL_WORDS);
  readonly #events: EventDevice;
  readonly #threads = new VcpuThreads(INTERRUPT_REGISTERS);
  readonly #interrupts = new InterruptStatus(this.#threads.words);
  readonly #transports: MmioTransport[] = [];
  #pmemEnd: number;
  #end: End | undefined;

  /** @param memory new where left out. */
  constructor(config: MachineConfig, memory?: GuestMemory) {
    this.#config = config;
    this.vm = config.kvm === undefined ? Vm.create() : Vm.create(config.kvm);
    this.memory = memory ?? createGuestMemory(config.memoryBytes);
    this.#pmemEnd = Math.max(HIGH_MEMORY_START, ...this.memory.regions.map(({ start, size }) => start + size));
    this.vm.addMemory(this.memory);
    this.vm.createPlatform();
    this.#events = new EventDevice(this.vm);
    this.#vcpus = this.#createVcpus(config.vcpus);
    this.loop.watch(this.#doorbell.number, POLLIN, () => this.#serveAll());
  }

  #createVcpus(count: number): readonly RunningVcpu[] {
    const supported = supportedCpuid(this.vm.kvm);
    const signals = createSignalFd(signalMask([KICK_SIGNAL]));
    const surroundings = this.#surroundings();
    return Array.from({ length: count }, (_, id) => {
      const handle = this.vm.createVcpu(id);
      setCpuid(handle.fd, guestCpuid(supported, { id, count }));
      return new RunningVcpu(handle, this.#threads, this.#doorbell, signals, surroundings);
    });
  }

  #surroundings(): Surroundings {
    const isEnded = () => this.#end !== undefined;
    return {
      ports: new PortBus(this.#portDevices()),
      read: (address, size) => this.#read(address, size),
      write: (address, size, low, high) => this.#transportAt(address)?.write(size, low, high),
      end: (kind, text) => this.#endBy(kind, text),
      get ended() {
        return isEnded();
      },
    };
  }

  #portDevices() {
    const interrupt = createEventFd();
    connectInterrupt(this.vm.fd, interrupt, PORTS.serialInterrupt);
    const serial = new Serial(this.#serial, { send: (byte) => sendToConsole(this.#config.consoleFd, byte), interrupt: () => addEvents(interrupt, 1n) });
    const onPower = (event: PowerEvent) => void (this.#end ??= { kind: event });
    return [serial, new Rtc(new Int32Array(RTC_WORDS)), new KeyboardController(onPower), new SleepControl(onPower)];
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
      vcpus: this.#vcpus.map(({ handle }) => ({ state: saveVcpuState(handle.fd), msrs: saveMsrs(handle.fd, indices) })),
      vm: saveVmState(this.vm.fd),
      serial: Array.from(this.#serial),
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
      restoreMsrs(handle.fd, saved.msrs);
    }
    this.#serial.set(state.serial);
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

  /** Returns when every vCPU's thread is there, and waits for `start`. */
  awaitThreads(): void {
    for (this.#serveAll(); this.#vcpus.some(({ stands }) => !stands); this.#serveAll()) sleepMs(1);
  }

  /** Lets the vCPUs run. */
  start(): void {
    this.resume();
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
    for (const vcpu of this.#vcpus) vcpu.pause();
    for (this.#serveAll(); this.#vcpus.some(({ stands }) => !stands); this.#serveAll()) {
      for (const vcpu of this.#vcpus) if (!vcpu.stands) vcpu.kick();
      // Nothing else of the loop runs meanwhile: who asks for this is in it.
      sleepMs(KICK_AGAIN_MS);
    }
    for (const { handle } of this.#vcpus) noteClockStopped(handle.fd);
  }

  resume(): void {
    for (const vcpu of this.#vcpus) vcpu.run();
  }

  /** Ends the vCPUs' threads; they do not start again. */
  endThreads(): void {
    this.pause();
    for (const vcpu of this.#vcpus) vcpu.end();
  }

  #serveAll(): void {
    takeEvents(this.#doorbell);
    for (const vcpu of this.#vcpus) vcpu.serve();
  }

  #endBy(kind: "reset" | "failed", text: string): void {
    if (kind === "reset") this.#config.onGuestError?.(text);
    this.#end ??= kind === "reset" ? { kind } : { kind, reason: text };
  }

  /** What nobody answers for reads as all ones. */
  #read(address: number, size: number): readonly [low: number, high: number] {
    return address === EVENT_REGISTER ? [this.#events.take(), 0] : (this.#transportAt(address)?.read(size) ?? [0xffff_ffff, 0xffff_ffff]);
  }

  #transportAt(address: number) {
    const offset = address - VIRTIO_WINDOWS;
    const transport = this.#transports[Math.floor(offset / VIRTIO_WINDOW_SIZE)];
    if (transport === undefined) return undefined;
    const register = offset % VIRTIO_WINDOW_SIZE;
    return { read: (size: number) => transport.read(register, size), write: (size: number, low: number, high: number) => transport.write(register, size, low, high) };
  }
}

function windowAddress(window: number): number {
  return VIRTIO_WINDOWS + window * VIRTIO_WINDOW_SIZE;
}
