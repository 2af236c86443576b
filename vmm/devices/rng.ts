/** Entropy. Source: virtio 1.2, 5.4. */
import { randomBytes } from "../../linux/random.ts";
import { serve, type DeviceHost, type VirtioDevice } from "../virtio/device.ts";
import { slices } from "../virtio/buffers.ts";
import type { Chain } from "../virtio/queue.ts";

/** Most bytes for one request: a guest's reader gets less than it asked for, and asks again. */
const MAX_BYTES = 65536;

/** What the kernel gives in one call, whole. */
const PIECE = 256;

export class Rng implements VirtioDevice {
  readonly id = 4;
  readonly name = "rng";
  readonly queueSizes = [64];
  readonly features = 0;
  readonly config = new Uint8Array();
  #host: DeviceHost | undefined;

  start(host: DeviceHost): void {
    this.#host = host;
  }

  reset(): void {
    this.#host = undefined;
  }

  notified(queue: number): void {
    if (this.#host !== undefined) serve(this.#host, queue, fill);
  }
}

function fill(chain: Chain): number {
  let written = 0;
  for (const part of slices(chain.writable, 0, MAX_BYTES)) {
    for (let at = 0; at < part.length; at += PIECE) part.set(randomBytes(Math.min(PIECE, part.length - at)), at);
    written += part.length;
  }
  return written;
}
