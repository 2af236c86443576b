/**
 * A network card on a tap. Source: virtio 1.2, 5.1. The packet header is the tap's own (12 bytes). What the guest writes there decides what the
 * host's kernel does with the packet: it is copied, and checked (net-header.ts), before the kernel sees it.
 */
import { POLLIN, POLLOUT } from "../../linux/abi/poll.ts";
import { TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6 } from "../../linux/kvm-tap.ts";
import { guarded, serve, type DeviceHost, type VirtioDevice } from "../virtio/device.ts";
import { gather, slices } from "../virtio/buffers.ts";
import { QueueError, type Chain, type SplitQueue } from "../virtio/queue.ts";
import { Later } from "../threads/later.ts";
import type { Watch } from "../threads/loop.ts";
import { tryReadInto, tryWriteFrom } from "./host-io.ts";
import { HEADER_SIZE, isSound } from "./net-header.ts";
import { RateLimit } from "./rate-limit.ts";

const RECEIVE = 0;
const TRANSMIT = 1;

/** Feature bits (5.1.3). */
const F_CSUM = 1 << 0;
const F_GUEST_CSUM = 1 << 1;
const F_MTU = 1 << 3;
const F_MAC = 1 << 5;
const F_GUEST_TSO4 = 1 << 7;
const F_GUEST_TSO6 = 1 << 8;
const F_HOST_TSO4 = 1 << 11;
const F_HOST_TSO6 = 1 << 12;

/** Bytes with the Ethernet header (5.1.6.3.1). */
const MAX_PACKET = 65550;
/** Packets taken from the tap before other devices have their turn. */
const BURST = 64;

export interface NetOptions {
  /** A tap from `openTap` that stays open. */
  readonly tap: number;
  /** Tells the tap what the guest takes: `setTapOffload`. */
  readonly setOffload: (features: number) => void;
  /** Six bytes. */
  readonly mac: Uint8Array;
  readonly mtu?: number;
  /** Each direction. */
  readonly bytesPerSecond?: number;
}

export class Net implements VirtioDevice {
  readonly id = 1;
  readonly name = "net";
  readonly queueSizes = [256, 256];
  readonly features: number;
  readonly config = new Uint8Array(12);
  readonly #options: NetOptions;
  readonly #limits: { readonly receive?: RateLimit; readonly transmit?: RateLimit };
  #host: DeviceHost | undefined;
  readonly #later = { receive: new Later(), transmit: new Later() };
  #watch: Watch | undefined;
  /** Whether there are buffers to receive into, and whether packets wait for room in the tap. */
  #receiving = true;
  #sending = false;

  constructor(options: NetOptions) {
    this.#options = options;
    this.features = F_CSUM | F_GUEST_CSUM | F_MAC | F_GUEST_TSO4 | F_GUEST_TSO6 | F_HOST_TSO4 | F_HOST_TSO6 | (options.mtu === undefined ? 0 : F_MTU);
    this.config.set(options.mac.subarray(0, 6));
    new DataView(this.config.buffer).setUint16(10, options.mtu ?? 0, true);
    const limit = options.bytesPerSecond;
    this.#limits = limit === undefined ? {} : { receive: new RateLimit(limit), transmit: new RateLimit(limit) };
  }

  start(host: DeviceHost): void {
    this.#host = host;
    this.#receiving = true;
    this.#sending = false;
    const has = (feature: number, offload: number) => ((host.driverFeatures & feature) === 0 ? 0 : offload);
    this.#options.setOffload(has(F_GUEST_CSUM, TUN_F_CSUM) | has(F_GUEST_TSO4, TUN_F_TSO4) | has(F_GUEST_TSO6, TUN_F_TSO6));
    this.#watch = host.loop.watch(this.#options.tap, POLLIN, () => this.#ready(host));
  }

  reset(): void {
    this.#watch?.stop();
    this.#host = undefined;
  }

  notified(queue: number): void {
    if (this.#host === undefined) return;
    if (queue === TRANSMIT) this.#transmit(this.#host);
    else this.#setWatch({ receiving: true });
  }

  #ready(host: DeviceHost): void {
    if (this.#sending) this.#transmit(host);
    if (this.#receiving && !this.#later.receive.due) this.#receive(host);
  }

  #setWatch(change: { receiving?: boolean; sending?: boolean }): void {
    this.#receiving = change.receiving ?? this.#receiving;
    this.#sending = change.sending ?? this.#sending;
    // Over its limit nothing is received, whatever buffers the guest offers meanwhile.
    const mayReceive = this.#receiving && !this.#later.receive.due;
    this.#watch?.setEvents((mayReceive ? POLLIN : 0) | (this.#sending ? POLLOUT : 0));
  }

  #transmit(host: DeviceHost): void {
    this.#setWatch({ sending: false });
    serve(host, TRANSMIT, (chain) => this.#send(host, chain));
  }

  /** What is malformed or too long is lost, as on a wire. */
  #send(host: DeviceHost, chain: Chain): number | undefined {
    const delay = this.#limits.transmit?.delay ?? 0;
    if (delay > 0) {
      this.#later.transmit.after(host.loop, delay, () => this.#host === host && this.#transmit(host));
      return undefined;
    }
    const header = gather(chain.readable, 0, HEADER_SIZE);
    if (chain.readableSize > HEADER_SIZE + MAX_PACKET || !isSound(header, chain.readableSize - HEADER_SIZE, host.driverFeatures)) return 0;
    if (tryWriteFrom(this.#options.tap, [header, ...slices(chain.readable, HEADER_SIZE)]) !== "later") {
      this.#limits.transmit?.take(chain.readableSize);
      return 0;
    }
    this.#setWatch({ sending: true });
    return undefined;
  }

  #receive(host: DeviceHost): void {
    const queue = host.queue(RECEIVE);
    if (queue === undefined) return this.#setWatch({ receiving: false });
    guarded(host, () => {
      for (let count = 0; count < BURST && this.#receiveOne(host, queue); count++);
      host.signalUsed(queue);
    });
  }

  /** One packet straight into the guest's buffers; what does not fit is cut off, and the guest's stack drops it. @returns whether to go on. */
  #receiveOne(host: DeviceHost, queue: SplitQueue): boolean {
    const chain = queue.pop();
    if (chain === undefined) {
      if (!queue.enableNotification()) this.#setWatch({ receiving: false });
      return false;
    }
    if (chain.writableSize < HEADER_SIZE) throw new QueueError(`a buffer of ${chain.writableSize} bytes for packets`);
    const size = tryReadInto(this.#options.tap, chain.writable);
    if (typeof size !== "number") {
      queue.unpop();
      if (size === "gone") this.#watch?.stop();
      return false;
    }
    queue.push(chain, size);
    this.#limits.receive?.take(size);
    const delay = this.#limits.receive?.delay ?? 0;
    if (delay === 0) return true;
    this.#later.receive.after(host.loop, delay, () => this.#setWatch({}));
    this.#setWatch({});
    return false;
  }
}
