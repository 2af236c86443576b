/** A file system: FUSE requests in a queue. Source: virtio 1.2, 5.11; the messages are Linux include/uapi/linux/fuse.h. */
import { serve, type DeviceHost, type VirtioDevice } from "../virtio/device.ts";
import { gather, scatter, slices } from "../virtio/buffers.ts";
import type { Chain } from "../virtio/queue.ts";

const TAG_SIZE = 36;
/** struct fuse_in_header, struct fuse_out_header. */
export const IN_HEADER = 40;
export const OUT_HEADER = 16;
const EIO = 5;

/** Who answers: the gofer's session, which takes every byte of a request for hostile. */
export interface FuseBackEnd {
  /** Where a request is put, and a reply found: at least 1 MiB and 4 KiB each. */
  readonly request: Uint8Array;
  readonly reply: Uint8Array;
  /** Answers the first `length` bytes of `request`; the guest takes a reply of at most `capacity` bytes. @returns the reply's length, 0 for none. */
  handle(length: number, capacity: number): number;
}

/** struct virtio_fs_config: the tag, and one request queue. @throws RangeError */
export function fsConfig(tag: string): Uint8Array {
  const config = new Uint8Array(TAG_SIZE + 4);
  const bytes = Buffer.from(tag);
  if (bytes.length === 0 || bytes.length > TAG_SIZE) throw new RangeError(`a file system's tag of ${bytes.length} bytes`);
  config.set(bytes);
  new DataView(config.buffer).setUint32(TAG_SIZE, 1, true);
  return config;
}

export class Fs implements VirtioDevice {
  readonly id = 26;
  readonly name = "fs";
  /** High priority (FORGET, INTERRUPT), then requests. */
  readonly queueSizes = [64, 128];
  readonly features = 0;
  readonly config = new Uint8Array(TAG_SIZE + 4);
  readonly #backEnd: FuseBackEnd;
  #host: DeviceHost | undefined;

  /** @param tag what the guest mounts: `mount -t virtiofs TAG`; at most 36 bytes. */
  constructor(tag: string, backEnd: FuseBackEnd) {
    this.config.set(fsConfig(tag));
    this.#backEnd = backEnd;
  }

  start(host: DeviceHost): void {
    this.#host = host;
  }

  reset(): void {
    this.#host = undefined;
  }

  notified(queue: number): void {
    if (this.#host !== undefined) serve(this.#host, queue, (chain) => this.#answer(chain));
  }

  #answer(chain: Chain): number {
    const { request, reply } = this.#backEnd;
    if (chain.readableSize < IN_HEADER) return 0;
    if (chain.readableSize > request.length) return refuse(chain);
    let length = 0;
    for (const part of slices(chain.readable, 0)) {
      request.set(part, length);
      length += part.length;
    }
    const answered = this.#backEnd.handle(length, chain.writableSize);
    return answered > 0 ? scatter(chain.writable, 0, reply.subarray(0, answered)) : 0;
  }
}

/** For a request that is longer than we take, or not what it says, or that nobody is there to answer. */
export function refuse(chain: Chain, errno = EIO): number {
  const unique = gather(chain.readable, 8, 8);
  const answer = new DataView(new ArrayBuffer(OUT_HEADER));
  answer.setUint32(0, OUT_HEADER, true);
  answer.setInt32(4, -errno, true);
  new Uint8Array(answer.buffer).set(unique, 8);
  return scatter(chain.writable, 0, new Uint8Array(answer.buffer));
}
