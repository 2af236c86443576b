/**
 * The InterruptStatus and InterruptACK registers of all virtio-mmio windows (virtio 1.2, 4.2.2). The guest touches them once each for every
 * interrupt, so they are words in memory that the vCPUs' threads answer from (linux/kvm-thread.unsafe.ts), and no other thread is asked.
 */
import type { InterruptRegisters } from "../../linux/kvm-thread.unsafe.ts";
import { MAX_VIRTIO_WINDOWS, VIRTIO_WINDOWS } from "../layout.ts";

/** For the vCPUs' threads. */
export const INTERRUPT_REGISTERS: InterruptRegisters = { start: VIRTIO_WINDOWS, count: MAX_VIRTIO_WINDOWS, status: 0x60, acknowledge: 0x64 };

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
}
