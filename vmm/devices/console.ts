/** A console with one port: two queues and two descriptors. Source: virtio 1.2, 5.3. */
import { POLLIN, POLLOUT } from "../../linux/abi/poll.ts";
import { guarded, serve, type DeviceHost, type VirtioDevice } from "../virtio/device.ts";
import { scatter, slices } from "../virtio/buffers.ts";
import type { Watch } from "../threads/loop.ts";
import { tryReadInto, tryWriteFrom } from "./host-io.ts";

const RECEIVE = 0;
const TRANSMIT = 1;
const F_SIZE = 1 << 0;
const CHUNK = 4096;

export interface ConsoleOptions {
  /** Non-blocking descriptors that stay open. Without input, nothing is read. */
  readonly input?: number;
  readonly output: number;
}

export class Console implements VirtioDevice {
  readonly id = 3;
  readonly name = "console";
  readonly queueSizes = [64, 64];
  readonly features = F_SIZE;
  readonly config = new Uint8Array(12);
  readonly #options: ConsoleOptions;
  readonly #buffer = new Uint8Array(CHUNK);
  #host: DeviceHost | undefined;
  #input: Watch | undefined;
  #output: Watch | undefined;
  /** Bytes of the transmit queue's first chain that are written already. */
  #sent = 0;

  constructor(options: ConsoleOptions) {
    this.#options = options;
    new DataView(this.config.buffer).setUint32(4, 1, true);
  }

  /** The terminal's size, in characters. */
  resize(columns: number, rows: number): void {
    const view = new DataView(this.config.buffer);
    view.setUint16(0, columns, true);
    view.setUint16(2, rows, true);
    this.#host?.signalConfig();
  }

  start(host: DeviceHost): void {
    this.#host = host;
    this.#sent = 0;
    if (this.#options.input !== undefined) this.#input = host.loop.watch(this.#options.input, POLLIN, () => this.#receive(host));
    this.#output = host.loop.watch(this.#options.output, 0, () => this.#transmit(host));
  }

  reset(): void {
    this.#input?.stop();
    this.#output?.stop();
    this.#host = undefined;
  }

  notified(queue: number): void {
    if (this.#host === undefined) return;
    if (queue === TRANSMIT) this.#transmit(this.#host);
    else this.#input?.setEvents(POLLIN);
  }

  #transmit(host: DeviceHost): void {
    serve(host, TRANSMIT, (chain) => {
      const rest = slices(chain.readable, this.#sent);
      const size = chain.readableSize - this.#sent;
      const done = size === 0 ? 0 : tryWriteFrom(this.#options.output, rest);
      if (done === size || done === "gone") {
        this.#sent = 0;
        return 0;
      }
      this.#sent += done === "later" ? 0 : done;
      this.#output?.setEvents(POLLOUT);
      return undefined;
    });
    if (this.#sent === 0 && host.queue(TRANSMIT)?.hasChain !== true) this.#output?.setEvents(0);
  }

  /** Reads only where the guest has room: what it does not take stays with the sender. */
  #receive(host: DeviceHost): void {
    const queue = host.queue(RECEIVE);
    guarded(host, () => {
      const chain = queue?.pop();
      if (queue === undefined || chain === undefined) {
        this.#input?.setEvents(0);
        return;
      }
      if (chain.writableSize === 0) return queue.push(chain, 0);
      const size = tryReadInto(this.#options.input ?? -1, [this.#buffer.subarray(0, Math.min(CHUNK, chain.writableSize))]);
      if (size === 0 || size === "gone") {
        queue.unpop();
        this.#input?.stop();
        return;
      }
      if (size === "later") return queue.unpop();
      queue.push(chain, scatter(chain.writable, 0, this.#buffer.subarray(0, size)));
      host.signalUsed(queue);
    });
  }
}
