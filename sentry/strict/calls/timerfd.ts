/** timerfd_create(2): a timer of the kernel's, which is the sentry's; the guest's clocks count from elsewhere (time_namespaces(7)). */
import { EBADF, EINVAL } from "../../../linux/abi/errno.ts";
import { O_CLOEXEC, O_NONBLOCK, O_RDWR } from "../../../linux/abi/fcntl.ts";
import { Fd } from "../../../linux/fd.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import { HostStream } from "../objects/files.ts";
import { copyIn, copyOut, signed, small } from "../memory.ts";
import type { Handler, Strict } from "../strict.ts";
import type { Trapped } from "../trapped.ts";

const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;
const CLOCK_BOOTTIME = 7;
const CLOCKS: readonly number[] = [CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME];
const TFD_TIMER_ABSTIME = 1;
/** struct itimerspec: interval, then value, each seconds and nanoseconds. */
const SIZE = 32;
const VALUE = 16;

class Timer extends HostStream {
  readonly clock: number;

  constructor({ epoll }: Strict, fd: Fd, flags: number, clock: number) {
    super(fd, flags, 0o600, epoll);
    this.clock = clock;
  }
}

export const timerfd_create: Handler = (call, strict) => {
  const [clock, flags] = [call.int(0), call.int(1)];
  if (!CLOCKS.includes(clock) || (flags & ~(O_CLOEXEC | O_NONBLOCK)) !== 0) return -EINVAL;
  const made = kernel.makeTimer(clock, O_CLOEXEC | O_NONBLOCK);
  if (made < 0) return made;
  const timer = new Timer(strict, new Fd(made), O_RDWR | (flags & O_NONBLOCK), clock);
  strict.streams.add(timer);
  return strict.descriptors.give(call, timer, (flags & O_CLOEXEC) !== 0);
};

function find(call: Trapped, strict: Strict): Timer | number {
  const file = strict.descriptors.file(call, call.int(0));
  return file === undefined ? -EBADF : file instanceof Timer ? file : -EINVAL;
}

export const timerfd_settime: Handler = (call, strict) => {
  const timer = find(call, strict);
  if (typeof timer === "number") return timer;
  const flags = call.int(1);
  if ((flags & ~TFD_TIMER_ABSTIME) !== 0) return -EINVAL;
  const copied = copyIn(call, call.arg(2), small, SIZE);
  if (copied < 0) return copied;
  const isSet = signed(small, VALUE) !== 0 || signed(small, VALUE + 8) !== 0;
  if (flags !== 0 && isSet && timer.clock !== CLOCK_REALTIME) toHost(strict.namespaces.clockOffset(timer.clock === CLOCK_MONOTONIC ? "monotonic" : "boottime"));
  const result = kernel.setTimer(timer.fd.number, flags, small.address, call.arg(3) === 0 ? 0 : small.address + SIZE);
  if (result < 0 || call.arg(3) === 0) return result;
  small.bytes.copyWithin(0, SIZE, 2 * SIZE);
  return copyOut(call, call.arg(3), small, SIZE);
};

/** A time on the guest's clock, in `small`, as the host's clock has it. One that has passed is as good as the smallest. */
function toHost(offset: bigint): void {
  const NANO = 1_000_000_000n;
  const at = small.view.getBigInt64(VALUE, true) * NANO + small.view.getBigInt64(VALUE + 8, true) - offset;
  const host = at > 0n ? at : 1n;
  small.view.setBigInt64(VALUE, host / NANO, true);
  small.view.setBigInt64(VALUE + 8, host % NANO, true);
}

export const timerfd_gettime: Handler = (call, strict) => {
  const timer = find(call, strict);
  const result = typeof timer === "number" ? timer : kernel.getTimer(timer.fd.number, small.address);
  return result < 0 ? result : copyOut(call, call.arg(1), small, SIZE);
};
