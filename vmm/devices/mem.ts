/**
 * Memory that a running guest is given, and gives back, block by block. Source: virtio 1.2, 5.15.
 *
 * How much it is to have is the host's to say, which blocks the guest's. All of the region is mapped from the start: a guest that uses what it was
 * not given takes memory of the host's all the same, and is held by its cgroup's limit as it is with all its other memory.
 */
import { gather, scatter } from "../virtio/buffers.ts";
import { serve, type DeviceHost, type VirtioDevice } from "../virtio/device.ts";
import type { Chain } from "../virtio/queue.ts";
import { GROWTH_BLOCK, type Growth } from "../memory.ts";

/** Requests, answers and states (5.15.6). */
const REQUEST = { plug: 0, unplug: 1, unplugAll: 2, state: 3 } as const;
const ANSWER = { ack: 0, nack: 1, error: 3 } as const;
const STATE = { plugged: 0, unplugged: 1, mixed: 2 } as const;

const REQUEST_SIZE = 24;
const ANSWER_SIZE = 10;

/** The configuration's fields (5.15.4): u64 each. */
const FIELD = { blockSize: 0, address: 16, regionSize: 24, usableSize: 32, plugged: 40, requested: 48 } as const;
const CONFIG_SIZE = 56;

interface SavedMem {
  readonly requested: number;
  readonly plugged: Uint8Array;
}

type Blocks = readonly [first: number, end: number];

export class Mem implements VirtioDevice {
  readonly id = 24;
  readonly name = "mem";
  readonly queueSizes = [16];
  readonly features = 0;
  readonly config = new Uint8Array(CONFIG_SIZE);
  readonly #growth: Growth;
  readonly #discard: (address: number, size: number) => void;
  #requested = 0;
  #host: DeviceHost | undefined;

  /** @param discard gives the host's memory behind [address, address + size) back. */
  constructor(growth: Growth, discard: (address: number, size: number) => void) {
    this.#growth = growth;
    this.#discard = discard;
    const { start, size } = growth.region;
    for (const [field, value] of [["blockSize", GROWTH_BLOCK], ["address", start], ["regionSize", size], ["usableSize", size]] as const) this.#set(field, value);
  }

  #set(field: keyof typeof FIELD, value: number): void {
    new DataView(this.config.buffer).setBigUint64(FIELD[field], BigInt(value), true);
  }

  /** Bytes that the guest is to have. */
  get requested(): number {
    return this.#requested;
  }

  /** Bytes that it has. */
  get plugged(): number {
    return this.#growth.plugged.reduce((sum, block) => sum + block, 0) * GROWTH_BLOCK;
  }

  /** @param bytes are rounded up to whole blocks. @throws RangeError for more than there is room for */
  request(bytes: number): void {
    const wanted = Math.ceil(bytes / GROWTH_BLOCK) * GROWTH_BLOCK;
    if (wanted > this.#growth.region.size) throw new RangeError(`there is room for ${this.#growth.region.size} bytes more, not for ${wanted}`);
    this.#requested = wanted;
    this.#set("requested", wanted);
    this.#host?.signalConfig();
  }

  start(host: DeviceHost): void {
    this.#host = host;
  }

  /** The guest keeps what it has (5.15.6.3 is about the machine's reset, with which the process ends). */
  reset(): void {
    this.#host = undefined;
  }

  save(): SavedMem {
    return { requested: this.#requested, plugged: this.#growth.plugged };
  }

  restore(state: unknown): void {
    const { requested, plugged } = state as SavedMem;
    if (plugged.length !== this.#growth.plugged.length) throw new Error("the snapshot's machine had room for another amount of memory");
    this.#growth.plugged.set(plugged);
    this.#requested = requested;
    this.#set("requested", requested);
    this.#set("plugged", this.plugged);
  }

  notified(queue: number): void {
    if (this.#host !== undefined) serve(this.#host, queue, (chain) => this.#handle(chain));
  }

  #handle(chain: Chain): number {
    const request = gather(chain.readable, 0, REQUEST_SIZE);
    const answer = new DataView(new ArrayBuffer(ANSWER_SIZE));
    const [type, state] = request.length < REQUEST_SIZE ? [ANSWER.error, 0] : this.#execute(new DataView(request.buffer));
    answer.setUint16(0, type, true);
    answer.setUint16(8, state, true);
    return scatter(chain.writable, 0, new Uint8Array(answer.buffer));
  }

  #execute(request: DataView): readonly [type: number, state: number] {
    const type = request.getUint16(0, true);
    if (type === REQUEST.unplugAll) return [this.#unplug([0, this.#growth.plugged.length]), 0];
    const blocks = this.#blocks(Number(request.getBigUint64(8, true)), request.getUint16(16, true));
    if (blocks === undefined) return [ANSWER.error, 0];
    switch (type) {
      case REQUEST.plug: return [this.#plug(blocks), 0];
      case REQUEST.unplug: return [this.#isAll(blocks, 1) ? this.#unplug(blocks) : ANSWER.error, 0];
      case REQUEST.state: return [ANSWER.ack, this.#isAll(blocks, 1) ? STATE.plugged : this.#isAll(blocks, 0) ? STATE.unplugged : STATE.mixed];
      default: return [ANSWER.error, 0];
    }
  }

  /** @param address any number; above 2^53 it is inexact, and outside. @returns undefined for what is no blocks of the region. */
  #blocks(address: number, count: number): Blocks | undefined {
    const { region, plugged } = this.#growth;
    const first = (address - region.start) / GROWTH_BLOCK;
    return Number.isInteger(first) && first >= 0 && count > 0 && first + count <= plugged.length ? [first, first + count] : undefined;
  }

  #isAll([first, end]: Blocks, value: number): boolean {
    return this.#growth.plugged.subarray(first, end).every((block) => block === value);
  }

  #plug(blocks: Blocks): number {
    const [first, end] = blocks;
    if (!this.#isAll(blocks, 0)) return ANSWER.error;
    if (this.plugged + (end - first) * GROWTH_BLOCK > this.#requested) return ANSWER.nack;
    return this.#mark(blocks, 1);
  }

  #unplug(blocks: Blocks): number {
    const [first, end] = blocks;
    this.#discard(this.#growth.region.start + first * GROWTH_BLOCK, (end - first) * GROWTH_BLOCK);
    return this.#mark(blocks, 0);
  }

  #mark([first, end]: Blocks, value: number): number {
    this.#growth.plugged.fill(value, first, end);
    this.#set("plugged", this.plugged);
    return ANSWER.ack;
  }
}
