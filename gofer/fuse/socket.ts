/**
 * A stream socket to a VMM, which passes on what a guest puts into the queues of a virtio-fs device:
 *
 *   request   the size of the buffers for the reply (u32, little endian), then the message, whose own first field is its length
 *   reply     the message, whose own first field is its length
 *
 * In the place of that size the VMM may say, for a snapshot of its machine (a guest's buffers are never as large):
 *
 *   SAVE      the reply: a header with number 0, and what this side has to know to go on, in JSON; or with EBUSY, where somebody waits for a lock
 *   RESTORE   its size (u32), and what was saved: first of all
 *
 * There are no notifications: Linux has no queue for them. What others may change is therefore told with short times only (CachePolicy).
 */
import { EAGAIN, EBUSY, EINTR, ENODEV } from "../../linux/abi/errno.ts";
import { POLLIN, POLLOUT } from "../../linux/abi/poll.ts";
import { tryRead, tryWrite } from "../../linux/data.ts";
import { fdNumber, type FdLike } from "../../linux/fd.ts";
import { setNonBlocking } from "../../linux/fcntl.ts";
import { permanentBlock, type Block } from "../../linux/memory.unsafe.ts";
import { poll } from "../../linux/poll.ts";
import { IN_HEADER, OUT_HEADER } from "./abi.ts";
import { BUFFER_SIZE, type Transport } from "./transport.ts";

const CAPACITY_SIZE = 4;
const UNIQUE_LOW = 8;
const UNIQUE_HIGH = 12;

export const SAVE = 0xffff_ffff;
export const RESTORE = 0xffff_fffe;
export const MAX_STATE = 64 << 20;

/** What there is to be saved. */
export interface Persistent {
  save(): unknown;
  restore(state: unknown): void;
}

const NOTHING: Persistent = { save: () => ({}), restore: () => undefined };

export class FuseSocket implements Transport {
  readonly fd: number;
  readonly #persistent: Persistent;
  readonly #prefix = permanentBlock(CAPACITY_SIZE);
  #prefixRead = 0;
  /** Bytes of the message that are there. */
  #read = 0;

  /** Does not own `fd`. @throws SysError */
  constructor(fd: FdLike, persistent = NOTHING) {
    this.#persistent = persistent;
    this.fd = fdNumber(fd);
    setNonBlocking(fd);
  }

  get capacity(): number {
    return Math.min(this.#prefix.view.getUint32(0, true), BUFFER_SIZE);
  }

  receive(request: Block): number {
    while (this.#prefixRead < CAPACITY_SIZE) {
      const read = this.#take(this.#prefix, this.#prefixRead, CAPACITY_SIZE);
      if (read <= 0) return read;
      this.#prefixRead += read;
    }
    const said = this.#prefix.view.getUint32(0, true);
    if (said === SAVE || said === RESTORE) {
      this.#prefixRead = 0;
      return said === SAVE ? this.#save(request) : this.#restore(request);
    }
    for (;;) {
      const length = this.#read < IN_HEADER.size ? IN_HEADER.size : request.view.getUint32(IN_HEADER.len, true);
      // Whoever breaks the protocol is no VMM of ours any more.
      if (length < IN_HEADER.size || length > request.size) return -ENODEV;
      if (this.#read === length) break;
      const read = this.#take(request, this.#read, length);
      if (read <= 0) return read;
      this.#read += read;
    }
    const length = this.#read;
    this.#read = this.#prefixRead = 0;
    return length;
  }

  /** @param buffer is used on the way. @returns 0: no request; -ENODEV at the end */
  #save(buffer: Block): number {
    const state = this.#state();
    const header = Buffer.alloc(OUT_HEADER.size);
    header.writeUInt32LE(OUT_HEADER.size + (state?.length ?? 0));
    if (state === undefined) header.writeInt32LE(-EBUSY, OUT_HEADER.error);
    const all = Buffer.concat([header, state ?? new Uint8Array(0)]);
    for (let sent = 0; sent < all.length; sent += buffer.size) {
      const part = all.subarray(sent, sent + buffer.size);
      buffer.bytes.set(part);
      if (this.#sendAll(buffer, part.length) < 0) return -ENODEV;
    }
    return 0;
  }

  /** @returns undefined where it cannot be saved now: the guest goes on. */
  #state(): Buffer | undefined {
    try {
      return Buffer.from(JSON.stringify(this.#persistent.save()));
    } catch {
      return undefined;
    }
  }

  /** @throws Error where it cannot be restored: then this is no gofer for that guest. */
  #restore(buffer: Block): number {
    const size = this.#receiveAll(buffer, CAPACITY_SIZE)?.readUInt32LE(0);
    if (size === undefined || size > MAX_STATE) return -ENODEV;
    const parts: Buffer[] = [];
    for (let left = size; left > 0; left -= Math.min(left, buffer.size)) {
      const part = this.#receiveAll(buffer, Math.min(left, buffer.size));
      if (part === undefined) return -ENODEV;
      parts.push(part);
    }
    this.#persistent.restore(JSON.parse(Buffer.concat(parts).toString()));
    return 0;
  }

  /** Waits for it: the VMM says all of it before it does anything else. @returns a copy, undefined at the end */
  #receiveAll(buffer: Block, size: number): Buffer | undefined {
    for (let done = 0; done < size; ) {
      const read = this.#take(buffer, done, size);
      if (read < 0) return undefined;
      if (read === 0) poll([{ fd: this.fd, events: POLLIN }], Infinity);
      done += read;
    }
    return Buffer.from(buffer.bytes.slice(0, size));
  }

  /** @returns bytes; 0 where there are none now, -ENODEV at the end. */
  #take(into: Block, from: number, to: number): number {
    const read = tryRead(this.fd, into, from, to - from);
    if (read === -EAGAIN || read === -EINTR) return 0;
    return read <= 0 ? -ENODEV : read;
  }

  send(reply: Block, length: number): number {
    if (reply.view.getUint32(UNIQUE_LOW, true) === 0 && reply.view.getUint32(UNIQUE_HIGH, true) === 0) return 0;
    return this.#sendAll(reply, length);
  }

  #sendAll(reply: Block, length: number): number {
    for (let sent = 0; sent < length; ) {
      const written = tryWrite(this.fd, reply, sent, length - sent);
      if (written === -EAGAIN) poll([{ fd: this.fd, events: POLLOUT }], Infinity);
      else if (written < 0 && written !== -EINTR) return written;
      else sent += Math.max(written, 0);
    }
    return 0;
  }
}
