/** The ends of all processes that are, or become, children of the shim: it is their subreaper. */
import process from "node:process";
import { tryWaitPid, shellCode } from "../linux/process.ts";

export interface Exit {
  /** As a shell counts: 128 + n for signal n. */
  readonly code: number;
  readonly at: Date;
}

/** Nothing but the signal tells of an end, and one may come before anybody listens. */
const LOOK_MS = 2000;

export class Reaper {
  readonly #waiting = new Map<number, (exit: Exit) => void>();
  /** Ends that nobody has asked for yet: a process may end before its pid is known here. Kept while somebody may still ask. */
  readonly #unclaimed = new Map<number, Exit>();
  #asking = 0;

  start(): void {
    process.on("SIGCHLD", () => this.#reap());
    setInterval(() => this.#reap(), LOOK_MS);
  }

  /** While `action` runs, the ends of processes that it may be about to tell of are kept. */
  async expecting<T>(action: () => Promise<T>): Promise<T> {
    this.#asking++;
    try {
      return await action();
    } finally {
      this.#asking--;
      if (this.#asking === 0) this.#unclaimed.clear();
    }
  }

  /** Calls back, later, when the child `pid` has ended. */
  watch(pid: number, ended: (exit: Exit) => void): void {
    const exit = this.#unclaimed.get(pid);
    this.#unclaimed.delete(pid);
    if (exit === undefined) this.#waiting.set(pid, ended);
    else setImmediate(() => ended(exit));
  }

  #reap(): void {
    for (let reaped = tryWaitPid(-1); reaped !== undefined; reaped = tryWaitPid(-1)) {
      const exit = { code: shellCode(reaped.status), at: new Date() };
      const ended = this.#waiting.get(reaped.pid);
      this.#waiting.delete(reaped.pid);
      if (ended !== undefined) ended(exit);
      else if (this.#asking > 0) this.#unclaimed.set(reaped.pid, exit);
    }
  }
}
