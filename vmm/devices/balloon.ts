/**
 * Memory that the guest gives back: on request (inflate), and by itself what it does not use (free page reporting). Source: virtio 1.2, 5.5.
 * A page that was given back reads as zeroes when the guest uses it again.
 */
import { serve, type DeviceHost, type VirtioDevice } from "../virtio/device.ts";
import { gather } from "../virtio/buffers.ts";
import type { Chain } from "../virtio/queue.ts";

const INFLATE = 0;
const DEFLATE = 1;
const F_DEFLATE_ON_OOM = 1 << 2;
const F_REPORTING = 1 << 5;
const PAGE = 4096;
/** Page numbers in one request of Linux' driver are 256; more are not looked at. */
const MAX_PAGES = 4096;

/** Gives the host's memory behind [address, address + size) back; what is not memory is left alone. */
export type Discard = (address: number, size: number) => void;

export class Balloon implements VirtioDevice {
  readonly id = 5;
  readonly name = "balloon";
  /** Without the statistics queue and the hinting queue, which are not offered, reporting is the third (5.5.2). */
  readonly queueSizes = [128, 128, 128];
  readonly features = F_DEFLATE_ON_OOM | F_REPORTING;
  readonly config = new Uint8Array(16);
  readonly #discard: Discard;
  #host: DeviceHost | undefined;

  constructor(discard: Discard) {
    this.#discard = discard;
  }

  /** Asks the guest to give `bytes` back in all. */
  setTarget(bytes: number): void {
    new DataView(this.config.buffer).setUint32(0, Math.floor(bytes / PAGE), true);
    this.#host?.signalConfig();
  }

  /** Bytes that the guest says it has given back. */
  get actual(): number {
    return new DataView(this.config.buffer).getUint32(4, true) * PAGE;
  }

  writeConfig(offset: number, content: Uint8Array): void {
    if (offset === 4 && content.length === 4) this.config.set(content, 4);
  }

  start(host: DeviceHost): void {
    this.#host = host;
  }

  reset(): void {
    this.#host = undefined;
  }

  notified(queue: number): void {
    if (this.#host === undefined) return;
    serve(this.#host, queue, (chain) => {
      if (queue === INFLATE) this.#inflate(chain);
      else if (queue !== DEFLATE) this.#report(chain);
      return 0;
    });
  }

  #inflate(chain: Chain): void {
    const numbers = gather(chain.readable, 0, MAX_PAGES * 4);
    const view = new DataView(numbers.buffer);
    for (let at = 0; at + 4 <= numbers.length; at += 4) this.#discard(view.getUint32(at, true) * PAGE, PAGE);
  }

  /** The free pages are the buffers themselves (5.5.6.7). */
  #report(chain: Chain): void {
    for (const buffer of chain.writable) {
      const address = this.#host?.memory.addressOf(buffer);
      if (address !== undefined) this.#discard(address, buffer.length);
    }
  }
}
