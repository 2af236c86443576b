/**
 * Where requests come from and replies go. /dev/fuse is one (device.ts); a virtio-fs queue is another: it copies the driver's readable
 * descriptors into `request`, gives their writable ones' size as `capacity`, and copies the reply back.
 */
import type { Block } from "../../linux/memory.unsafe.ts";

/** MAX_WRITE, and what stands before the data. */
export const BUFFER_SIZE = 1024 * 1024 + 4096;

export interface Transport {
  /** Becomes readable when a request waits. */
  readonly fd: number;
  /** How long a reply to the request last received may be. */
  readonly capacity: number;
  /** Takes a request, without waiting. @returns its length in `request`, 0 for none, -ENODEV where there will be no more. */
  receive(request: Block): number;
  /** Sends the first `length` bytes, a reply or a notification. @returns 0 or the negative errno. */
  send(reply: Block, length: number): number;
}
