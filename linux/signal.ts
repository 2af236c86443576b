/** Signal dispositions and masks of the calling thread, by raw calls: libc and libuv are not told. */
import { SYS } from "./arch.ts";
import { SIGNALS } from "./abi/signal.ts";
import { check } from "./errors.ts";
import { scratch } from "./memory.unsafe.ts";
import { syscall } from "./syscall.unsafe.ts";

const SIG_SETMASK = 2;
const MASK_BYTES = 8;
/** Size of the kernel's struct sigaction: handler, flags, restorer, mask. */
const SIGACTION_SIZE = 32;
const LAST_SIGNAL = 64;
const SA_NOCLDSTOP = 1;

/** Replaces the mask; bit n-1 stands for signal n. @returns the mask before. Source: rt_sigprocmask(2). */
export function setSignalMask(mask: bigint): bigint {
  using s = scratch();
  const block = s.reserve(16);
  block.view.setBigUint64(0, mask, true);
  check(syscall(SYS.rt_sigprocmask, SIG_SETMASK, block.address, block.address + 8, MASK_BYTES), "rt_sigprocmask");
  return block.view.getBigUint64(8, true);
}

export const ALL_SIGNALS = 2n ** 64n - 1n;
export const NO_SIGNALS = 0n;

/**
 * Gives every signal its default action: execve(2) would reset handlers, but not what Node ignores (SIGPIPE).
 * SIGKILL and SIGSTOP refuse, and have their default anyway.
 */
export function resetSignalActions(): void {
  using s = scratch();
  const defaults = s.reserve(SIGACTION_SIZE);
  for (let signal = 1; signal <= LAST_SIGNAL; signal++) syscall(SYS.rt_sigaction, signal, defaults.address, 0, MASK_BYTES);
}

/** Gives SIGCHLD its default action, and has no stop of a child or a traced task send one: a tracer is told by wait4(2). Source: sigaction(2), SA_NOCLDSTOP. */
export function forgoStopSignals(): void {
  using s = scratch();
  const action = s.reserve(SIGACTION_SIZE);
  action.view.setBigUint64(8, BigInt(SA_NOCLDSTOP), true);
  check(syscall(SYS.rt_sigaction, SIGNALS.SIGCHLD, action.address, 0, MASK_BYTES), "rt_sigaction");
}
