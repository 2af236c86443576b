/**
 * Calls that cannot be answered yet. The kernel keeps the caller waiting for as long as there is no answer, and lets signals end that: the
 * call is then made again, or fails with EINTR, as the signal's handler has it (signal(7)); its notification is no longer valid.
 */
import { EAGAIN } from "../../../linux/abi/errno.ts";
import { now } from "../../../linux/sleep.ts";
import { createTimer, setTimer } from "../../../linux/timerfd.ts";
import { WAITS, type Held, type Trapped } from "../trapped.ts";
import type { Description, Waiting } from "./description.ts";

/** Milliseconds; for what changes without anybody's telling. */
const LOOK_EVERY = 10;

export class WaitingCalls {
  readonly timer = createTimer();
  readonly #byPid = new Map<number, Waiting>();
  readonly #woken = new Set<Waiting>();
  #next = Infinity;
  #deadline: number | undefined;
  #held: Held | undefined;
  /** Descriptions for which calls wait in the kernel (Descriptors.mirror), with what for (POLL*), and those among them that may have changed. */
  readonly mirrored = new Map<Description, number>();
  readonly mirroredWoken = new Set<Description>();
  /** Calls that wait in the kernel, and for which something may be ready. */
  readonly settling = new Set<{ settle(): void }>();

  /** A call is about to be handled: for the first time, or since it has waited. */
  begin({ deadline, held }: { readonly deadline?: number | undefined; readonly held?: Held | undefined }): void {
    this.#deadline = deadline;
    this.#held = held;
  }

  /** What the call that is being handled has given `waitFor` when it was handled before. */
  get held(): Held | undefined {
    return this.#held;
  }

  /** Whether it has waited for as long as it wanted to. */
  get isOver(): boolean {
    return this.#deadline !== undefined && this.#deadline <= now();
  }

  /** The call waits until the description may be ready, unless it does not want to. */
  wait(call: Trapped, file: Description, events: number): number {
    return file.nonBlocking ? -EAGAIN : this.waitFor(call, [file], events, Infinity);
  }

  /** @param timeout milliseconds, from when the call was first handled. */
  waitFor(call: Trapped, files: readonly Description[], events: number, timeout: number, held?: Held): number {
    return this.#add(call, files, events, this.#deadline ?? now() + timeout, held);
  }

  /** The call is made again after so many milliseconds. */
  retryIn(call: Trapped, milliseconds: number): number {
    return this.#add(call, [], 0, now() + milliseconds);
  }

  /** The call is made again when what it holds is done (`wakeHolder`). */
  waitForHeld(call: Trapped, held: Held | undefined): number {
    return this.#add(call, [], 0, Infinity, held);
  }

  /** Has the description learn of what is waited for. */
  watch(file: Description): void {
    let events = this.mirrored.get(file) ?? 0;
    for (const waiting of file.waiting) events |= waiting.events;
    for (const watcher of file.watchers) events |= watcher.eventsOf(file);
    file.watch(events);
  }

  /** Keeps the call until one of `files` may have become ready, or the deadline has passed. */
  #add(call: Trapped, files: readonly Description[], events: number, deadline: number, held?: Held): number {
    const next = files.some(({ changesUntold }) => changesUntold) ? Math.min(deadline, now() + LOOK_EVERY) : deadline;
    const waiting = { call, saved: call.save(), pid: call.pid, files, events, deadline, next, held };
    this.#byPid.set(waiting.pid, waiting);
    for (const file of files) {
      file.waiting.add(waiting);
      this.watch(file);
    }
    if (next < this.#next) this.#setTimer(next);
    return WAITS;
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

  /** Has `mirroredWoken` tell of these events. */
  mirror(file: Description, events: number): void {
    this.mirrored.set(file, (this.mirrored.get(file) ?? 0) | events);
    this.watch(file);
    // What has changed by being looked at.
    this.mirroredWoken.add(file);
  }

  /** Of these no more. */
  mirrorLess(file: Description, events: number): void {
    const rest = (this.mirrored.get(file) ?? 0) & ~events;
    if (rest === 0) this.mirrored.delete(file);
    else this.mirrored.set(file, rest);
    this.watch(file);
  }

  /** The last of the guest's descriptors is closed. */
  closed(file: Description): void {
    for (const watcher of file.watchers) watcher.closed(file);
    file.watchers.clear();
    this.mirrored.delete(file);
    this.mirroredWoken.delete(file);
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
