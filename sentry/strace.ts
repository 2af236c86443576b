/**
 * Follows a guest's tasks by ptrace(2) and tells of every system call: arguments and result, whoever answered it. A process of its own, since a
 * tracer waits for its tasks, and since seccomp's notifications, which the sentry gets, do not tell what came of a call that the kernel has run
 * (docs/decisions/0016-observation.md).
 */
import { constants } from "node:os";
import { syscallName } from "seccomp-bpf-ts";
import { assertNever } from "../linux/errors.ts";
import { callStop, listen, nextEvent, resume, type TraceEvent } from "../linux/tracing.ts";
import type { AnsweredBy } from "./strace-answer.ts";
import { decodeArguments, pointerText, signalText, type TracedCall } from "./strace-arguments.ts";
import { GIVES_ADDRESS, REPLACES_MEMORY, signatureOf } from "./strace-signatures.ts";

/** A call that has not returned. */
interface Pending {
  readonly call: TracedCall;
  readonly answeredBy: string;
  /** As far as they were known when it was made. */
  readonly args: readonly (string | undefined)[];
}

interface Task {
  /** In the guest. */
  readonly name: string;
  /** Whether its calls are told of: not those that the runtime makes before it has become the program. */
  told: boolean;
  pending: Pending | undefined;
}

export interface StraceOptions {
  /** The task to begin with, by its id in our pid namespace: it is followed already (`follow`), and is to become the program. */
  readonly first: number;
  /** A task's id in its own pid namespace. */
  readonly guestPid: (pid: number) => number;
  readonly answeredBy: AnsweredBy;
  readonly print: (line: string) => void;
}

/** errno of a call that will begin anew, or end with EINTR, after a signal; user space never sees them. Source: Linux include/linux/errno.h. */
const ERESTART: Readonly<Record<number, string>> = { 512: "ERESTARTSYS", 513: "ERESTARTNOINTR", 514: "ERESTARTNOHAND", 516: "ERESTART_RESTARTBLOCK" };

export class Strace {
  readonly #options: StraceOptions;
  readonly #tasks = new Map<number, Task>();
  /** New tasks that have stopped before their parent's stop told of them. */
  readonly #early = new Set<number>();

  constructor(options: StraceOptions) {
    this.#options = options;
    this.#tasks.set(options.first, this.#newTask(options.first, false));
  }

  #newTask(pid: number, told: boolean): Task {
    return { name: String(this.#options.guestPid(pid)), told, pending: undefined };
  }

  /** Returns when no task is left. */
  run(): void {
    for (let traced = nextEvent(); traced !== undefined; traced = nextEvent()) this.#take(traced.pid, traced.event);
  }

  #take(pid: number, event: TraceEvent): void {
    const task = this.#tasks.get(pid);
    if (task !== undefined) this.#handle(pid, task, event);
    else if (event.kind !== "gone") this.#early.add(pid);
  }

  #handle(pid: number, task: Task, event: TraceEvent): void {
    switch (event.kind) {
      case "call":
        if (task.told) this.#call(pid, task);
        return this.#resume(pid, task);
      case "signal":
        this.#say(task, `--- ${signalText(event.signal)} ---`);
        return this.#resume(pid, task, event.signal);
      case "birth":
        this.#birth(event.child, task);
        return this.#resume(pid, task);
      case "exec":
        this.#exec(pid, event.former);
        return;
      case "ready":
        return this.#resume(pid, task);
      case "group-stop":
        return listen(pid);
      case "ending":
        this.#end(task, event.status);
        return this.#resume(pid, task);
      case "gone":
        this.#tasks.delete(pid);
        return;
      default:
        assertNever(event);
    }
  }

  #resume(pid: number, { told }: Task, signal = 0): void {
    resume(pid, told ? "next-call" : "event", signal);
  }

  #birth(child: number, parent: Task): void {
    if (child === 0) return;
    const task = this.#newTask(child, parent.told);
    this.#tasks.set(child, task);
    if (this.#early.delete(child)) this.#resume(child, task);
  }

  /** A thread that executes a program takes its leader's id. */
  #exec(pid: number, former: number): void {
    const known = this.#tasks.get(former) ?? this.#tasks.get(pid);
    const task = { ...this.#newTask(pid, known?.told === true), pending: known?.pending };
    if (former !== pid) this.#tasks.delete(former);
    this.#tasks.set(pid, task);
    // The runtime's own last step, by which it becomes the stub that executes the program (linux/exec.unsafe.ts).
    if (pid === this.#options.first) task.told = true;
    this.#resume(pid, task);
  }

  #call(pid: number, task: Task): void {
    const stop = callStop(pid);
    if (stop?.kind === "entry") task.pending = this.#made(pid, stop.nr, stop.args);
    else if (stop?.kind === "exit" && task.pending !== undefined) this.#returned(task, task.pending, stop.result);
  }

  #made(pid: number, nr: number, args: readonly bigint[]): Pending {
    const call: TracedCall = { pid, name: syscallName("x86_64", nr) ?? `syscall_${nr}`, args };
    return { call, answeredBy: this.#options.answeredBy(nr, args), args: describeArguments(call) };
  }

  #returned(task: Task, { call, answeredBy, args }: Pending, result: bigint): void {
    task.pending = undefined;
    const again = args.includes(undefined) && !REPLACES_MEMORY.has(call.name) ? describeArguments({ ...call, result }) : [];
    const texts = args.map((text, i) => text ?? again[i]);
    this.#say(task, `${callText(call, texts)} = ${resultText(call, result)}${answeredBy === "" ? "" : ` (${answeredBy})`}`);
  }

  /** @param status as wait4(2) tells it. */
  #end(task: Task, status: number): void {
    const { pending } = task;
    task.pending = undefined;
    if (pending !== undefined) this.#say(task, `${callText(pending.call, pending.args)} = ?`);
    const signal = status & 0x7f;
    this.#say(task, signal === 0 ? `+++ exited with ${(status >> 8) & 0xff} +++` : `+++ killed by ${signalText(signal)} +++`);
  }

  #say({ name, told }: Task, text: string): void {
    if (told) this.#options.print(`[${name}] ${text}`);
  }
}

function describeArguments(call: TracedCall): (string | undefined)[] {
  const kinds = signatureOf(call.name);
  return kinds === undefined ? call.args.map((value) => `0x${value.toString(16)}`) : decodeArguments(call, kinds);
}

/** What could not be read is shown as the register has it. */
function callText({ name, args }: TracedCall, texts: readonly (string | undefined)[]): string {
  return `${name}(${texts.map((text, i) => text ?? pointerText(args[i] ?? 0n)).join(", ")})`;
}

const LAST_ERRNO = 4095n;

/** Made before the tracer is confined: node:os makes system calls when it is loaded, which it is at its first use. */
const ERRNOS = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));
const nameOf = (errno: number): string => ERRNOS.get(errno) ?? `errno ${errno}`;

function resultText({ name }: TracedCall, result: bigint): string {
  if (result < 0n && result >= -LAST_ERRNO) {
    const errno = Number(-result);
    const restart = ERESTART[errno];
    return restart === undefined ? `-1 ${nameOf(errno)}` : `? ${restart}`;
  }
  return GIVES_ADDRESS.has(name) ? pointerText(BigInt.asUintN(64, result)) : String(result);
}
