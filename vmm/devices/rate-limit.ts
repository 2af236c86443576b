/** A token bucket: `perSecond` on the average, `burst` at once. */
export class RateLimit {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #now: () => number;
  #tokens: number;
  #at: number;

  /** @param now milliseconds. */
  constructor(perSecond: number, burst: number = perSecond, now: () => number = () => performance.now()) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#now = now;
    this.#tokens = burst;
    this.#at = now();
  }

  /** Takes `amount`, and more than there is if there is anything: what is owed delays the next. @returns 0, or the milliseconds to wait first. */
  take(amount: number): number {
    const now = this.#now();
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) / 1000) * this.#perSecond);
    this.#at = now;
    if (this.#tokens <= 0) return Math.max(1, (-this.#tokens / this.#perSecond) * 1000);
    this.#tokens -= amount;
    return 0;
  }
}
