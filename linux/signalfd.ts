/** Signals as something to poll for. Source: signalfd(2). */
import { SYS } from "./arch.ts";
import { EAGAIN } from "./abi/errno.ts";
import { decodeSignalInfo, SFD_CLOEXEC, SFD_NONBLOCK, SIGNALFD_SIGINFO_SIZE, type SignalInfo } from "./abi/signalfd.ts";
import { check } from "./errors.ts";
import { Fd, fdNumber, type FdLike } from "./fd.ts";
import { scratch } from "./memory.unsafe.ts";
import { retrying, syscall } from "./syscall.unsafe.ts";

const MASK_BYTES = 8;

/** The mask for `setSignalMask` and `createSignalFd`: bit n-1 for signal n. */
export function signalMask(signals: readonly number[]): bigint {
  return signals.reduce((mask, signal) => mask | (1n << BigInt(signal - 1)), 0n);
}

/**
 * A non-blocking descriptor that reads as the signals of `mask` which are pending for its reader.
 * Preconditions: the caller has blocked them (`setSignalMask`), and is single-threaded, as a forked child is; else another thread takes them.
 */
export function createSignalFd(mask: bigint): Fd {
  using s = scratch();
  const set = s.reserve(MASK_BYTES);
  set.view.setBigUint64(0, mask, true);
  return new Fd(check(syscall(SYS.signalfd4, -1, set.address, MASK_BYTES, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd"));
}

/** The next pending signal, or undefined. */
export function takeSignal(fd: FdLike): SignalInfo | undefined {
  using s = scratch();
  const info = s.reserve(SIGNALFD_SIGINFO_SIZE);
  const result = retrying(SYS.read, fdNumber(fd), info.address, info.size);
  if (result === -EAGAIN) return undefined;
  check(result, "read", "signalfd");
  return decodeSignalInfo(info.view);
}
