// A hostile guest for one device: registers, rings and requests at random, with a seed that failures name.
import { readdirSync } from "node:fs";
import { mapGuestForever } from "../../../linux/kvm-memory.unsafe.ts";
import { GuestMemory } from "../../../vmm/memory.ts";
import { Loop } from "../../../vmm/threads/loop.ts";
import type { VirtioDevice } from "../../../vmm/virtio/device.ts";
import { INTERRUPT_STATUS_WORDS, InterruptStatus } from "../../../vmm/virtio/interrupt-status.ts";
import { MmioTransport, STATUS } from "../../../vmm/virtio/transport.ts";
import { ringAddresses } from "./rings.ts";

export const MEMORY = 2 << 20;

/** xorshift32: the same numbers for the same seed, everywhere. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 1;
  }

  word(): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return this.#state >>> 0;
  }

  below(limit: number): number {
    return this.word() % limit;
  }

  pick<T>(list: readonly T[]): T {
    const item = list[this.below(list.length)];
    if (item === undefined) throw new Error("an empty list");
    return item;
  }
}

/** Makes a device; the loop is the device thread's. */
export type MakeDevice = (memory: GuestMemory, loop: Loop) => VirtioDevice;

/** What lies before and behind guest memory: found where it was changed, and where it was sent. */
export const OUTSIDE = 0xc5;
const MARGIN = 1 << 20;
/** Nothing that a test sends on purpose has as many of them in a row. */
export const LEAK = Buffer.alloc(16, OUTSIDE);

/** Guest memory with a margin on both sides that is this process's own. */
function createGuardedMemory(): { memory: GuestMemory; isIntact: () => boolean } {
  const all = mapGuestForever(MEMORY + 2 * MARGIN);
  const margins = [all.bytes.subarray(0, MARGIN), all.bytes.subarray(MARGIN + MEMORY)];
  for (const margin of margins) margin.fill(OUTSIDE);
  const untouched = Buffer.alloc(MARGIN, OUTSIDE);
  const bytes = all.bytes.subarray(MARGIN, MARGIN + MEMORY);
  const block = { address: all.address + MARGIN, size: MEMORY, bytes, view: new DataView(bytes.buffer, bytes.byteOffset, MEMORY) };
  return { memory: new GuestMemory([{ start: 0, size: MEMORY, block, offset: 0 }]), isIntact: () => margins.every((margin) => untouched.equals(margin)) };
}

const MIB = 1 << 20;
/** What a device may keep beyond what it had, and what the collector has not looked at yet. */
const GROWTH_LIMIT = 150 * MIB;

/** What this process has, to be compared: it must not grow with what a guest does. */
export function holdings() {
  const { rss } = process.memoryUsage();
  const descriptors = readdirSync("/proc/self/fd").length;
  return { memory: rss, descriptors, hasGrown: () => process.memoryUsage().rss - rss > GROWTH_LIMIT || readdirSync("/proc/self/fd").length - descriptors > 16 };
}

export function setUp(make: MakeDevice) {
  const { memory, isIntact } = createGuardedMemory();
  const loop = new Loop();
  const interrupts = new InterruptStatus(new Int32Array(new SharedArrayBuffer(INTERRUPT_STATUS_WORDS * 4)));
  let complaints = 0;
  const transport = new MmioTransport({
    device: make(memory, loop), memory, loop, interrupts, window: 0, raise: () => undefined, onGuestError: () => { complaints++; },
  });
  return { memory, loop, transport, isIntact, complaints: () => complaints };
}

export function write(transport: MmioTransport, register: number, value: number): void {
  transport.write(register, 4, value >>> 0, 0);
}

/** As a driver does it, with every queue at its place, and empty. */
export function bringUp(transport: MmioTransport, memory: GuestMemory, size: number): void {
  write(transport, 0x070, 0);
  write(transport, 0x070, STATUS.acknowledge | STATUS.driver);
  for (const word of [0, 1]) {
    write(transport, 0x014, word);
    write(transport, 0x024, word);
    write(transport, 0x020, transport.read(0x010, 4)[0]);
  }
  write(transport, 0x070, STATUS.acknowledge | STATUS.driver | STATUS.featuresOk);
  for (const queue of transport.device.queueSizes.keys()) {
    const { descriptors, driver, device } = ringAddresses(size, 0x10_000 * (queue + 1));
    memory.write(driver, new Uint8Array(4));
    write(transport, 0x030, queue);
    write(transport, 0x038, size);
    for (const [register, value] of [[0x080, descriptors], [0x090, driver], [0x0a0, device]] as const) {
      write(transport, register, value);
      write(transport, register + 4, 0);
    }
    write(transport, 0x044, 1);
  }
  write(transport, 0x070, STATUS.acknowledge | STATUS.driver | STATUS.featuresOk | STATUS.driverOk);
}

/** Addresses and lengths at the borders more often than elsewhere. */
export function hostileNumber(random: Random): number {
  return random.pick([0, 1, 48, 4095, 4096, MEMORY - 16, MEMORY - 1, MEMORY, MEMORY + 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, random.word(), random.below(MEMORY)]);
}

/** Mostly valid chains, so that requests reach the device; now and then something that is not. */
export function fillQueue(random: Random, memory: GuestMemory, queue: number, size: number): void {
  const { descriptors, driver } = ringAddresses(size, 0x10_000 * (queue + 1));
  const view = memory.view(0, MEMORY);
  if (view === undefined) throw new Error("no memory");
  const isEvil = random.below(10) === 0;
  // Well-formed but for one buffer that ends at memory's end, or just behind.
  const edge = random.below(5) === 0 ? random.below(size) : size;
  for (let i = 0; i < size; i++) {
    const at = descriptors + i * 16;
    view.setUint32(at, isEvil ? hostileNumber(random) : 0x8_0000 + random.below(0x4_0000), true);
    view.setUint32(at + 4, isEvil && random.below(4) === 0 ? random.word() : 0, true);
    view.setUint32(at + 8, isEvil ? hostileNumber(random) : random.pick([1, 4, 8, 16, 40, 44, 100, 512, 4096]), true);
    // Readable first, then writable, then the end.
    const place = i % 4;
    view.setUint16(at + 12, isEvil ? random.below(8) : (place < 3 ? 1 : 0) | (place >= 2 ? 2 : 0), true);
    view.setUint16(at + 14, isEvil ? random.below(32) : i + 1, true);
    if (i === edge) {
      const length = random.pick([16, 64, 512]);
      view.setUint32(at, MEMORY - length + random.pick([0, 1, 48]), true);
      view.setUint32(at + 8, length, true);
    }
  }
  for (let i = 0; i < 0x1000; i += 4) view.setUint32(0x8_0000 + random.below(0x4_0000 - 4), random.pick([0, 1, 2, 3, 4, 5, 8, random.word()]), true);
  const index = view.getUint16(driver + 2, true);
  for (let i = 0; i < 4; i++) view.setUint16(driver + 4 + 2 * ((index + i) % size), isEvil ? random.below(20) : 4 * random.below(size / 4), true);
  view.setUint16(driver + 2, isEvil ? random.word() & 0xffff : (index + 4) & 0xffff, true);
}
