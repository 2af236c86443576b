// Hostile guests: registers, rings and requests of every device at random, with a seed that failures name. Nothing may throw but what is
// meant to, nothing outside of guest memory may change, and nothing may grow.
import { mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { directory, file, SyntheticFileSystem } from "../../../gofer/synthetic.ts";
import { Session } from "../../../gofer/fuse/session.ts";
import { permanentBlock } from "../../../linux/memory.unsafe.ts";
import { listenUnix } from "../../../linux/socket.ts";
import { Balloon } from "../../../vmm/devices/balloon.ts";
import { Block } from "../../../vmm/devices/block.ts";
import { Console } from "../../../vmm/devices/console.ts";
import { Fs } from "../../../vmm/devices/fs.ts";
import { Pmem } from "../../../vmm/devices/pmem.ts";
import { Rng } from "../../../vmm/devices/rng.ts";
import { Vsock } from "../../../vmm/devices/vsock/vsock.ts";
import { createGuestMemory, type GuestMemory } from "../../../vmm/memory.ts";
import { Loop } from "../../../vmm/threads/loop.ts";
import type { VirtioDevice } from "../../../vmm/virtio/device.ts";
import { INTERRUPT_STATUS_WORDS, InterruptStatus } from "../../../vmm/virtio/interrupt-status.ts";
import { MmioTransport, STATUS } from "../../../vmm/virtio/transport.ts";
import { ringAddresses } from "./rings.ts";

const MEMORY = 2 << 20;
const ROUNDS = 1500;
let sockets = 0;
const folder = mkdtempSync(join(tmpdir(), "tssandbox-vmm-fuzz-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** xorshift32: the same numbers for the same seed, everywhere. */
class Random {
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

const devices: Record<string, (memory: GuestMemory) => VirtioDevice> = {
  block: () => {
    const path = join(folder, "disk");
    writeFileSync(path, Buffer.alloc(1 << 20));
    return new Block({ fd: openSync(path, "r+"), readOnly: false });
  },
  console: () => new Console({ output: openSync("/dev/null", "w"), input: openSync("/dev/zero", "r") }),
  rng: () => new Rng(),
  balloon: (memory) => new Balloon((address, size) => memory.discard(address, size)),
  pmem: () => new Pmem({ fd: openSync("/dev/null", "r"), readOnly: true, start: 2 ** 32, size: 2 << 20 }),
  vsock: () => new Vsock({ cid: 3, listener: listenUnix(join(folder, `vsock${sockets++}`)) }),
  fs: () => {
    const [request, reply] = [permanentBlock((1 << 20) + 4096), permanentBlock((1 << 20) + 4096)];
    const session = new Session(new SyntheticFileSystem(directory({ a: file(() => "content") })), request, reply);
    return new Fs("tag", { request: request.bytes, reply: reply.bytes, handle: (length, capacity) => session.handle(length, capacity) });
  },
};

function setUp(make: (memory: GuestMemory) => VirtioDevice) {
  const memory = createGuestMemory(MEMORY);
  const loop = new Loop();
  const interrupts = new InterruptStatus(new Int32Array(new SharedArrayBuffer(INTERRUPT_STATUS_WORDS * 4)));
  let complaints = 0;
  const transport = new MmioTransport({
    device: make(memory), memory, loop, interrupts, window: 0, raise: () => undefined, onGuestError: () => { complaints++; },
  });
  return { memory, loop, transport, complaints: () => complaints };
}

function write(transport: MmioTransport, register: number, value: number): void {
  transport.write(register, 4, value >>> 0, 0);
}

/** As a driver does it, with every queue at its place. */
function bringUp(transport: MmioTransport, size: number): void {
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

const REGISTERS = [0x000, 0x010, 0x014, 0x020, 0x024, 0x030, 0x034, 0x038, 0x044, 0x050, 0x064, 0x070, 0x080, 0x084, 0x090, 0x094, 0x0a0, 0x0a4, 0x0fc, 0x100, 0x104, 0x1fc];

/** Addresses and lengths at the borders more often than elsewhere. */
function hostileNumber(random: Random): number {
  return random.pick([0, 1, 4095, 4096, MEMORY - 1, MEMORY, MEMORY + 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, random.word(), random.below(MEMORY)]);
}

test.for(Object.entries(devices))("%s: registers at random", ([, make]) => {
  const random = new Random(0x5eed);
  const { transport, loop } = setUp(make);
  for (let i = 0; i < ROUNDS * 20; i++) {
    const register = random.below(8) === 0 ? random.below(0x1000) : random.pick(REGISTERS);
    if (random.below(2) === 0) transport.read(register, random.pick([1, 2, 4, 8]));
    else transport.write(register, random.pick([1, 2, 4, 4, 4, 8]), hostileNumber(random), random.word());
    if (i % 50 === 0) {
      bringUp(transport, 8);
      loop.turn(0);
    }
  }
  write(transport, 0x070, 0);
  expect(transport.read(0x070, 4)[0]).toBe(0);
});

test.for(Object.entries(devices))("%s: rings and requests at random", ([, make]) => {
  const random = new Random(0xf022);
  const { transport, memory, loop, complaints } = setUp(make);
  const size = 16;
  let broken = 0;
  for (let round = 0; round < ROUNDS; round++) {
    if (round === 0 || (transport.read(0x070, 4)[0] & STATUS.needsReset) !== 0) {
      broken += round === 0 ? 0 : 1;
      bringUp(transport, size);
    }
    for (const queue of transport.device.queueSizes.keys()) fillQueue(random, memory, queue, size);
    for (const queue of transport.device.queueSizes.keys()) write(transport, 0x050, queue);
    loop.turn(0);
  }
  // A fuzzer whose every ring is refused, or none, tests nothing.
  expect(broken).toBeGreaterThan(0);
  expect(broken).toBeLessThan(ROUNDS);
  expect(complaints()).toBeGreaterThan(0);
});

/** Mostly valid chains, so that requests reach the device; now and then something that is not. */
function fillQueue(random: Random, memory: GuestMemory, queue: number, size: number): void {
  const { descriptors, driver } = ringAddresses(size, 0x10_000 * (queue + 1));
  const view = memory.view(0, MEMORY);
  if (view === undefined) throw new Error("no memory");
  const isEvil = random.below(10) === 0;
  for (let i = 0; i < size; i++) {
    const at = descriptors + i * 16;
    view.setUint32(at, isEvil ? hostileNumber(random) : 0x8_0000 + random.below(0x4_0000), true);
    view.setUint32(at + 4, isEvil && random.below(4) === 0 ? random.word() : 0, true);
    view.setUint32(at + 8, isEvil ? hostileNumber(random) : random.pick([1, 4, 8, 16, 40, 44, 100, 512, 4096]), true);
    // Readable first, then writable, then the end.
    const place = i % 4;
    view.setUint16(at + 12, isEvil ? random.below(8) : (place < 3 ? 1 : 0) | (place >= 2 ? 2 : 0), true);
    view.setUint16(at + 14, isEvil ? random.below(32) : i + 1, true);
  }
  for (let i = 0; i < 0x1000; i += 4) view.setUint32(0x8_0000 + random.below(0x4_0000 - 4), random.pick([0, 1, 2, 3, 4, 5, 8, random.word()]), true);
  const index = view.getUint16(driver + 2, true);
  for (let i = 0; i < 4; i++) view.setUint16(driver + 4 + 2 * ((index + i) % size), isEvil ? random.below(20) : 4 * random.below(size / 4), true);
  view.setUint16(driver + 2, isEvil ? random.word() & 0xffff : (index + 4) & 0xffff, true);
}
