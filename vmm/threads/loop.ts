/**
 * The device thread's loop: descriptors, timers and deferred work, all synchronous. It is not Node's, which can neither wait for an eventfd
 * nor promise the order in which things happen.
 */
import { SlotSet } from "../../linux/slot-set.ts";
import { now } from "../../linux/sleep.ts";

/** As many as a VMM in its jail can have (jail/enter.ts). */
const MAX_DESCRIPTORS = 2048;

export type Handler = (happened: number) => void;

/** A descriptor that is waited for. */
export interface Watch {
  /** POLL* bits from now on; 0 pauses it, and nothing is told then. Nothing once it was stopped: the slot may be another's. */
  setEvents(events: number): void;
  stop(): void;
}

interface Timer {
  readonly due: number;
  readonly action: () => void;
}

export class Loop {
  readonly #set = new SlotSet(MAX_DESCRIPTORS);
  readonly #handlers: (Handler | undefined)[] = [];
  #timers: Timer[] = [];
  #deferred: (() => void)[] = [];
  #stopped = false;

  watch(fd: number, events: number, handler: Handler): Watch {
    const slot = this.#set.add(fd, events);
    this.#handlers[slot] = handler;
    return {
      setEvents: (wanted) => {
        if (this.#handlers[slot] === handler) this.#set.setEvents(slot, wanted);
      },
      stop: () => {
        if (this.#handlers[slot] !== handler) return;
        this.#handlers[slot] = undefined;
        this.#set.remove(slot);
      },
    };
  }

  /** Runs `action` once the descriptors that are ready now have had their turn. */
  defer(action: () => void): void {
    this.#deferred.push(action);
  }

  /** Runs `action` once, in `milliseconds` or a little later. */
  after(milliseconds: number, action: () => void): void {
    this.#timers.push({ due: now() + milliseconds, action });
    this.#timers.sort((a, b) => a.due - b.due);
  }

  /** What waits: deferred work and timers. */
  get waiting(): number {
    return this.#deferred.length + this.#timers.length;
  }

  /** One turn: waits at most `limitMs` for something, and handles what there is. */
  turn(limitMs = Infinity): void {
    const timer = this.#timers[0];
    const untilTimer = timer === undefined ? Infinity : Math.max(0, timer.due - now());
    if (this.#set.wait(this.#deferred.length > 0 ? 0 : Math.min(limitMs, untilTimer)) > 0) this.#handleReady();
    this.#runTimers();
    const deferred = this.#deferred;
    this.#deferred = [];
    for (const action of deferred) action();
  }

  /** Turns until `stop` is called. */
  run(): void {
    while (!this.#stopped) this.turn();
  }

  stop(): void {
    this.#stopped = true;
  }

  #handleReady(): void {
    for (let slot = 0; slot < this.#set.slots; slot++) {
      const happened = this.#set.happened(slot);
      if (happened !== 0) this.#handlers[slot]?.(happened);
    }
  }

  #runTimers(): void {
    if (this.#timers.length === 0) return;
    const time = now();
    while (this.#timers[0] !== undefined && this.#timers[0].due <= time) this.#timers.shift()?.action();
  }
}
