// A driver's side of a split virtqueue, written independently of ours: plain DataView writes at the addresses of virtio 1.2, 2.7.
import type { GuestMemory } from "../../../vmm/memory.ts";
import type { QueueAddresses } from "../../../vmm/virtio/queue.ts";

export interface Descriptor {
  readonly address: number;
  readonly length: number;
  readonly write?: boolean;
  readonly next?: number;
  readonly indirect?: boolean;
}

/** Rings one after the other from `base` on. */
export function ringAddresses(size: number, base = 0x10_000): QueueAddresses {
  const driver = base + size * 16;
  return { size, descriptors: base, driver, device: (driver + 6 + size * 2 + 3) & ~3 };
}

export class Driver {
  readonly addresses: QueueAddresses;
  readonly #view: DataView;
  #index = 0;

  constructor(memory: GuestMemory, addresses: QueueAddresses) {
    this.addresses = addresses;
    const whole = memory.view(0, memory.regions[0]?.size ?? 0);
    if (whole === undefined) throw new Error("no memory");
    this.#view = whole;
  }

  descriptor(index: number, { address, length, write = false, next, indirect = false }: Descriptor, table = this.addresses.descriptors): void {
    const at = table + index * 16;
    this.#view.setBigUint64(at, BigInt(address), true);
    this.#view.setUint32(at + 8, length, true);
    this.#view.setUint16(at + 12, (next === undefined ? 0 : 1) | (write ? 2 : 0) | (indirect ? 4 : 0), true);
    this.#view.setUint16(at + 14, next ?? 0, true);
  }

  /** Puts consecutive descriptors from `first` on, and makes the chain available. */
  offer(first: number, descriptors: readonly Descriptor[]): void {
    for (const [i, descriptor] of descriptors.entries()) {
      this.descriptor(first + i, { ...descriptor, ...(i + 1 < descriptors.length ? { next: first + i + 1 } : {}) });
    }
    this.makeAvailable(first);
  }

  makeAvailable(head: number): void {
    const { driver, size } = this.addresses;
    this.#view.setUint16(driver + 4 + 2 * (this.#index % size), head, true);
    this.#index = (this.#index + 1) & 0xffff;
    this.availableIndex = this.#index;
  }

  set availableIndex(value: number) {
    this.#view.setUint16(this.addresses.driver + 2, value, true);
  }

  set availableFlags(value: number) {
    this.#view.setUint16(this.addresses.driver, value, true);
  }

  set usedEvent(value: number) {
    this.#view.setUint16(this.addresses.driver + 4 + 2 * this.addresses.size, value, true);
  }

  get availableEvent(): number {
    return this.#view.getUint16(this.addresses.device + 4 + 8 * this.addresses.size, true);
  }

  get usedIndex(): number {
    return this.#view.getUint16(this.addresses.device + 2, true);
  }

  /** Entry of the used ring. */
  used(position: number): { readonly head: number; readonly written: number } {
    const at = this.addresses.device + 4 + 8 * (position % this.addresses.size);
    return { head: this.#view.getUint32(at, true), written: this.#view.getUint32(at + 4, true) };
  }

  text(address: number, length: number): string {
    return Buffer.from(this.#view.buffer, this.#view.byteOffset + address, length).toString("latin1");
  }

  put(address: number, content: Uint8Array | string): void {
    new Uint8Array(this.#view.buffer, this.#view.byteOffset).set(typeof content === "string" ? Buffer.from(content, "latin1") : content, address);
  }
}
