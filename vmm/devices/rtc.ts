/**
 * A CMOS real-time clock that tells the host's time and cannot be set. Linux reads it at boot, and waits four seconds where there is none.
 * Source: Motorola MC146818A (registers A to D); IBM PC AT Technical Reference (index and data port; century at 0x32).
 */
import { PORTS } from "../layout.ts";
import type { PortDevice } from "./ports.ts";

export const RTC_WORDS = 1;

const bcd = (value: number) => (Math.floor(value / 10) << 4) | (value % 10);

/** Register -> content, UTC, in BCD and 24 hours as register B says. */
const REGISTERS: Partial<Record<number, (now: Date) => number>> = {
  0x00: (now) => bcd(now.getUTCSeconds()),
  0x02: (now) => bcd(now.getUTCMinutes()),
  0x04: (now) => bcd(now.getUTCHours()),
  0x06: (now) => bcd(now.getUTCDay() + 1),
  0x07: (now) => bcd(now.getUTCDate()),
  0x08: (now) => bcd(now.getUTCMonth() + 1),
  0x09: (now) => bcd(now.getUTCFullYear() % 100),
  // A: 32768 Hz, no update in progress. An update takes no time here.
  0x0a: () => 0x26,
  0x0b: () => 0x02,
  0x0c: () => 0,
  // D: the battery is good.
  0x0d: () => 0x80,
  0x32: (now) => bcd(Math.floor(now.getUTCFullYear() / 100)),
};

export class Rtc implements PortDevice {
  readonly base = PORTS.rtc;
  readonly length = 2;
  readonly #state: Int32Array;
  readonly #now: () => Date;

  constructor(state: Int32Array, now: () => Date = () => new Date()) {
    this.#state = state;
    this.#now = now;
  }

  read(offset: number): number {
    return offset === 0 ? 0xff : (REGISTERS[Atomics.load(this.#state, 0)]?.(this.#now()) ?? 0);
  }

  /** Bit 7 of the index is the NMI mask, and no part of it. */
  write(offset: number, value: number): void {
    if (offset === 0) Atomics.store(this.#state, 0, value & 0x7f);
  }
}
