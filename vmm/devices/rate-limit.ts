import { now as passed } from "../../linux/sleep.ts";

/** A token bucket: `perSecond` on the average, `burst` at once. */
export class RateLimit {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #now: () => number;
  #tokens: number;
  #at: number;

  /** @param now milliseconds. */
  constructor(perSecond: number, burst: number = perSecond, now: () => number = passed) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#now = now;
    this.#tokens = burst;
    this.#at = now();
  }

  /** 0, or the milliseconds until something may be taken. */
  get delay(): number {
    const now = this.#now();
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) / 1000) * this.#perSecond);
    this.#at = now;
    return this.#tokens > 0 ? 0 : Math.max(1, (-this.#tokens / this.#perSecond) * 1000);
  }

  /** Takes `amount`, which may be more than there is: what is owed delays the next. */
  take(amount: number): void {
    this.#tokens -= amount;
  }
}
