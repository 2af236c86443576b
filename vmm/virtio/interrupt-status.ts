/**
 * The InterruptStatus and InterruptACK registers of all virtio-mmio windows (virtio 1.2, 4.2.2). The guest touches them once each for every
 * interrupt, so they are words in shared memory that every thread works on, and no other thread is asked.
 */
import { MAX_VIRTIO_WINDOWS, VIRTIO_WINDOW_SIZE, VIRTIO_WINDOWS } from "../layout.ts";

const INTERRUPT_STATUS = 0x060;
const INTERRUPT_ACK = 0x064;

/** A device has used buffers. */
export const USED_BUFFERS = 1;
/** A device's configuration or status has changed. */
export const CONFIG_CHANGED = 2;

export const INTERRUPT_STATUS_WORDS = MAX_VIRTIO_WINDOWS;

export class InterruptStatus {
  readonly words: Int32Array;

  constructor(words: Int32Array) {
    this.words = words;
  }

  set(window: number, bits: number): void {
    Atomics.or(this.words, window, bits);
  }

  clear(window: number): void {
    Atomics.store(this.words, window, 0);
  }

  get(window: number): number {
    return Atomics.load(this.words, window);
  }

  /** Answers an access to one of the two registers. @returns false where the address is neither. */
  handle(address: number, isWrite: boolean, data: Uint8Array): boolean {
    const offset = address - VIRTIO_WINDOWS;
    const window = Math.floor(offset / VIRTIO_WINDOW_SIZE);
    if (window < 0 || window >= this.words.length || data.length !== 4) return false;
    const register = offset % VIRTIO_WINDOW_SIZE;
    if (isWrite && register === INTERRUPT_ACK) {
      Atomics.and(this.words, window, ~(data[0] ?? 0));
      return true;
    }
    if (isWrite || register !== INTERRUPT_STATUS) return false;
    data[0] = Atomics.load(this.words, window);
    data.fill(0, 1);
    return true;
  }
}
