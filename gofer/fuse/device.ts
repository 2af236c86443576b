/** /dev/fuse: one read a request, one write a reply. Source: fuse(4), Linux fs/fuse/dev.c. */
import { EAGAIN, EINTR, ENODEV, ENOENT } from "../../linux/abi/errno.ts";
import { tryRead, tryWrite } from "../../linux/data.ts";
import { fdNumber, type FdLike } from "../../linux/fd.ts";
import { setNonBlocking } from "../../linux/fcntl.ts";
import type { Block } from "../../linux/memory.unsafe.ts";
import { BUFFER_SIZE, type Transport } from "./transport.ts";

export class FuseDevice implements Transport {
  readonly fd: number;
  readonly capacity = BUFFER_SIZE;

  /** Does not own `fd`. @throws SysError */
  constructor(fd: FdLike) {
    this.fd = fdNumber(fd);
    setNonBlocking(fd);
  }

  receive(request: Block): number {
    const length = tryRead(this.fd, request, 0, request.size);
    // ENOENT: the request was given up while it was being read.
    return length === -EAGAIN || length === -EINTR || length === -ENOENT ? 0 : length < 0 ? -ENODEV : length;
  }

  /** ENOENT says that nobody waits for it any more. */
  send(reply: Block, length: number): number {
    const written = tryWrite(this.fd, reply, 0, length);
    return written === -ENOENT ? 0 : Math.min(written, 0);
  }
}
