/** A file as persistent memory: the guest reads it without asking us. Source: virtio 1.2, 5.19. */
import { fdatasyncSync } from "node:fs";
import { serve, type DeviceHost, type VirtioDevice } from "../virtio/device.ts";
import { gather, scatter } from "../virtio/buffers.ts";
import type { Chain } from "../virtio/queue.ts";

const REQUEST_FLUSH = 0;
const RESPONSE_OK = 0;
const RESPONSE_ERROR = 1;

export interface PmemOptions {
  readonly fd: number;
  readonly readOnly: boolean;
  /** Guest-physical range that the machine has mapped to the file; multiples of 2 MiB. */
  readonly start: number;
  readonly size: number;
}

export class Pmem implements VirtioDevice {
  readonly id = 27;
  readonly name = "pmem";
  readonly queueSizes = [64];
  readonly features = 0;
  readonly config = new Uint8Array(16);
  readonly #options: PmemOptions;
  #host: DeviceHost | undefined;

  constructor(options: PmemOptions) {
    this.#options = options;
    const view = new DataView(this.config.buffer);
    view.setBigUint64(0, BigInt(options.start), true);
    view.setBigUint64(8, BigInt(options.size), true);
  }

  start(host: DeviceHost): void {
    this.#host = host;
  }

  reset(): void {
    this.#host = undefined;
  }

  notified(queue: number): void {
    if (this.#host !== undefined) serve(this.#host, queue, (chain) => this.#flush(chain));
  }

  #flush(chain: Chain): number {
    const request = gather(chain.readable, 0, 4);
    const isFlush = request.length === 4 && new DataView(request.buffer).getUint32(0, true) === REQUEST_FLUSH;
    const answer = new Uint8Array(4);
    new DataView(answer.buffer).setUint32(0, isFlush && this.#sync() ? RESPONSE_OK : RESPONSE_ERROR, true);
    return scatter(chain.writable, 0, answer);
  }

  #sync(): boolean {
    try {
      if (!this.#options.readOnly) fdatasyncSync(this.#options.fd);
      return true;
    } catch {
      return false;
    }
  }
}
