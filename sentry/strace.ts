/**
 * What is told of a guest's system calls: arguments and result, whoever answered them. The tracer is a process of its own (strace-tracer.ts), or on
 * platform ptrace, where a task has one tracer already, the sentry (docs/decisions/0016-observation.md, 0040).
 */
import { constants } from "node:os";
import { syscallName } from "seccomp-bpf-ts";
import { assertNever } from "../linux/errors.ts";
import { callStop, type TraceEvent } from "../linux/tracing.ts";
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

const nameOfCall = (nr: number): string => syscallName("x86_64", nr) ?? `syscall_${nr}`;

/** The table of calls is loaded at its first use, which must come before the tracer is confined. */
export function loadNames(): void {
  nameOfCall(0);
}

/** Where the lines about some tasks go. */
export interface Sink {
  print(line: string): void;
  /** None of them is left. */
  close(): void;
}

/** Of what its tasks do: nothing while the process is the runtime's; from its next program on; everything. */
export type Told = "nothing" | "from-execve" | "everything";

interface Task {
  /** In the guest. */
  readonly name: string;
  readonly sink: Sink;
  told: Told;
  pending: Pending | undefined;
}

export interface StraceOptions {
  /** A task's id in its own pid namespace. */
  readonly guestPid: (pid: number) => number;
  readonly answeredBy: AnsweredBy;
}

/** errno of a call that will begin anew, or end with EINTR, after a signal; user space never sees them. Source: Linux include/linux/errno.h. */
const ERESTART: Readonly<Record<number, string>> = { 512: "ERESTARTSYS", 513: "ERESTARTNOINTR", 514: "ERESTARTNOHAND", 516: "ERESTART_RESTARTBLOCK" };

export class Strace {
  readonly #options: StraceOptions;
  readonly #tasks = new Map<number, Task>();

  constructor(options: StraceOptions) {
    this.#options = options;
  }

  /** A task that is to become a program. */
  begin(pid: number, sink: Sink, told: Told): void {
    this.#tasks.set(pid, this.#newTask(pid, sink, told));
  }

  #newTask(pid: number, sink: Sink, told: Told): Task {
    return { name: String(this.#options.guestPid(pid)), sink, told, pending: undefined };
  }

  has(pid: number): boolean {
    return this.#tasks.has(pid);
  }

  /** Whether it is to stop at each of its calls. */
  stopsAtCalls(pid: number): boolean {
    const told = this.#tasks.get(pid)?.told;
    return told !== undefined && told !== "nothing";
  }

  /** The task is of the other, if that is known. */
  inherit(pid: number, from: number): void {
    const parent = this.#tasks.get(from);
    if (parent !== undefined && !this.#tasks.has(pid)) this.begin(pid, parent.sink, parent.told);
  }

  /** Says what has happened to a task; the caller lets it go. */
  tell(pid: number, event: TraceEvent): void {
    const task = this.#tasks.get(pid);
    if (task === undefined) return;
    switch (event.kind) {
      case "call":
        return this.#call(pid, task);
      case "signal":
        return this.#say(task, `--- ${signalText(event.signal)} ---`);
      case "birth":
        if (event.child !== 0) this.inherit(event.child, pid);
        return;
      case "exec":
        return this.#exec(pid, event.former);
      case "ready":
      case "group-stop":
        return;
      case "ending":
        return this.#end(task, event.status);
      case "gone":
        return this.#forget(pid, task);
      default:
        assertNever(event);
    }
  }

  #forget(pid: number, { sink }: Task): void {
    this.#tasks.delete(pid);
    for (const task of this.#tasks.values()) if (task.sink === sink) return;
    sink.close();
  }

  /** A thread that executes a program takes its leader's id. */
  #exec(pid: number, former: number): void {
    const known = this.#tasks.get(former) ?? this.#tasks.get(pid);
    if (known === undefined) return;
    if (former !== pid) this.#tasks.delete(former);
    // The first may be the runtime's own last step, by which it becomes the stub that executes the program (linux/exec.unsafe.ts).
    this.begin(pid, known.sink, known.told === "nothing" ? "from-execve" : known.told);
    const task = this.#tasks.get(pid);
    if (task !== undefined) task.pending = known.pending;
  }

  #call(pid: number, task: Task): void {
    const stop = callStop(pid);
    if (stop?.kind === "entry") {
      if (task.told === "from-execve" && REPLACES_MEMORY.has(nameOfCall(stop.nr))) task.told = "everything";
      if (task.told === "everything") task.pending = this.#made(pid, stop.nr, stop.args);
    }
    if (stop?.kind === "exit" && task.pending !== undefined) this.#returned(task, task.pending, stop.result);
  }

  #made(pid: number, nr: number, args: readonly bigint[]): Pending {
    const call: TracedCall = { pid, name: nameOfCall(nr), args };
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

  #say({ name, sink, told }: Task, text: string): void {
    if (told === "everything") sink.print(`[${name}] ${text}`);
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
