/**
 * Calls that cannot be answered yet. The kernel keeps the caller waiting for as long as there is no answer, and lets signals end that: the
 * call is then made again, or fails with EINTR, as the signal's handler has it (signal(7)); its notification is no longer valid.
 */
import { createTimer, setTimer } from "../../../linux/timerfd.ts";
import { POLLIN } from "../../../linux/abi/poll.ts";
import { now } from "../../../linux/sleep.ts";
import type { Description } from "./description.ts";
import type { Trapped } from "../trapped.ts";

/** Milliseconds; for what changes without anybody's telling. */
const LOOK_EVERY = 10;

export interface Waiting {
  readonly call: Trapped;
  /** The call, to be resumed. */
  readonly saved: Uint8Array;
  readonly pid: number;
  readonly files: readonly Description[];
  /** POLL*. */
  readonly events: number;
  /** As `now` counts; Infinity for none. */
  readonly deadline: number;
  /** When it is looked at again, as `now` counts: at the deadline, or sooner. */
  readonly next: number;
  readonly held: Held | undefined;
}

/** What a call has begun, and goes on with when it is handled again. */
export interface Held {
  /** It will not be: it was interrupted. */
  abandon(): void;
}

export class WaitingCalls {
  readonly timer = createTimer();
  readonly #byPid = new Map<number, Waiting>();
  readonly #woken = new Set<Waiting>();
  #next = Infinity;
  /** Descriptions for which calls wait in the kernel (Strict.mirror), and those among them that have changed. */
  readonly mirrored = new Set<Description>();
  readonly mirroredWoken = new Set<Description>();

  /** Has the description learn of what is waited for. */
  watch(file: Description): void {
    let events = this.mirrored.has(file) ? POLLIN : 0;
    for (const waiting of file.waiting) events |= waiting.events;
    for (const watcher of file.watchers) events |= watcher.eventsOf(file);
    file.watch(events);
  }

  /** Keeps the call until one of `files` may have become ready, or the deadline has passed. */
  add(call: Trapped, files: readonly Description[], events: number, deadline: number, held?: Held): void {
    const next = files.some(({ changesUntold }) => changesUntold) ? Math.min(deadline, now() + LOOK_EVERY) : deadline;
    const waiting = { call, saved: call.save(), pid: call.pid, files, events, deadline, next, held };
    this.#byPid.set(waiting.pid, waiting);
    for (const file of files) {
      file.waiting.add(waiting);
      this.watch(file);
    }
    if (next < this.#next) this.#setTimer(next);
  }

  /** A task makes another call, or is gone: what it waited for has been interrupted. */
  forget(pid: number): void {
    const waiting = this.#byPid.get(pid);
    if (waiting === undefined) return;
    this.#remove(waiting);
    waiting.held?.abandon();
  }

  /** Something about the file has changed: whoever waits for it is to be asked again. */
  wake(file: Description): void {
    for (const waiting of file.waiting) this.#woken.add(waiting);
    for (const watcher of file.watchers) watcher.changed(file);
    if (this.mirrored.has(file)) this.mirroredWoken.add(file);
  }

  /** What it has begun is done. */
  wakeHolder(pid: number, held: Held): void {
    const waiting = this.#byPid.get(pid);
    if (waiting?.held === held) this.#woken.add(waiting);
  }

  /** Takes one that is to be resumed; it waits no longer. */
  take(): Waiting | undefined {
    for (const waiting of this.#woken) {
      this.#remove(waiting);
      return waiting;
    }
    return undefined;
  }

  /** The timer has gone off. */
  expire(): void {
    const time = now();
    let next = Infinity;
    for (const waiting of this.#byPid.values()) {
      if (waiting.next <= time) this.#woken.add(waiting);
      else next = Math.min(next, waiting.next);
    }
    this.#setTimer(next);
  }

  #remove(waiting: Waiting): void {
    this.#byPid.delete(waiting.pid);
    this.#woken.delete(waiting);
    for (const file of waiting.files) {
      file.waiting.delete(waiting);
      this.watch(file);
    }
  }

  #setTimer(deadline: number): void {
    this.#next = deadline;
    setTimer(this.timer, deadline - now());
  }
}
