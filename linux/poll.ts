/** Waiting for several descriptors. Source: ppoll(2). */
import { SYS } from "./arch.ts";
import { POLLFD_SIZE } from "./abi/poll.ts";
import { check } from "./errors.ts";
import { fdNumber, type FdLike } from "./fd.ts";
import { scratch } from "./memory.unsafe.ts";
import { retrying } from "./syscall.unsafe.ts";

export interface PollRequest {
  readonly fd: FdLike;
  /** `POLL*`; 0 waits for hang-up and error only. */
  readonly events: number;
}

/**
 * Waits until one of the descriptors is ready or the time is over; a signal does not shorten it.
 * @param timeoutMs 0 or more; Infinity waits for ever.
 * @returns for each request what happened (`POLL*`); all 0 after a time-out. A descriptor that is not open answers POLLNVAL.
 */
export function poll(requests: readonly PollRequest[], timeoutMs: number): number[] {
  using s = scratch();
  const set = s.reserve(Math.max(POLLFD_SIZE * requests.length, POLLFD_SIZE));
  for (const [i, { fd, events }] of requests.entries()) {
    set.view.setInt32(POLLFD_SIZE * i, fdNumber(fd), true);
    set.view.setInt16(POLLFD_SIZE * i + 4, events, true);
  }
  // The kernel writes the time that is left back: a repetition after EINTR waits for the rest only.
  const time = timeoutMs === Infinity ? 0 : s.copy(encodeTime(timeoutMs));
  check(retrying(SYS.ppoll, set.address, requests.length, time, 0, 8), "ppoll");
  return requests.map((_request, i) => set.view.getUint16(POLLFD_SIZE * i + 6, true));
}

/** struct timespec: seconds and nanoseconds. */
function encodeTime(milliseconds: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(16));
  view.setBigInt64(0, BigInt(Math.floor(milliseconds / 1000)), true);
  view.setBigInt64(8, BigInt(Math.floor((milliseconds % 1000) * 1e6)), true);
  return new Uint8Array(view.buffer);
}
