/**
 * How often to ask for the next request before going to sleep. A guest's next request comes within microseconds, or not for long; being woken
 * costs up to 30 us on a virtual machine whose other processor sleeps. So: look again for as long as looking has lately been worth it, and try
 * now and then whether it has become so.
 *
 * Measured, one directory operation after the other, guest and gofer on two processors: 65 us a request without, 10 to 20 us with it.
 */
const MOST = 64;
/** After so many requests for which nobody looked, look once more. */
const PROBE_EVERY = 32;

export class Spin {
  #tries = MOST;
  #idle = 0;

  /** For the next request. */
  get tries(): number {
    return this.#tries;
  }

  /** @param found whether a request came while we were looking. */
  learn(found: boolean): void {
    if (found) this.#tries = MOST;
    else if (this.#tries > 1) this.#tries = this.#tries >> 1;
    else this.#probe();
  }

  #probe(): void {
    this.#idle++;
    if (this.#idle < PROBE_EVERY) return;
    this.#idle = 0;
    this.#tries = MOST;
  }
}
