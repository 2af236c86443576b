/**
 * Task and tracer take turns, and yet the scheduler puts them on two processors, where each sleeps while the other works: to wake one that sleeps takes longer than
 * all else of a trap. It looks for an idle processor whenever one of them is woken (Linux kernel/sched/fair.c, select_idle_sibling), and asks only which it may take. So while one
 * task alone traps, call after call, the tracer stays on its processor, and the task may take no other for the moment in which it is let go:
 *
 *   stopped    allowed: that one       let go, woken there       allowed: as before       runs, traps, wakes the tracer
 *
 * Whether that is of use here and now (no processor may be idle, or the tracer's be in demand) is measured, by so many traps with it and without.
 */
import { CpuMask } from "../../../linux/sched.ts";
import { now } from "../../../linux/sleep.ts";

/** Traps that are measured together. */
export const WINDOW = 32;
/** Traps for which the faster of both is kept. */
export const KEPT = 4096;
/** What it has to be better by: less is noise. */
const GAIN = 0.8;

/** `settling`: too few to tell; `apart`, `together`: measured without and with it; `kept`: as it turned out better. */
type Phase = "settling" | "apart" | "together" | "kept";

/** What it asks of the kernel. */
export interface Placement {
  /** Milliseconds. */
  now(): number;
  /** Binds the tracer to its processor. @returns whether there was a choice, for it and for the task. */
  bind(task: number): boolean;
  unbind(): void;
  /** @returns whether the task may run nowhere else than the tracer. */
  hold(task: number): boolean;
  /** Gives the task back what it had. */
  release(task: number): void;
  /** Gives a task's child what the task has. */
  pass(task: number, child: number): void;
}

export class Processors implements Placement {
  readonly #own = new CpuMask();
  readonly #tasks = new CpuMask();
  readonly #one = new CpuMask();
  readonly now = now;

  bind(task: number): boolean {
    if (!this.#own.read(0) || !this.#tasks.read(task) || this.#own.count < 2 || this.#tasks.count < 2) return false;
    this.#one.readCurrent();
    return this.#one.giveTo(0) === 0;
  }

  unbind(): void {
    this.#own.giveTo(0);
  }

  hold(task: number): boolean {
    return this.#one.giveTo(task) === 0;
  }

  release(task: number): void {
    this.#tasks.giveTo(task);
  }

  pass(task: number, child: number): void {
    if (this.#tasks.read(task)) this.#tasks.giveTo(child);
  }
}

export class Follower {
  readonly #placement: Placement;
  #task = 0;
  #phase: Phase = "settling";
  #left = WINDOW;
  #since = 0;
  /** Milliseconds that the last window without it took. */
  #apart = 0;
  #isBound = false;
  /** The task that was held last, if only in a run before. */
  #held = 0;

  constructor(placement: Placement = new Processors()) {
    this.#placement = placement;
  }

  /** A task has trapped. */
  trapped(task: number): void {
    if (task !== this.#task) this.#begin(task);
    else if (--this.#left === 0) this.#next();
  }

  /** Something else has happened than another trap of the same task's. */
  stop(): void {
    if (this.#task !== 0) this.#begin(0);
  }

  /** Lets a task that has trapped go on. */
  letGo(task: number, go: (task: number) => void): void {
    const isHeld = this.#isBound && task === this.#task && this.#placement.hold(task);
    go(task);
    // What runs on the same processor runs at the earliest now, or has taken the tracer's place: then its next trap waits for this.
    if (isHeld) this.#placement.release(task);
  }

  /** Whether a task's child may have been born while the task was held: the task ran before the tracer did. */
  mayHaveHeld(task: number): boolean {
    return task === this.#held;
  }

  /** A task has made another. It is stopped. */
  hasChild(task: number, child: number): void {
    this.#placement.pass(task, child);
  }

  #begin(task: number): void {
    this.#unbind();
    this.#task = task;
    this.#enter("settling", WINDOW);
  }

  #enter(phase: Phase, traps: number): void {
    this.#phase = phase;
    this.#left = traps;
  }

  #bind(): void {
    this.#isBound = this.#placement.bind(this.#task);
    if (this.#isBound) this.#held = this.#task;
  }

  #unbind(): void {
    if (this.#isBound) this.#placement.unbind();
    this.#isBound = false;
  }

  #next(): void {
    const time = this.#placement.now();
    const took = time - this.#since;
    this.#since = time;
    switch (this.#phase) {
      case "settling":
        return this.#enter("apart", WINDOW);
      case "apart":
        this.#apart = took;
        this.#bind();
        return this.#isBound ? this.#enter("together", WINDOW) : this.#enter("kept", KEPT);
      case "together":
        if (took > this.#apart * GAIN) this.#unbind();
        return this.#enter("kept", KEPT);
      case "kept":
        this.#unbind();
        return this.#enter("apart", WINDOW);
    }
  }
}
