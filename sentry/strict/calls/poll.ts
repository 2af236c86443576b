/** poll(2), select(2): what of several descriptions is ready. */
import { EBADF, EFAULT, EINVAL } from "../../../linux/abi/errno.ts";
import { POLLERR, POLLFD_SIZE, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI } from "../../../linux/abi/poll.ts";
import { Listener } from "../../../linux/seccomp-notify.ts";
import { CONTINUE } from "../../platform/platform.ts";
import type { Asked } from "../guest/descriptors.ts";
import { buffer, copyIn, copyOut, signed, small, wide } from "../memory.ts";
import { isOwnMask } from "./signal-mask.ts";
import type { Handler, Strict } from "../strict.ts";
import type { Trapped } from "../trapped.ts";

const ALWAYS = POLLERR | POLLHUP;
const MAX_FDS = 65_536;

/** @param timeout milliseconds; Infinity for none. */
function pollSet(call: Trapped, strict: Strict, timeout: number, wait: Wait = waitHere): number {
  const count = call.int(1);
  if (count < 0 || count > MAX_FDS) return -EINVAL;
  const copied = count === 0 ? 0 : copyIn(call, call.arg(0), buffer, count * POLLFD_SIZE);
  if (copied < 0) return copied;
  const { view } = buffer;
  const files: Asked[] = [];
  let ready = 0;
  for (let at = 0; at < count * POLLFD_SIZE; at += POLLFD_SIZE) {
    const number = view.getInt32(at, true);
    const wanted = view.getUint16(at + 4, true);
    const file = number < 0 ? undefined : strict.descriptors.file(call, number);
    const found = number < 0 ? 0 : file === undefined ? POLLNVAL : file.ready() & (wanted | ALWAYS);
    view.setUint16(at + 6, found, true);
    if (found !== 0) ready++;
    if (file !== undefined) files.push({ file, number, events: wanted });
  }
  if (ready === 0 && timeout > 0 && !strict.waiting.isOver) return wait(call, strict, files, timeout);
  const told = count === 0 ? 0 : copyOut(call, call.arg(0), buffer, count * POLLFD_SIZE);
  return told < 0 ? told : ready;
}

export const poll: Handler = (call, strict) => pollSet(call, strict, call.int(2) < 0 ? Infinity : call.int(2));

/** struct timespec or timeval, as milliseconds. @returns the negative errno. */
function copyTimeout(call: Trapped, address: number, unit: number): number {
  if (address === 0) return Infinity;
  const copied = copyIn(call, address, small, 16);
  if (copied < 0) return copied;
  const [seconds, rest] = [signed(small, 0), signed(small, 8)];
  return seconds < 0 || rest < 0 ? -EINVAL : seconds * 1000 + rest / unit;
}

const NANOSECONDS = 1e6;
const MICROSECONDS = 1e3;

/**
 * A signal mask for the time of the call is not ours to set: then the kernel waits itself, for placeholders that become ready when the
 * descriptions are. Left out, or what the caller has anyhow, it means nothing.
 */
export const ppoll: Handler = (call, strict) => {
  const timeout = copyTimeout(call, call.arg(2), NANOSECONDS);
  if (timeout < 0) return timeout;
  const mask = call.arg(3);
  const wait = mask === 0 ? waitHere : waitUnder(call, strict, mask);
  return typeof wait === "number" ? wait : pollSet(call, strict, timeout, wait);
};

/** How a call waits. */
type Wait = (call: Trapped, strict: Strict, asked: readonly Asked[], timeout: number) => number;

const waitHere: Wait = (call, strict, asked, timeout) =>
  strict.waiting.waitFor(call, asked.map(({ file }) => file), asked.reduce((all, { events }) => all | events, 0), timeout);

const waitInKernel: Wait = (call, strict, asked) => {
  const mirrored = strict.descriptors.mirror(call, asked);
  return mirrored < 0 ? mirrored : CONTINUE;
};

function waitUnder(call: Trapped, strict: Strict, address: number): Wait | number {
  if (!(call instanceof Listener)) {
    call.waitUnder(address);
    return waitHere;
  }
  const isOwn = isOwnMask(call, strict, address);
  return isOwn < 0 ? isOwn : isOwn === 1 ? waitHere : waitInKernel;
}

/** What select(2) asks of the three sets, as poll(2) knows it. Source: Linux fs/select.c. */
const SETS = [POLLIN | POLLHUP | POLLERR, POLLOUT | POLLERR, POLLPRI] as const;
const WANTED = [POLLIN, POLLOUT, POLLPRI] as const;

function selectSet(call: Trapped, strict: Strict, timeout: number, wait: Wait = waitHere): number {
  const count = call.int(0);
  if (count < 0 || count > MAX_FDS) return -EINVAL;
  const size = Math.ceil(count / 64) * 8;
  const sets = [1, 2, 3].map((argument) => (call.arg(argument) === 0 || size === 0 ? undefined : copySet(call, call.arg(argument), size)));
  if (sets.includes("failed")) return -EFAULT;
  const given = sets as readonly (Uint8Array | undefined)[];
  const found = given.map((set) => (set === undefined ? undefined : new Uint8Array(size)));
  const files: Asked[] = [];
  let ready = 0;
  for (let number = 0; number < count; number++) {
    const asked = [0, 1, 2].filter((i) => isIn(given[i], number));
    if (asked.length === 0) continue;
    const file = strict.descriptors.file(call, number);
    if (file === undefined) return -EBADF;
    const state = file.ready();
    files.push({ file, number, events: asked.reduce((all, i) => all | (WANTED[i] ?? 0), 0) });
    for (const i of asked) {
      if ((state & (SETS[i] ?? 0)) === 0) continue;
      const bytes = found[i];
      if (bytes !== undefined) bytes[number >> 3] = (bytes[number >> 3] ?? 0) | (1 << (number & 7));
      ready++;
    }
  }
  if (ready === 0 && timeout > 0 && !strict.waiting.isOver) return wait(call, strict, files, timeout);
  for (const [i, set] of found.entries()) {
    if (set === undefined) continue;
    buffer.bytes.set(set);
    const told = copyOut(call, call.arg(i + 1), buffer, size);
    if (told < 0) return told;
  }
  return ready;
}

function copySet(call: Trapped, address: number, size: number): Uint8Array | "failed" {
  return copyIn(call, address, buffer, size) < 0 ? "failed" : buffer.bytes.slice(0, size);
}

const isIn = (set: Uint8Array | undefined, number: number): boolean => set !== undefined && (((set[number >> 3] ?? 0) >> (number & 7)) & 1) === 1;

export const select: Handler = (call, strict) => {
  const timeout = copyTimeout(call, call.arg(4), MICROSECONDS);
  return timeout < 0 ? timeout : selectSet(call, strict, timeout);
};

/** The last argument points to the mask's address and size. */
export const pselect6: Handler = (call, strict) => {
  const timeout = copyTimeout(call, call.arg(4), NANOSECONDS);
  if (timeout < 0) return timeout;
  const copied = call.arg(5) === 0 ? 0 : copyIn(call, call.arg(5), small, 16);
  if (copied < 0) return copied;
  const mask = call.arg(5) === 0 ? 0 : wide(small, 0);
  const wait = mask === 0 ? waitHere : waitUnder(call, strict, mask);
  return typeof wait === "number" ? wait : selectSet(call, strict, timeout, wait);
};
