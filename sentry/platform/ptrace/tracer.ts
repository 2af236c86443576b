/** What becomes of the stops of the guest's tasks. What a stop is about, it says itself; only whose task it is has to be known, where there are several containers. */
import { SYS } from "../../../linux/arch.ts";
import { PTRACE_EVENT_CLONE, PTRACE_EVENT_EXEC, PTRACE_EVENT_FORK, PTRACE_EVENT_SECCOMP, PTRACE_EVENT_STOP, PTRACE_EVENT_VFORK } from "../../../linux/abi/ptrace.ts";
import { SIGNALS } from "../../../linux/abi/signal.ts";
import { AT_CALL, eventMessage, hasStopped, heldSignal, isAtCall, killTask, leaveStopped, letGo, letGoToCall, stopEvent, stopSignal, TracedCall, type CallStops } from "../../../linux/seccomp-trace.ts";
import { decodeStatus } from "../../../linux/tracing.ts";
import { answersUnder } from "../../strace-answer.ts";
import { Strace, type Sink } from "../../strace.ts";
import type { Tasks } from "../../tasks.ts";
import { CONTINUE, type Handle } from "../platform.ts";
import type { StrictSentry } from "../../strict/sentry.ts";
import type { Batch } from "./batch.ts";
import { Follower } from "./follower.ts";
import type { Lobby } from "./lobby.ts";
import { Strictly } from "./strictly.ts";

const isAboutProcessors = (nr: number): boolean => nr === SYS.sched_getaffinity || nr === SYS.sched_setaffinity;

export class Tracer {
  readonly #tasks: Tasks;
  readonly #filter: () => Uint8Array;
  /** Of the container that came first. */
  #first: Handle | undefined;
  /** Tasks of the others. */
  readonly #others = new Map<number, Handle>();
  readonly #call = new TracedCall();
  readonly #follower = new Follower();
  /** Processes, by their ids, that may have more threads than one. */
  readonly #threaded = new Set<number>();
  /** Process ids whose next program may have got what was meant for the one before; see `#answer`. */
  readonly #mixedUp = new Set<number>();
  /** Once it is asked for. */
  #strace: Strace | undefined;
  /** Under the policy strict. */
  #strictly: Strictly | undefined;

  /** @param filter the guest's. */
  constructor(tasks: Tasks, filter: () => Uint8Array) {
    this.#tasks = tasks;
    this.#filter = filter;
  }

  /** A process that is followed from now on. @param sink where its calls are to be told of. */
  admit(pid: number, handle: Handle, sink: Sink | undefined): void {
    this.#first ??= handle;
    this.#strictly?.hasTask(pid);
    if (handle !== this.#first) this.#others.set(pid, handle);
    if (sink === undefined) return;
    this.#strace ??= new Strace({ guestPid: (task) => this.#tasks.guestPid(task), answeredBy: answersUnder(this.#filter()) });
    // It is the stub, which makes calls of its own before it executes the program.
    this.#strace.begin(pid, sink, "from-execve");
  }

  /** Preconditions: nobody is followed yet. @param batch where stops may be that have not been handed to `take`. */
  followStrictly(strict: StrictSentry, lobby: Lobby, batch: Batch): void {
    const processOf = (pid: number) => this.#tasks.kinOf(pid).process;
    const lost = (pid: number, status: number) => this.take(pid, status);
    this.#strictly = new Strictly(strict, { batch, lobby, processOf, lost, letGo: (pid) => this.#letGo(pid), letGoBehind: (pid) => this.#letGoBehind(pid) });
  }

  /** What a process is followed with that is not to be told of. */
  get callStops(): CallStops {
    return this.#strictly === undefined ? "none" : "some";
  }

  /** @param status as wait4(2) tells it. */
  take(pid: number, status: number): void {
    if (this.#strace?.has(pid) === true && stopEvent(status) !== PTRACE_EVENT_SECCOMP) this.#strace.tell(pid, decodeStatus(pid, status));
    if (hasStopped(status) && stopEvent(status) === PTRACE_EVENT_SECCOMP) return this.#serve(pid);
    this.#follower.stop();
    if (!hasStopped(status)) {
      this.#forget(pid);
      return;
    }
    switch (stopEvent(status)) {
      case PTRACE_EVENT_STOP:
        // A group's stop, in which it stays until SIGCONT; else the end of one, or a new task's first.
        return stopSignal(status) === SIGNALS.SIGTRAP ? this.#begin(pid) : leaveStopped(pid);
      case PTRACE_EVENT_CLONE:
        // Before it is let go: it makes no call until its thread is known of.
        this.#threaded.add(pid);
        return this.#letGoWithChild(pid);
      case PTRACE_EVENT_FORK:
      case PTRACE_EVENT_VFORK:
        return this.#letGoWithChild(pid);
      case PTRACE_EVENT_EXEC:
        return this.#executed(pid);
      case 0:
        if (isAtCall(status) && this.#strictly?.isBack(pid) === true) return;
        return this.#letGo(pid, heldSignal(status));
      default:
        return this.#letGo(pid);
    }
  }

  /** The sentry has other things to do than to follow one task. */
  isElsewhere(): void {
    this.#follower.stop();
  }

  #letGoBehind(pid: number): void {
    if (this.#strace?.has(pid) === true) this.#strace.tell(pid, decodeStatus(pid, AT_CALL));
    this.#letGo(pid);
  }

  #letGo(pid: number, signal = 0): void {
    if (this.#strace?.stopsAtCalls(pid) === true) letGoToCall(pid, signal);
    else letGo(pid, signal);
  }

  #letGoWithChild(pid: number): void {
    if (this.#follower.mayHaveHeld(pid)) this.#follower.hasChild(pid, eventMessage(pid));
    this.#letGo(pid);
  }

  #forget(pid: number): void {
    this.#threaded.delete(pid);
    this.#mixedUp.delete(pid);
    this.#others.delete(pid);
    this.#strictly?.lacks(pid);
  }

  /**
   * A task is of its process's container, or else its parent's: one whose parent has died before it is the child of the first process of
   * its pid namespace.
   */
  #begin(pid: number): void {
    this.#strictly?.hasTask(pid);
    const isOther = this.#others.size > 0 && !this.#others.has(pid);
    const isUntold = this.#strace?.has(pid) === false;
    if (isOther || isUntold) {
      const { process, parent } = this.#tasks.kinOf(pid);
      const handle = this.#others.get(process) ?? this.#others.get(parent);
      if (handle !== undefined) this.#others.set(pid, handle);
      this.#strace?.inherit(pid, process);
      this.#strace?.inherit(pid, parent);
    }
    this.#letGo(pid);
  }

  /** The thread that did so has its leader's id now, and nobody is told of the end of its own. */
  #executed(pid: number): void {
    this.#threaded.delete(pid);
    const former = this.#others.size > 0 || this.#strictly !== undefined ? eventMessage(pid) : pid;
    if (former !== pid) {
      this.#others.delete(former);
      this.#strictly?.lacks(former);
    }
    if (this.#mixedUp.delete(pid)) killTask(pid);
    else this.#letGo(pid);
  }

  #serve(pid: number): void {
    const call = this.#call;
    const handle = this.#others.get(pid) ?? this.#first;
    if (handle !== undefined && this.#strictly !== undefined) return this.#strictly.serve(pid, this.#threaded.has(pid), handle);
    const isContested = this.#threaded.has(pid);
    if (handle === undefined || !call.load(pid, isContested)) return;
    if (isAboutProcessors(call.nr)) return this.#letChoose(pid);
    // One whose id can be taken over is not followed: its processors could become the other's.
    if (isContested) this.#follower.stop();
    else this.#follower.trapped(pid);
    const result = handle(call);
    if (result === CONTINUE) this.#goOn(pid);
    else this.#answer(pid, result);
  }

  /** The kernel does it: all tasks have at this moment what they asked for. */
  #letChoose(pid: number): void {
    this.#follower.stop();
    this.#letGo(pid);
  }

  readonly #letGoNow = (pid: number): void => this.#letGo(pid);

  #goOn(pid: number): void {
    this.#follower.letGo(pid, this.#letGoNow);
  }

  /**
   * A caller may be killed at any moment, by another thread's execve even: the thread, with its new memory and maybe new rights, then has its id, and
   * stops at PTRACE_EVENT_EXEC until it is let go. What a handler or the answer has written could be meant for the dead caller and be in the new
   * program. Whether that may have happened is seen afterwards, while it is still stopped: such a program ends before its first instruction.
   */
  #answer(pid: number, result: number): void {
    if (this.#call.answer(result) < 0) {
      if (this.#call.written) this.#mixedUp.add(pid);
    } else if (this.#call.isWaiting()) this.#goOn(pid);
    else killTask(pid);
  }
}
