/**
 * Handlers that take too long. A process with one thread cannot watch itself, so sentry and gofer watch each other by their shared counters, and
 * each tells by itself, afterwards, how long it has taken (docs/decisions/0016-observation.md).
 */
import { now } from "../linux/sleep.ts";
import type { Counters } from "./debug-counters.ts";

/** Milliseconds. */
export const TOO_LONG = 1000;
/** How long a loop waits before it looks: a handler that hangs is told of after 3 seconds at most. */
export const LOOK_EVERY = 2000;
/** After so many requests it looks as well, where it never waits that long. */
const BUSY_LOOKS = 4096;

/** Something that counts, and how to say what it handles. */
export interface Watched {
  readonly counters: Counters;
  /** As in `the gofer: LOOKUP in "root" for task 12`. */
  readonly describe: (operation: number, task: number) => string;
}

type Warn = (message: string) => void;

/** Counts what one process does, and tells of what has taken too long. */
export class Meter {
  readonly #watched: Watched;
  readonly #warn: Warn;

  constructor(watched: Watched, warn: Warn) {
    this.#watched = watched;
    this.#warn = warn;
  }

  begin(operation: number, task: number): void {
    this.#watched.counters.begin(operation, task);
  }

  end(): void {
    const elapsed = this.#watched.counters.end();
    if (elapsed >= TOO_LONG) this.#tell(elapsed);
  }

  #tell(elapsed: number): void {
    const { counters, describe } = this.#watched;
    const { operation, task } = counters.last;
    this.#warn(`${describe(operation, task)} took ${elapsed.toFixed(0)} ms`);
  }
}

/** What another process does, looked at from time to time. */
export class Watchdog {
  readonly #watched: readonly Watched[];
  readonly #warn: Warn;
  readonly #refresh: () => void;
  /** `since` of what has been told of, for each of the watched. */
  readonly #told: number[] = [];
  #wakes = 0;

  /** @param refresh brings the counters up to date where they are copies. */
  constructor(watched: readonly Watched[], warn: Warn, refresh: () => void = () => {}) {
    this.#watched = watched;
    this.#warn = warn;
    this.#refresh = refresh;
  }

  /** To be called whenever the loop has waited. @param ready what it has found; 0 after LOOK_EVERY without anything. */
  woken(ready: number): void {
    if (ready === 0 || ++this.#wakes % BUSY_LOOKS === 0) this.#look();
  }

  /** Tells once of everything that hangs. */
  #look(): void {
    this.#refresh();
    const time = now();
    for (const [i, { counters, describe }] of this.#watched.entries()) {
      const busy = counters.busy;
      if (busy === undefined || time - busy.since < TOO_LONG || this.#told[i] === busy.since) continue;
      this.#told[i] = busy.since;
      this.#warn(`${describe(busy.operation, busy.task)} has not ended after ${(time - busy.since).toFixed(0)} ms`);
    }
  }
}
