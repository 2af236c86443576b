/** One end of a connection between host and agent: frames, without ever waiting. */
import { POLLIN, POLLOUT } from "../../linux/abi/poll.ts";
import type { Fd } from "../../linux/fd.ts";
import { setNonBlocking } from "../../linux/fcntl.ts";
import { tryReadInto, tryWriteFrom } from "../../vmm/devices/host-io.ts";
import { CHUNK, FRAME, FRAME_HEADER, MAX_FRAME, type FromAgent, type FromHost } from "./protocol.ts";

export interface Frame {
  readonly kind: number;
  readonly content: Uint8Array;
}

export class Channel {
  readonly fd: Fd;
  readonly #limit: number;
  readonly #buffer = Buffer.alloc(CHUNK);
  #received: Buffer = Buffer.alloc(0);
  #pending: Buffer[] = [];
  #gone = false;

  /** Owns `fd`. @param limit bytes of a frame that the other end may send. */
  constructor(fd: Fd, limit = MAX_FRAME) {
    setNonBlocking(fd);
    this.fd = fd;
    this.#limit = limit;
  }

  /** Whether the other end is gone, or has broken the protocol. */
  get gone(): boolean {
    return this.#gone;
  }

  /** Whether everything has left: who makes more meanwhile makes us keep it. */
  get idle(): boolean {
    return this.#pending.length === 0;
  }

  /** @param reading whether the owner has room for what may come. */
  events(reading: boolean): number {
    return (reading ? POLLIN : 0) | (this.idle ? 0 : POLLOUT);
  }

  say(message: FromHost | FromAgent): void {
    this.send(FRAME.json, Buffer.from(JSON.stringify(message)));
  }

  send(kind: number, content: Uint8Array): void {
    const header = Buffer.alloc(FRAME_HEADER);
    header.writeUInt32LE(content.length);
    header[4] = kind;
    this.#pending.push(header, Buffer.from(content));
    this.flush();
  }

  flush(): void {
    while (this.#pending.length > 0 && !this.#gone) {
      const written = tryWriteFrom(this.fd.number, this.#pending.slice(0, 64));
      if (written === "later") return;
      if (written === "gone") this.#gone = true;
      else this.#drop(written);
    }
  }

  #drop(count: number): void {
    let left = count;
    for (let first = this.#pending[0]; first !== undefined && left >= first.length; first = this.#pending[0]) {
      left -= first.length;
      this.#pending.shift();
    }
    if (left > 0 && this.#pending[0] !== undefined) this.#pending[0] = this.#pending[0].subarray(left);
  }

  /** Reads what has come, once. */
  read(): void {
    const size = tryReadInto(this.fd.number, [this.#buffer]);
    if (size === 0 || size === "gone") this.#gone = true;
    if (typeof size === "number" && size > 0) this.#received = Buffer.concat([this.#received, this.#buffer.subarray(0, size)]);
  }

  /** The next whole frame of what was read. */
  next(): Frame | undefined {
    if (this.#received.length < FRAME_HEADER) return undefined;
    const length = this.#received.readUInt32LE(0);
    if (length > this.#limit) {
      this.#gone = true;
      return undefined;
    }
    const end = FRAME_HEADER + length;
    if (this.#received.length < end) return undefined;
    const frame = { kind: this.#received[4] ?? 0, content: this.#received.subarray(FRAME_HEADER, end) };
    this.#received = this.#received.subarray(end);
    return frame;
  }
}
