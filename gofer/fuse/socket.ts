/**
 * A stream socket to a VMM, which passes on what a guest puts into the queues of a virtio-fs device:
 *
 *   request   the size of the buffers for the reply (u32, little endian), then the message, whose own first field is its length
 *   reply     the message, whose own first field is its length
 *
 * There are no notifications: Linux has no queue for them. What others may change is therefore told with short times only (CachePolicy).
 */
import { EAGAIN, EINTR, ENODEV } from "../../linux/abi/errno.ts";
import { POLLOUT } from "../../linux/abi/poll.ts";
import { tryRead, tryWrite } from "../../linux/data.ts";
import { fdNumber, type FdLike } from "../../linux/fd.ts";
import { setNonBlocking } from "../../linux/fcntl.ts";
import { permanentBlock, type Block } from "../../linux/memory.unsafe.ts";
import { poll } from "../../linux/poll.ts";
import { IN_HEADER } from "./abi.ts";
import { BUFFER_SIZE, type Transport } from "./transport.ts";

const CAPACITY_SIZE = 4;
const UNIQUE_LOW = 8;
const UNIQUE_HIGH = 12;

export class FuseSocket implements Transport {
  readonly fd: number;
  readonly #prefix = permanentBlock(CAPACITY_SIZE);
  #prefixRead = 0;
  /** Bytes of the message that are there. */
  #read = 0;

  /** Does not own `fd`. @throws SysError */
  constructor(fd: FdLike) {
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

  /** @returns bytes; 0 where there are none now, -ENODEV at the end. */
  #take(into: Block, from: number, to: number): number {
    const read = tryRead(this.fd, into, from, to - from);
    if (read === -EAGAIN || read === -EINTR) return 0;
    return read <= 0 ? -ENODEV : read;
  }

  send(reply: Block, length: number): number {
    if (reply.view.getUint32(UNIQUE_LOW, true) === 0 && reply.view.getUint32(UNIQUE_HIGH, true) === 0) return 0;
    for (let sent = 0; sent < length; ) {
      const written = tryWrite(this.fd, reply, sent, length - sent);
      if (written === -EAGAIN) poll([{ fd: this.fd, events: POLLOUT }], Infinity);
      else if (written < 0 && written !== -EINTR) return written;
      else sent += Math.max(written, 0);
    }
    return 0;
  }
}
