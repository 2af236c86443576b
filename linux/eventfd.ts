/** A counter behind a descriptor, to wake a process that polls. Source: eventfd(2). */
import { SYS } from "./arch.ts";
import { EAGAIN } from "./abi/errno.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK } from "./abi/eventfd.ts";
import { check } from "./errors.ts";
import { Fd, fdNumber, type FdLike } from "./fd.ts";
import { scratch } from "./memory.unsafe.ts";
import { retrying, syscall } from "./syscall.unsafe.ts";

/** @param initial from 0 to 2^32 - 1. The descriptor does not block. */
export function createEventFd(initial = 0): Fd {
  return new Fd(check(syscall(SYS.eventfd2, initial, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"));
}

/** Adds to the counter. @throws SysError EAGAIN where it would exceed 2^64 - 2. */
export function addEvents(fd: FdLike, count: bigint): void {
  using s = scratch();
  const word = s.reserve(8);
  word.view.setBigUint64(0, count, true);
  check(retrying(SYS.write, fdNumber(fd), word.address, 8), "write", "eventfd");
}

/** The counter, which is 0 from then on. */
export function takeEvents(fd: FdLike): bigint {
  using s = scratch();
  const word = s.reserve(8);
  const result = retrying(SYS.read, fdNumber(fd), word.address, 8);
  if (result === -EAGAIN) return 0n;
  check(result, "read", "eventfd");
  return word.view.getBigUint64(0, true);
}
