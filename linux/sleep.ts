/** Waiting without an event loop, which a forked child does not have. */

import process from "node:process";
import { SYS } from "./arch.ts";
import { syscall } from "./syscall.unsafe.ts";

/** Milliseconds of CLOCK_MONOTONIC. The global `performance` is a module that takes milliseconds to load. */
export const now = () => Number(process.hrtime.bigint()) / 1e6;

/** Blocks this thread. */
export function sleepMs(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/**
 * Polls `done` until it holds or `timeoutMs` has passed, with pauses that grow from 1 to 20 ms.
 * @returns whether it came to hold.
 */
export function waitUntil(timeoutMs: number, done: () => boolean): boolean {
  const end = now() + timeoutMs;
  for (let pause = 1; !done(); pause = Math.min(pause * 2, 20)) {
    if (now() >= end) return false;
    sleepMs(pause);
  }
  return true;
}

/** Lets others run first. Source: sched_yield(2). */
export function yieldProcessor(): void {
  syscall(SYS.sched_yield);
}
