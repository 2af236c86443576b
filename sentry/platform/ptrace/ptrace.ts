/** Tracing every task of the guest, which stop at trapped calls (SECCOMP_RET_TRACE). Source: ptrace(2); docs/decisions/0040-ptrace-platform.md. */
import type { FdLike } from "../../../linux/fd.ts";
import { PollSet } from "../../../linux/poll-set.ts";
import { waitAny, waited } from "../../../linux/seccomp-trace.ts";
import { forgoStopSignals } from "../../../linux/signal.ts";
import type { TellingTarget } from "../../messages.ts";
import { BoundedSink } from "../../strace-sink.ts";
import type { Tasks } from "../../tasks.ts";
import type { StrictSentry } from "../../strict/sentry.ts";
import type { Platform, WaitSet } from "../platform.ts";
import { Batch } from "./batch.ts";
import { Bell, type BellBirth } from "./bell.ts";
import { Gate } from "./gate.ts";
import type { Lobby } from "./lobby.ts";
import { Tracer } from "./tracer.ts";

/** To be called before the sentry is born, for what `startPtrace` may be asked to tell. */
export { loadNames } from "../../strace.ts";

/** The kernel tells of the task first that was followed last. So that none waits for ever, all that have stopped are taken down now and then before one goes on. */
const FAIR_EVERY = 16;

/** A poll set, waited for by the bell while the tasks are served. */
class TracingSet implements WaitSet {
  readonly #set: PollSet;
  readonly #fds: FdLike[] = [];
  readonly #bell: Bell;
  readonly #tracer: Tracer;
  #turns = 0;
  /** Of the bell's stop; undefined while it waits. */
  #rung: number | undefined;
  readonly #batch: Batch;

  constructor(capacity: number, bell: Bell, tracer: Tracer, batch: Batch) {
    this.#set = new PollSet(capacity);
    this.#bell = bell;
    this.#tracer = tracer;
    this.#batch = batch;
  }

  get size(): number {
    return this.#set.size;
  }

  add(fd: FdLike, events: number): number {
    this.#bell.watch(fd);
    this.#fds.push(fd);
    return this.#set.add(fd, events);
  }

  remove(index: number): void {
    const fd = this.#fds[index];
    if (fd !== undefined) this.#bell.unwatch(fd);
    this.#set.remove(index);
    const last = this.#fds.pop();
    if (last !== undefined && index < this.#fds.length) this.#fds[index] = last;
  }

  /** The time is the bell's. */
  wait(): number {
    if (this.#rung !== undefined) this.#bell.reset(this.#rung);
    for (this.#rung = undefined; this.#rung === undefined; ) this.#takeTurn();
    return this.#set.wait(0);
  }

  ready(index: number): number {
    return this.#set.ready(index);
  }

  #takeTurn(): void {
    waitAny(true);
    if (++this.#turns % FAIR_EVERY !== 0) this.#take(waited.pid, waited.status);
    else this.#takeAll();
  }

  #takeAll(): void {
    do this.#batch.add(waited.pid, waited.status);
    while (!this.#batch.isFull && waitAny(false));
    this.#batch.serve(this.#takeOne);
  }

  readonly #takeOne = (pid: number, status: number): void => this.#take(pid, status);

  #take(pid: number, status: number): void {
    if (pid === this.#bell.pid) this.#ring(status);
    else this.#tracer.take(pid, status);
  }

  #ring(status: number): void {
    this.#tracer.isElsewhere();
    this.#rung = status;
  }
}

export interface PtraceOptions extends BellBirth {
  readonly tasks: Tasks;
  /** Tells of processes that could not be traced. */
  readonly warn: (message: string) => void;
  /** The guest's: struct sock_filter[]. */
  readonly filter: () => Uint8Array;
  /** A line of a log of this form. */
  readonly line: (form: TellingTarget["form"], text: string) => string;
  readonly strict?: { readonly kernel: StrictSentry; readonly lobby: Lobby } | undefined;
}

/** Preconditions: the process is confined, but for its filter; `loadNames` has been called before. */
export function startPtrace(options: PtraceOptions): Platform {
  const bell = new Bell(options);
  // One less thing for the kernel to do at each trapped call.
  forgoStopSignals();
  const tracer = new Tracer(options.tasks, options.filter);
  const batch = new Batch();
  const { strict } = options;
  if (strict !== undefined) tracer.followStrictly(strict.kernel, strict.lobby, batch);
  const sinkOf = ({ fd, form }: TellingTarget) => new BoundedSink(fd, (text) => options.line(form, text));
  return {
    name: "ptrace",
    attach: (fd, strace) => new Gate(fd, tracer, options.warn, strace === undefined ? undefined : sinkOf(strace)),
    waitSet: (capacity) => new TracingSet(capacity, bell, tracer, batch),
  };
}
