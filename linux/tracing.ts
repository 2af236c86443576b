/** Following tasks from call to call. Sources: ptrace(2), wait4(2). */
import { SYS } from "./arch.ts";
import { ECHILD, ESRCH } from "./abi/errno.ts";
import * as pt from "./abi/ptrace.ts";
import { SIGNALS } from "./abi/signal.ts";
import { __WALL } from "./abi/wait.ts";
import { assertNever, check } from "./errors.ts";
import { permanentBlock } from "./memory.unsafe.ts";
import { retrying, syscall } from "./syscall.unsafe.ts";

/** Why a traced task is told of. All but the last two: it has stopped, and waits for `resume` or `listen`. */
export type TraceEvent =
  | { readonly kind: "call" }
  /** A signal is about to be delivered. */
  | { readonly kind: "signal"; readonly signal: number }
  /** It has made a task, which is traced too, and stops by itself. */
  | { readonly kind: "birth"; readonly child: number }
  /** It has become another program. `former`: its own thread id before, which may have been another. */
  | { readonly kind: "exec"; readonly former: number }
  /** It is about to end. */
  | { readonly kind: "ending"; readonly status: number }
  /** A new task's first stop, or the end of a group's. */
  | { readonly kind: "ready" }
  /** Job control has stopped it. */
  | { readonly kind: "group-stop" }
  | { readonly kind: "gone"; readonly status: number };

export interface Traced {
  readonly pid: number;
  readonly event: TraceEvent;
}

const BIRTHS = [pt.PTRACE_EVENT_FORK, pt.PTRACE_EVENT_VFORK, pt.PTRACE_EVENT_CLONE];
const OPTIONS = [...BIRTHS, pt.PTRACE_EVENT_EXEC, pt.PTRACE_EVENT_EXIT].reduce((options, event) => options | optionFor(event), pt.PTRACE_O_TRACESYSGOOD);
const SYSCALL_STOP = SIGNALS.SIGTRAP | 0x80;

/** PTRACE_O_TRACE*: one for each event, by its number. */
function optionFor(event: number): number {
  return 1 << event;
}

const block = permanentBlock(pt.SYSCALL_INFO.size);

/** Attaches to the task, which goes on running, and to all that it makes from now on. @throws SysError EPERM, ESRCH */
export function follow(pid: number): void {
  check(syscall(SYS.ptrace, pt.PTRACE_SEIZE, pid, 0, OPTIONS), "ptrace", `PTRACE_SEIZE ${pid}`);
}

/** Waits for the next event of any traced task. @returns undefined where there is none left. */
export function nextEvent(): Traced | undefined {
  const pid = retrying(SYS.wait4, -1, block.address, __WALL, 0);
  if (pid === -ECHILD) return undefined;
  check(pid, "wait4");
  return { pid, event: decodeStatus(pid, block.view.getUint32(0, true)) };
}

/** @param status as wait4(2) tells it. */
export function decodeStatus(pid: number, status: number): TraceEvent {
  if ((status & 0xff) !== 0x7f) return { kind: "gone", status };
  const signal = (status >> 8) & 0xff;
  const event = status >> 16;
  if (event === 0) return signal === SYSCALL_STOP ? { kind: "call" } : { kind: "signal", signal };
  if (event === pt.PTRACE_EVENT_STOP) return { kind: signal === SIGNALS.SIGTRAP ? "ready" : "group-stop" };
  if (event === pt.PTRACE_EVENT_EXIT) return { kind: "ending", status: eventMessage(pid) };
  return event === pt.PTRACE_EVENT_EXEC ? { kind: "exec", former: eventMessage(pid) } : { kind: "birth", child: eventMessage(pid) };
}

/** 0 where the task has been killed meanwhile. */
function eventMessage(pid: number): number {
  return syscall(SYS.ptrace, pt.PTRACE_GETEVENTMSG, pid, 0, block.address) < 0 ? 0 : block.view.getUint32(0, true);
}

/** How far a stopped task is to run. */
export type Until = "next-call" | "event";

/** @param signal to be delivered; 0 for none. A task that has been killed meanwhile is told of by `nextEvent`. */
export function resume(pid: number, until: Until, signal = 0): void {
  ignoreGone(syscall(SYS.ptrace, requestFor(until), pid, 0, signal));
}

function requestFor(until: Until): number {
  switch (until) {
    case "next-call":
      return pt.PTRACE_SYSCALL;
    case "event":
      return pt.PTRACE_CONT;
    default:
      return assertNever(until);
  }
}

/** Leaves a task in its group's stop, and hears of its end. */
export function listen(pid: number): void {
  ignoreGone(syscall(SYS.ptrace, pt.PTRACE_LISTEN, pid, 0, 0));
}

function ignoreGone(result: number): void {
  if (result !== -ESRCH) check(result, "ptrace");
}

export type CallStop = { readonly kind: "entry"; readonly nr: number; readonly args: readonly bigint[] } | { readonly kind: "exit"; readonly result: bigint };

/** Where in its call a task has stopped. @returns undefined where it has been killed meanwhile. */
export function callStop(pid: number): CallStop | undefined {
  if (syscall(SYS.ptrace, pt.PTRACE_GET_SYSCALL_INFO, pid, block.size, block.address) < 0) return undefined;
  const { view } = block;
  switch (view.getUint8(pt.SYSCALL_INFO.op)) {
    case pt.PTRACE_SYSCALL_INFO_ENTRY:
      return { kind: "entry", nr: Number(view.getBigUint64(pt.SYSCALL_INFO.nr, true)), args: Array.from({ length: 6 }, (_, i) => view.getBigUint64(pt.SYSCALL_INFO.args + 8 * i, true)) };
    case pt.PTRACE_SYSCALL_INFO_EXIT:
      return { kind: "exit", result: view.getBigInt64(pt.SYSCALL_INFO.result, true) };
    default:
      return undefined;
  }
}
