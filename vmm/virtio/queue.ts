/**
 * The device's side of a split virtqueue: the one implementation for all devices. Source: virtio 1.2, 2.7.
 *
 *   descriptor table   {address, length, flags, next} x size     written by the driver
 *   available ring     flags, idx, heads of chains, used_event   written by the driver
 *   used ring          flags, idx, {head, bytes written}, avail_event   written by us
 *
 * The driver is hostile and runs meanwhile. Each of its words is read once; an index, a length or a chain that the specification does not
 * allow ends the queue (QueueError), and the device asks to be reset. A chain has at most `size` buffers, so a loop ends.
 */
import { join64, type GuestMemory } from "../memory.ts";

const DESC_NEXT = 1;
const DESC_WRITE = 2;
const DESC_INDIRECT = 4;
const DESCRIPTOR_SIZE = 16;
const AVAIL_NO_INTERRUPT = 1;
const USED_NO_NOTIFY = 1;
/** Words of the available ring and halves of the used ring that come first. */
const FLAGS = 0;
const INDEX = 1;
const RING = 2;

/** What the driver did is against the specification. */
export class QueueError extends Error {
  override readonly name = "QueueError";
}

/** Buffers that the driver lends for one request: those to read come first, then those to write (2.7.4.2). */
export interface Chain {
  readonly head: number;
  readonly readable: readonly Uint8Array[];
  readonly writable: readonly Uint8Array[];
  /** Bytes in all. */
  readonly readableSize: number;
  readonly writableSize: number;
}

export interface QueueAddresses {
  /** A power of 2, up to 32768. */
  readonly size: number;
  readonly descriptors: number;
  readonly driver: number;
  readonly device: number;
}

export interface QueueFeatures {
  readonly eventIndex: boolean;
  readonly indirect: boolean;
}

/** How far the device is, to be saved. */
export interface QueuePosition {
  readonly nextAvailable: number;
  readonly nextUsed: number;
}

export class SplitQueue {
  readonly size: number;
  readonly #memory: GuestMemory;
  readonly #features: QueueFeatures;
  readonly #descriptors: DataView;
  readonly #available: Uint16Array;
  readonly #used: Uint32Array;
  readonly #usedHalves: Uint16Array;
  #nextAvailable = 0;
  #nextUsed = 0;
  /** nextUsed at the last look whether the driver wants an interrupt. */
  #signalled = 0;

  /** @throws QueueError where the rings are not aligned, or not in memory. */
  constructor(memory: GuestMemory, { size, descriptors, driver, device }: QueueAddresses, features: QueueFeatures, position?: QueuePosition) {
    if (size < 1 || size > 32768 || (size & (size - 1)) !== 0) throw new QueueError(`a queue of ${size} entries`);
    this.size = size;
    this.#memory = memory;
    this.#features = features;
    const table = ring(memory, descriptors, DESCRIPTOR_SIZE * size, 16);
    const available = ring(memory, driver, 6 + 2 * size, 2);
    const used = ring(memory, device, 8 + 8 * size, 4);
    this.#descriptors = new DataView(table.buffer, table.byteOffset, table.length);
    this.#available = new Uint16Array(available.buffer, available.byteOffset, available.length / 2);
    this.#used = new Uint32Array(used.buffer, used.byteOffset, used.length / 4);
    this.#usedHalves = new Uint16Array(used.buffer, used.byteOffset, used.length / 2);
    this.#nextAvailable = position?.nextAvailable ?? 0;
    this.#nextUsed = this.#signalled = position?.nextUsed ?? 0;
  }

  get position(): QueuePosition {
    return { nextAvailable: this.#nextAvailable, nextUsed: this.#nextUsed };
  }

  /** Whether a chain waits. */
  get hasChain(): boolean {
    return Atomics.load(this.#available, INDEX) !== this.#nextAvailable;
  }

  /** Takes the next chain. @throws QueueError */
  pop(): Chain | undefined {
    const waiting = (Atomics.load(this.#available, INDEX) - this.#nextAvailable) & 0xffff;
    if (waiting === 0) return undefined;
    if (waiting > this.size) throw new QueueError(`${waiting} chains in a queue of ${this.size}`);
    const head = this.#available[RING + (this.#nextAvailable & (this.size - 1))] ?? 0;
    const chain = this.#readChain(head);
    this.#nextAvailable = (this.#nextAvailable + 1) & 0xffff;
    return chain;
  }

  /** Gives the last chain back unused: the next `pop` takes it again. Only where nothing was pushed since. */
  unpop(): void {
    this.#nextAvailable = (this.#nextAvailable - 1) & 0xffff;
  }

  #readChain(head: number): Chain {
    const builder = new ChainBuilder(this.#memory, head, this.size);
    this.#walk(this.#descriptors, this.size, head, builder, this.#features.indirect);
    return builder;
  }

  /** Follows a chain in a table of `count` descriptors. Only the queue's own table may refer to an indirect one (2.7.5.3.1). */
  #walk(table: DataView, count: number, first: number, builder: ChainBuilder, mayRefer: boolean): void {
    for (let index = first; ; ) {
      if (index >= count) throw new QueueError(`descriptor ${index} of ${count}`);
      const at = index * DESCRIPTOR_SIZE;
      const address = join64(table.getUint32(at, true), table.getUint32(at + 4, true));
      const length = table.getUint32(at + 8, true);
      const flags = table.getUint16(at + 12, true);
      const next = table.getUint16(at + 14, true);
      if ((flags & DESC_INDIRECT) !== 0) {
        if (!mayRefer || (flags & DESC_NEXT) !== 0) throw new QueueError("an indirect descriptor where none is allowed");
        return this.#walkIndirect(address, length, builder);
      }
      builder.add(address, length, (flags & DESC_WRITE) !== 0);
      if ((flags & DESC_NEXT) === 0) return;
      index = next;
    }
  }

  #walkIndirect(address: number, length: number, builder: ChainBuilder): void {
    const count = length / DESCRIPTOR_SIZE;
    if (!Number.isInteger(count) || count < 1 || count > this.size) throw new QueueError(`an indirect table of ${length} bytes`);
    const table = this.#memory.view(address, length);
    if (table === undefined) throw new QueueError("an indirect table outside of memory");
    this.#walk(table, count, 0, builder, false);
  }

  /** Returns a chain. @param written bytes from the start of its writable buffers. */
  push(chain: Chain, written: number): void {
    const at = 1 + 2 * (this.#nextUsed & (this.size - 1));
    this.#used[at] = chain.head;
    this.#used[at + 1] = written;
    this.#nextUsed = (this.#nextUsed + 1) & 0xffff;
    // In full order: the entry before the index, and the index before the driver's word about interrupts is read.
    Atomics.store(this.#usedHalves, INDEX, this.#nextUsed);
  }

  /** Whether the driver wants to be interrupted for what was pushed since the last call (2.7.7, 2.7.10). */
  takesInterrupt(): boolean {
    const before = this.#signalled;
    this.#signalled = this.#nextUsed;
    if (before === this.#nextUsed) return false;
    if (!this.#features.eventIndex) return (Atomics.load(this.#available, FLAGS) & AVAIL_NO_INTERRUPT) === 0;
    const event = Atomics.load(this.#available, RING + this.size);
    return ((this.#nextUsed - event - 1) & 0xffff) < ((this.#nextUsed - before) & 0xffff);
  }

  /** Asks the driver not to notify: we are looking anyway. With event indices nothing needs to be said. */
  disableNotification(): void {
    if (!this.#features.eventIndex) Atomics.store(this.#usedHalves, FLAGS, USED_NO_NOTIFY);
  }

  /** Asks the driver to notify of the next chain. @returns whether one has come already, of which it may not have notified. */
  enableNotification(): boolean {
    if (this.#features.eventIndex) Atomics.store(this.#usedHalves, RING + 4 * this.size, this.#nextAvailable);
    else Atomics.store(this.#usedHalves, FLAGS, 0);
    return this.hasChain;
  }
}

function ring(memory: GuestMemory, address: number, length: number, alignment: number): Uint8Array {
  const bytes = address % alignment === 0 ? memory.slice(address, length) : undefined;
  if (bytes === undefined) throw new QueueError(`a ring of ${length} bytes at 0x${address.toString(16)}`);
  return bytes;
}

class ChainBuilder implements Chain {
  readonly head: number;
  readonly readable: Uint8Array[] = [];
  readonly writable: Uint8Array[] = [];
  readableSize = 0;
  writableSize = 0;
  readonly #memory: GuestMemory;
  #left: number;

  constructor(memory: GuestMemory, head: number, limit: number) {
    this.#memory = memory;
    this.head = head;
    this.#left = limit;
  }

  add(address: number, length: number, isWritable: boolean): void {
    if (this.#left-- === 0) throw new QueueError("a chain longer than its queue");
    const bytes = this.#memory.slice(address, length);
    if (bytes === undefined) throw new QueueError(`a buffer of ${length} bytes at 0x${address.toString(16)}, outside of memory`);
    if (isWritable) {
      this.writable.push(bytes);
      this.writableSize += length;
      return;
    }
    if (this.writable.length > 0) throw new QueueError("a buffer to read behind one to write");
    this.readable.push(bytes);
    this.readableSize += length;
  }
}
