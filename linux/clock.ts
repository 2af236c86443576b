/** Source: clock_gettime(2). */
import { SYS } from "./arch.ts";
import { check } from "./errors.ts";
import { permanentBlock } from "./memory.unsafe.ts";
import { syscall } from "./syscall.unsafe.ts";

const CLOCK_MONOTONIC = 1;
const time = permanentBlock(16);

/** Seconds of CLOCK_MONOTONIC, with fractions. */
export function monotonicSeconds(): number {
  check(syscall(SYS.clock_gettime, CLOCK_MONOTONIC, time.address), "clock_gettime");
  return Number(time.view.getBigInt64(0, true)) + Number(time.view.getBigInt64(8, true)) / 1e9;
}
