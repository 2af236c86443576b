/**
 * A virtio device behind registers in memory. Source: virtio 1.2, 4.2 (virtio over MMIO), 3.1 (device initialization), 2.1 (status).
 *
 * The registers are the table REGISTERS; InterruptStatus and InterruptACK are answered in the vCPUs' threads (interrupt-status.ts), and
 * QueueNotify by ioeventfd, so that only a write that matches no queue comes here.
 */
import type { GuestMemory } from "../memory.ts";
import { join64 } from "../memory.ts";
import type { Loop } from "../threads/loop.ts";
import { CONFIG_CHANGED, USED_BUFFERS, type InterruptStatus } from "./interrupt-status.ts";
import type { DeviceHost, VirtioDevice } from "./device.ts";
import { QueueError, SplitQueue, type QueueAddresses, type QueuePosition } from "./queue.ts";

const MAGIC = 0x7472_6976;
const VERSION = 2;
const VENDOR = 0x5353_5442;
const CONFIG_SPACE = 0x100;
export const QUEUE_NOTIFY = 0x050;

/** Status bits (2.1). */
export const STATUS = { acknowledge: 1, driver: 2, driverOk: 4, featuresOk: 8, needsReset: 64, failed: 128 } as const;

/** Feature bits of the rings (6). Bits from 32 on are in the second word. */
export const F_INDIRECT_DESC = 28;
export const F_EVENT_IDX = 29;
const F_VERSION_1_HIGH = 1 << 0;
const RING_FEATURES = (1 << F_INDIRECT_DESC) | (1 << F_EVENT_IDX);

interface QueueSetup extends QueueAddresses {
  readonly ready: boolean;
}

const NO_QUEUE: QueueSetup = { size: 0, ready: false, descriptors: 0, driver: 0, device: 0 };

export interface TransportOptions {
  readonly device: VirtioDevice;
  readonly memory: GuestMemory;
  readonly loop: Loop;
  readonly interrupts: InterruptStatus;
  /** Number of the window, which is the word of `interrupts`. */
  readonly window: number;
  /** An edge on the window's interrupt line. */
  readonly raise: () => void;
  /** What a guest did wrong, for a log. */
  readonly onGuestError?: (message: string) => void;
}

/** A transport to be saved: what the guest has set. */
export interface TransportState {
  readonly status: number;
  readonly driverFeatures: readonly [number, number];
  readonly interruptStatus: number;
  readonly queues: readonly (QueueSetup & Partial<QueuePosition>)[];
  readonly device: unknown;
}

export class MmioTransport implements DeviceHost {
  readonly device: VirtioDevice;
  readonly memory: GuestMemory;
  readonly loop: Loop;
  readonly #options: TransportOptions;
  #status = 0;
  #deviceFeaturesSelected = 0;
  #driverFeaturesSelected = 0;
  #queueSelected = 0;
  #generation = 0;
  #driverFeatures: [number, number] = [0, 0];
  #setups: QueueSetup[];
  #queues: (SplitQueue | undefined)[] = [];

  constructor(options: TransportOptions) {
    this.#options = options;
    this.device = options.device;
    this.memory = options.memory;
    this.loop = options.loop;
    this.#setups = this.device.queueSizes.map(() => NO_QUEUE);
  }

  // Registers

  /** @param offset in the window. @param size in bytes. @returns the value in two halves. */
  read(offset: number, size: number): readonly [low: number, high: number] {
    if (offset >= CONFIG_SPACE) return this.#readConfig(offset - CONFIG_SPACE, size);
    return [size === 4 ? (READ[offset]?.(this) ?? 0) >>> 0 : 0, 0];
  }

  write(offset: number, size: number, low: number, high: number): void {
    if (offset >= CONFIG_SPACE) this.#writeConfig(offset - CONFIG_SPACE, size, low, high);
    else if (size === 4) WRITE[offset]?.(this, low >>> 0);
  }

  #readConfig(offset: number, size: number): readonly [number, number] {
    const bytes = new Uint8Array(8);
    bytes.set(this.device.config.subarray(offset, offset + Math.min(size, 8)));
    const view = new DataView(bytes.buffer);
    return [view.getUint32(0, true), view.getUint32(4, true)];
  }

  #writeConfig(offset: number, size: number, low: number, high: number): void {
    const view = new DataView(new ArrayBuffer(8));
    view.setUint32(0, low, true);
    view.setUint32(4, high, true);
    this.device.writeConfig?.(offset, new Uint8Array(view.buffer, 0, Math.min(size, 8)));
  }

  get deviceFeatures(): number {
    switch (this.#deviceFeaturesSelected) {
      case 0: return this.device.features | RING_FEATURES;
      case 1: return F_VERSION_1_HIGH;
      default: return 0;
    }
  }

  set deviceFeaturesSelected(word: number) {
    this.#deviceFeaturesSelected = word;
  }

  set driverFeaturesSelected(word: number) {
    this.#driverFeaturesSelected = word;
  }

  /** Features are settled with FEATURES_OK; a write after that is lost (3.1.1). */
  set driverFeaturesWord(value: number) {
    const settled = (this.#status & STATUS.featuresOk) !== 0;
    if (!settled && this.#driverFeaturesSelected < 2) this.#driverFeatures[this.#driverFeaturesSelected] = value;
  }

  set queueSelected(index: number) {
    this.#queueSelected = index;
  }

  get queueMaximum(): number {
    return this.device.queueSizes[this.#queueSelected] ?? 0;
  }

  get queueReady(): number {
    return this.#setups[this.#queueSelected]?.ready === true ? 1 : 0;
  }

  /** Changes the selected queue; not once it is ready (4.2.3.2). */
  editQueue(edit: (setup: QueueSetup) => Partial<QueueSetup>): void {
    const setup = this.#setups[this.#queueSelected];
    if (setup !== undefined && !setup.ready) this.#setups[this.#queueSelected] = { ...setup, ...edit(setup) };
  }

  /** A queue that is not valid becomes not ready, which the driver sees. */
  set queueReady(value: number) {
    const [index, setup] = [this.#queueSelected, this.#setups[this.#queueSelected]];
    if (setup === undefined) return;
    if ((value & 1) === 0) {
      this.#setups[index] = { ...setup, ready: false };
      this.#queues[index] = undefined;
    } else if ((this.#status & STATUS.featuresOk) !== 0 && !setup.ready && setup.size <= this.queueMaximum) {
      this.#openQueue(index, setup);
    }
  }

  #openQueue(index: number, setup: QueueSetup, position?: QueuePosition): void {
    try {
      this.#queues[index] = new SplitQueue(this.memory, setup, this.#queueFeatures(), position);
      this.#setups[index] = { ...setup, ready: true };
    } catch (error) {
      if (!(error instanceof QueueError)) throw error;
      this.#options.onGuestError?.(`${this.device.name}: queue ${index}: ${error.message}`);
    }
  }

  #queueFeatures() {
    const has = (bit: number) => (this.driverFeatures & (1 << bit)) !== 0;
    return { eventIndex: has(F_EVENT_IDX), indirect: has(F_INDIRECT_DESC) };
  }

  get status(): number {
    return this.#status;
  }

  /** Writing 0 resets. Bits are added one after the other; FEATURES_OK stays off where the features are not what we offer (3.1.1). */
  set status(value: number) {
    if (value === 0) this.reset();
    else this.#addStatus(value);
  }

  #addStatus(value: number): void {
    const before = this.#status;
    let added = value & ~before & ~STATUS.needsReset;
    if ((added & STATUS.featuresOk) !== 0 && !this.#acceptsFeatures()) added &= ~STATUS.featuresOk;
    if ((added & STATUS.driverOk) !== 0 && ((before | added) & STATUS.featuresOk) === 0) added &= ~STATUS.driverOk;
    this.#status = before | added;
    if ((added & STATUS.driverOk) !== 0) this.#startDevice();
  }

  /** Drivers fill queues before DRIVER_OK, and may notify too early: every queue is looked at once. */
  #startDevice(): void {
    this.device.start(this);
    this.loop.defer(() => {
      for (const index of this.device.queueSizes.keys()) this.notify(index);
    });
  }

  #acceptsFeatures(): boolean {
    const [low, high] = this.#driverFeatures;
    const unknown = (low & ~(this.device.features | RING_FEATURES)) !== 0 || (high & ~F_VERSION_1_HIGH) !== 0;
    return !unknown && (high & F_VERSION_1_HIGH) !== 0;
  }

  get configGeneration(): number {
    return this.#generation;
  }

  /** The driver has written to QueueNotify. */
  notify(index: number): void {
    const working = (this.#status & (STATUS.driverOk | STATUS.needsReset)) === STATUS.driverOk;
    if (working && this.#queues[index] !== undefined) this.device.notified(index);
  }

  reset(): void {
    if ((this.#status & STATUS.driverOk) !== 0) this.device.reset();
    this.#status = 0;
    this.#driverFeatures = [0, 0];
    this.#setups = this.device.queueSizes.map(() => NO_QUEUE);
    this.#queues = [];
    this.#options.interrupts.clear(this.#options.window);
  }

  // What the device has of us

  get driverFeatures(): number {
    return this.#driverFeatures[0];
  }

  queue(index: number): SplitQueue | undefined {
    return (this.#status & STATUS.needsReset) === 0 ? this.#queues[index] : undefined;
  }

  signalUsed(queue: SplitQueue): void {
    if (queue.takesInterrupt()) this.#interrupt(USED_BUFFERS);
  }

  signalConfig(): void {
    this.#generation = (this.#generation + 1) >>> 0;
    if ((this.#status & STATUS.driverOk) !== 0) this.#interrupt(CONFIG_CHANGED);
  }

  fail(error: QueueError): void {
    this.#options.onGuestError?.(`${this.device.name}: ${error.message}`);
    this.#status |= STATUS.needsReset;
    this.#interrupt(CONFIG_CHANGED);
  }

  #interrupt(bits: number): void {
    this.#options.interrupts.set(this.#options.window, bits);
    this.#options.raise();
  }

  // Snapshot

  save(): TransportState {
    return {
      status: this.#status, driverFeatures: [...this.#driverFeatures], interruptStatus: this.#options.interrupts.get(this.#options.window),
      queues: this.#setups.map((setup, i) => ({ ...setup, ...this.#queues[i]?.position })), device: this.device.save?.(),
    };
  }

  restore(state: TransportState): void {
    this.#status = state.status;
    this.#driverFeatures = [...state.driverFeatures];
    this.#setups = state.queues.map(({ size, descriptors, driver, device }) => ({ size, descriptors, driver, device, ready: false }));
    for (const [i, { ready, nextAvailable = 0, nextUsed = 0 }] of state.queues.entries()) {
      if (ready) this.#openQueue(i, this.#setups[i] ?? NO_QUEUE, { nextAvailable, nextUsed });
    }
    this.#options.interrupts.set(this.#options.window, state.interruptStatus);
    this.device.restore?.(state.device);
    if ((this.#status & STATUS.driverOk) === 0) return;
    this.#startDevice();
    // An interrupt may have been in flight when it was saved: the driver looks at its rings again.
    this.#interrupt(USED_BUFFERS);
  }
}

type Low = "descriptors" | "driver" | "device";

const lowHalf = (field: Low) => (t: MmioTransport, value: number) => t.editQueue((setup) => ({ [field]: join64(value, Math.floor(setup[field] / 2 ** 32)) }));
const highHalf = (field: Low) => (t: MmioTransport, value: number) => t.editQueue((setup) => ({ [field]: join64(setup[field] % 2 ** 32, value) }));

/** Offset -> what reading gives (4.2.2, table 4.1). Others read as 0. */
const READ: Readonly<Record<number, (t: MmioTransport) => number>> = {
  0x000: () => MAGIC,
  0x004: () => VERSION,
  0x008: (t) => t.device.id,
  0x00c: () => VENDOR,
  0x010: (t) => t.deviceFeatures,
  0x034: (t) => t.queueMaximum,
  0x044: (t) => t.queueReady,
  0x070: (t) => t.status,
  // SHMLen: all ones where there is no such region (4.2.2.2).
  0x0b0: () => 0xffff_ffff,
  0x0b4: () => 0xffff_ffff,
  0x0fc: (t) => t.configGeneration,
};

/** Offset -> what writing does. Other writes are lost. */
const WRITE: Readonly<Record<number, (t: MmioTransport, value: number) => void>> = {
  0x014: (t, value) => { t.deviceFeaturesSelected = value; },
  0x020: (t, value) => { t.driverFeaturesWord = value; },
  0x024: (t, value) => { t.driverFeaturesSelected = value; },
  0x030: (t, value) => { t.queueSelected = value; },
  0x038: (t, value) => t.editQueue(() => ({ size: value })),
  0x044: (t, value) => { t.queueReady = value; },
  [QUEUE_NOTIFY]: (t, value) => t.notify(value),
  0x070: (t, value) => { t.status = value; },
  0x080: lowHalf("descriptors"),
  0x084: highHalf("descriptors"),
  0x090: lowHalf("driver"),
  0x094: highHalf("driver"),
  0x0a0: lowHalf("device"),
  0x0a4: highHalf("device"),
};
