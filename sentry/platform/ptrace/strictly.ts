/** What the tracer does otherwise under the policy `strict`: calls may wait, and the sentry is in its guest's root for as long as there is one. */
import type { StrictSentry } from "../../strict/sentry.ts";
import type { Handle } from "../platform.ts";
import { StrictCall, type StrictCallOptions } from "./strict-call.ts";

export class Strictly {
  readonly #strict: StrictSentry;
  readonly #call: StrictCall;
  readonly #there = new Set<number>();

  constructor(strict: StrictSentry, options: Omit<StrictCallOptions, "copyOf">) {
    this.#strict = strict;
    this.#call = new StrictCall({ ...options, copyOf: (call, number) => strict.descriptors.copy(call, number) });
  }

  serve(pid: number, contested: boolean, handle: Handle): void {
    if (!this.#call.load(pid, contested)) return;
    // The bell tells of it later than the caller may look.
    this.#strict.noticeClosed();
    this.#strict.received(this.#call, handle);
  }

  /** A call begins or ends. @returns whether that was the end of a wait, after which the task goes on. */
  isBack(pid: number): boolean {
    if (!this.#call.interrupted(pid)) return false;
    this.#strict.waiting.forget(pid);
    return true;
  }

  hasTask(pid: number): void {
    this.#there.add(pid);
  }

  /** A task has ended, or its id is another's. */
  lacks(pid: number): void {
    this.#call.forget(pid);
    this.#strict.waiting.forget(pid);
    if (this.#there.delete(pid) && this.#there.size === 0) this.#strict.namespaces.leave();
  }
}
