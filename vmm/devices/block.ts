/** A disk in a file. Source: virtio 1.2, 5.2. */
import { fdatasyncSync, fstatSync, readvSync, writevSync } from "node:fs";
import { serve, type DeviceHost, type VirtioDevice } from "../virtio/device.ts";
import { gather, scatter, slices } from "../virtio/buffers.ts";
import type { Chain } from "../virtio/queue.ts";
import { Later } from "../threads/later.ts";
import { RateLimit } from "./rate-limit.ts";

const SECTOR = 512;
const QUEUE_SIZE = 256;

/** Feature bits (5.2.3). */
const F_SEG_MAX = 1 << 2;
const F_RO = 1 << 5;
const F_BLK_SIZE = 1 << 6;
const F_FLUSH = 1 << 9;

/** Request types and answers (5.2.6). */
const T_IN = 0;
const T_OUT = 1;
const T_FLUSH = 4;
const T_GET_ID = 8;
const S_OK = 0;
const S_IOERR = 1;
const S_UNSUPP = 2;

const HEADER_SIZE = 16;
const ID_SIZE = 20;

export interface BlockOptions {
  /** A file or block device that stays open; its size at start is the disk's. */
  readonly fd: number;
  readonly readOnly: boolean;
  /** At most 20 bytes, which the guest sees as the serial number. */
  readonly serial?: string;
  readonly bytesPerSecond?: number;
  readonly operationsPerSecond?: number;
}

export class Block implements VirtioDevice {
  readonly id = 2;
  readonly name = "block";
  readonly queueSizes = [QUEUE_SIZE];
  readonly features: number;
  readonly config = new Uint8Array(64);
  readonly #options: BlockOptions;
  readonly #size: number;
  readonly #limits: readonly { readonly limit: RateLimit; readonly cost: (chain: Chain) => number }[];
  readonly #later = new Later();
  #host: DeviceHost | undefined;

  constructor(options: BlockOptions) {
    this.#options = options;
    this.features = F_SEG_MAX | F_BLK_SIZE | F_FLUSH | (options.readOnly ? F_RO : 0);
    this.#size = Math.floor(fstatSync(options.fd).size / SECTOR) * SECTOR;
    const config = new DataView(this.config.buffer);
    config.setBigUint64(0, BigInt(this.#size / SECTOR), true);
    config.setUint32(12, QUEUE_SIZE - 2, true);
    config.setUint32(20, SECTOR, true);
    this.#limits = [
      ...(options.bytesPerSecond === undefined ? [] : [{ limit: new RateLimit(options.bytesPerSecond), cost: (chain: Chain) => chain.readableSize + chain.writableSize }]),
      ...(options.operationsPerSecond === undefined ? [] : [{ limit: new RateLimit(options.operationsPerSecond), cost: () => 1 }]),
    ];
  }

  start(host: DeviceHost): void {
    this.#host = host;
  }

  reset(): void {
    this.#host = undefined;
  }

  notified(queue: number): void {
    const host = this.#host;
    if (host === undefined) return;
    serve(host, queue, (chain) => {
      const delay = Math.max(0, ...this.#limits.map(({ limit }) => limit.delay));
      if (delay === 0) {
        for (const { limit, cost } of this.#limits) limit.take(cost(chain));
        return this.#handle(chain);
      }
      this.#later.after(host.loop, delay, () => this.notified(queue));
      return undefined;
    });
  }

  /** The last writable byte is the status, in front of it is the data that was read. */
  #handle(chain: Chain): number {
    const room = chain.writableSize - 1;
    if (room < 0) return 0;
    const { status, written } = this.#execute(chain, room);
    scatter(chain.writable, room, Uint8Array.of(status));
    return status === S_OK ? written + 1 : chain.writableSize;
  }

  #execute(chain: Chain, room: number): { status: number; written: number } {
    const header = gather(chain.readable, 0, HEADER_SIZE);
    if (header.length < HEADER_SIZE) return { status: S_IOERR, written: 0 };
    const view = new DataView(header.buffer);
    const [type, sector] = [view.getUint32(0, true), Number(view.getBigUint64(8, true))];
    try {
      switch (type) {
        case T_IN: return this.#read(slices(chain.writable, 0, room), sector, room);
        case T_OUT: return this.#write(slices(chain.readable, HEADER_SIZE), sector, chain.readableSize - HEADER_SIZE);
        case T_FLUSH: return this.#flush();
        case T_GET_ID: return { status: S_OK, written: scatter(chain.writable, 0, this.#serial().subarray(0, room)) };
        default: return { status: S_UNSUPP, written: 0 };
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
      return { status: S_IOERR, written: 0 };
    }
  }

  #inside(sector: number, size: number): boolean {
    return size % SECTOR === 0 && sector * SECTOR <= this.#size && size <= this.#size - sector * SECTOR;
  }

  #read(into: readonly Uint8Array[], sector: number, size: number) {
    if (!this.#inside(sector, size)) return { status: S_IOERR, written: 0 };
    const done = size === 0 ? 0 : readvSync(this.#options.fd, into, sector * SECTOR);
    return { status: done === size ? S_OK : S_IOERR, written: size };
  }

  #write(from: readonly Uint8Array[], sector: number, size: number) {
    if (this.#options.readOnly || !this.#inside(sector, size)) return { status: S_IOERR, written: 0 };
    const done = size === 0 ? 0 : writevSync(this.#options.fd, from, sector * SECTOR);
    return { status: done === size ? S_OK : S_IOERR, written: 0 };
  }

  #flush() {
    if (!this.#options.readOnly) fdatasyncSync(this.#options.fd);
    return { status: S_OK, written: 0 };
  }

  #serial(): Uint8Array {
    const serial = new Uint8Array(ID_SIZE);
    serial.set(Buffer.from(this.#options.serial ?? "").subarray(0, ID_SIZE));
    return serial;
  }
}
