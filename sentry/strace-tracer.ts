/**
 * Follows a guest's tasks by ptrace(2) for strace. A process of its own, since a tracer waits for its tasks, and since seccomp's notifications, which
 * the sentry gets, do not tell what came of a call that the kernel has run.
 */
import { listen, nextEvent, resume, type TraceEvent } from "../linux/tracing.ts";
import { Strace, type Sink, type StraceOptions } from "./strace.ts";

export class StraceTracer {
  readonly #strace: Strace;
  /** New tasks that have stopped before their parent's stop told of them. */
  readonly #early = new Set<number>();

  /** @param first the task to begin with, by its id in our pid namespace: it is followed already (`follow`), and is to become the program. */
  constructor(first: number, sink: Sink, options: StraceOptions) {
    this.#strace = new Strace(options);
    this.#strace.begin(first, sink, "nothing");
  }

  /** Returns when no task is left. */
  run(): void {
    for (let traced = nextEvent(); traced !== undefined; traced = nextEvent()) this.#take(traced.pid, traced.event);
  }

  #take(pid: number, event: TraceEvent): void {
    if (!this.#strace.has(pid)) {
      if (event.kind !== "gone") this.#early.add(pid);
      return;
    }
    this.#strace.tell(pid, event);
    if (event.kind === "birth" && this.#early.delete(event.child)) this.#resume(event.child);
    if (event.kind === "group-stop") listen(pid);
    else if (event.kind !== "gone") this.#resume(pid, event.kind === "signal" ? event.signal : 0);
  }

  #resume(pid: number, signal = 0): void {
    resume(pid, this.#strace.stopsAtCalls(pid) ? "next-call" : "event", signal);
  }
}
