/** A clock's alarm as a descriptor. Source: timerfd_create(2). */
import { SYS } from "./arch.ts";
import { O_NONBLOCK, O_CLOEXEC } from "./abi/fcntl.ts";
import { check } from "./errors.ts";
import { Fd, type FdLike, fdNumber } from "./fd.ts";
import { permanentBlock } from "./memory.unsafe.ts";
import { syscall } from "./syscall.unsafe.ts";

const CLOCK_MONOTONIC = 1;
const setting = permanentBlock(32);

export function createTimer(): Fd {
  return new Fd(check(syscall(SYS.timerfd_create, CLOCK_MONOTONIC, O_NONBLOCK | O_CLOEXEC), "timerfd_create"));
}

/** Readable after so many milliseconds, at once for 0 and less; never for Infinity. */
export function setTimer(timer: FdLike, milliseconds: number): void {
  const nanoseconds = Number.isFinite(milliseconds) ? Math.max(Math.ceil(milliseconds * 1e6), 1) : 0;
  setting.bytes.fill(0);
  setting.view.setBigInt64(16, BigInt(Math.floor(nanoseconds / 1e9)), true);
  setting.view.setBigInt64(24, BigInt(nanoseconds % 1e9), true);
  check(syscall(SYS.timerfd_settime, fdNumber(timer), 0, setting.address, 0), "timerfd_settime");
}
