/**
 * The supervisor's side of SECCOMP_RET_TRACE: a tracer whose tasks stop at trapped calls. A round trip allocates nothing.
 * Sources: ptrace(2), seccomp(2), Linux kernel/ptrace.c, kernel/seccomp.c __seccomp_filter.
 */
import { SYS } from "./arch.ts";
import { ESRCH } from "./abi/errno.ts";
import * as pt from "./abi/ptrace.ts";
import { SIGNALS } from "./abi/signal.ts";
import { SI_CODE_OFFSET, SIGINFO_SIZE, WNOHANG, __WALL } from "./abi/wait.ts";
import { check } from "./errors.ts";
import { permanentBlock } from "./memory.unsafe.ts";
import { retrying, syscall } from "./syscall.unsafe.ts";

const { SIGKILL, SIGTRAP } = SIGNALS;

/** What a follower is told of: trapped calls, programs executed, and all children, which are followed from their first instruction on. */
const EVENTS = [pt.PTRACE_EVENT_FORK, pt.PTRACE_EVENT_VFORK, pt.PTRACE_EVENT_CLONE, pt.PTRACE_EVENT_EXEC, pt.PTRACE_EVENT_SECCOMP];
const OPTIONS = EVENTS.reduce((options, event) => options | (1 << event), pt.PTRACE_O_EXITKILL);
/** Besides, for who is told of every call: which stops are of calls, and ends. */
const ALL_CALLS = pt.PTRACE_O_TRACESYSGOOD | (1 << pt.PTRACE_EVENT_EXIT);

/** What `letGoToCall` will be used for: nothing; single calls; all of them, and its end is to be told of as well. */
export type CallStops = "none" | "some" | "all";
const MORE: Readonly<Record<CallStops, number>> = { none: 0, some: pt.PTRACE_O_TRACESYSGOOD, all: ALL_CALLS };

/**
 * Follows a task and all that it makes from now on, which end with the caller. It goes on running.
 * @returns 0 or the negative errno: EPERM where the caller may not, or where it has a tracer; ESRCH.
 */
export function trySeize(pid: number, stops: CallStops): number {
  return syscall(SYS.ptrace, pt.PTRACE_SEIZE, pid, 0, OPTIONS | MORE[stops]);
}

/** Has a followed task stop before it does anything else in user space. @throws SysError */
export function interrupt(pid: number): void {
  check(syscall(SYS.ptrace, pt.PTRACE_INTERRUPT, pid, 0, 0), "ptrace", `PTRACE_INTERRUPT ${pid}`);
}

/** Has the parent be the tracer of this process. @throws SysError */
export function traceMe(): void {
  check(syscall(SYS.ptrace, pt.PTRACE_TRACEME), "ptrace", "PTRACE_TRACEME");
}

const statusWord = permanentBlock(8);

/** What wait4(2) has told last. */
export const waited = {
  pid: 0,
  get status(): number {
    return statusWord.view.getUint32(0, true);
  },
};

/** Waits for a child or a followed task to stop or end. @returns whether `waited` has one; without `block` false where there is none yet. @throws SysError ECHILD */
export function waitAny(block: boolean): boolean {
  waited.pid = check(retrying(SYS.wait4, -1, statusWord.address, block ? __WALL : __WALL | WNOHANG, 0), "wait4");
  return waited.pid !== 0;
}

/** The status of this followed task, where it has stopped or ended and nobody has been told. */
export function statusOf(pid: number): number | undefined {
  return syscall(SYS.wait4, pid, statusWord.address, __WALL | WNOHANG, 0) === pid ? statusWord.view.getUint32(0, true) : undefined;
}

/** A wait status taken apart. */
export const hasStopped = (status: number): boolean => (status & 0xff) === 0x7f;
export const stopSignal = (status: number): number => (status >> 8) & 0xff;
/** The status of a task whose call begins or ends (PTRACE_O_TRACESYSGOOD). */
export const AT_CALL = ((SIGTRAP | 0x80) << 8) | 0x7f;
export const isAtCall = (status: number): boolean => status === AT_CALL;
/** The signal with which the task goes on: none where a call begins or ends. */
export const heldSignal = (status: number): number => (isAtCall(status) ? 0 : stopSignal(status));
/** PTRACE_EVENT_*; 0 for a signal that is about to be delivered. */
export const stopEvent = (status: number): number => status >> 16;

/** What its event tells besides: after an execve, the id that the thread had before it. 0 where it has been killed meanwhile. */
export function eventMessage(pid: number): number {
  return syscall(SYS.ptrace, pt.PTRACE_GETEVENTMSG, pid, 0, statusWord.address) < 0 ? 0 : statusWord.view.getUint32(0, true);
}

/** The same as `interrupt`, for one that may be gone. @returns whether it is there. */
export function tryInterrupt(pid: number): boolean {
  return syscall(SYS.ptrace, pt.PTRACE_INTERRUPT, pid, 0, 0) === 0;
}

/** How a stopped task goes on. One that has been killed meanwhile is told of by `waitAny`. */
function goOn(request: number, pid: number, signal: number): void {
  const result = syscall(SYS.ptrace, request, pid, 0, signal);
  if (result !== -ESRCH) check(result, "ptrace");
}

/** @param signal to be delivered, as it came; 0 for none. */
export function letGo(pid: number, signal = 0): void {
  goOn(pt.PTRACE_CONT, pid, signal);
}

/** The same until its next system call begins or ends. */
export function letGoToCall(pid: number, signal = 0): void {
  goOn(pt.PTRACE_SYSCALL, pid, signal);
}

/** Leaves it in its group's stop, and hears of its end. */
export function leaveStopped(pid: number): void {
  goOn(pt.PTRACE_LISTEN, pid, 0);
}

/** Ends the task's process, if it is there. */
export function killTask(pid: number): void {
  syscall(SYS.kill, pid, SIGKILL);
}

/** si_code of a stop at a trapped call. Source: Linux kernel/ptrace.c, ptrace_event. */
const CALL_STOP = (pt.PTRACE_EVENT_SECCOMP << 8) | SIGTRAP;

/** The same where one begins or ends. Source: Linux include/linux/ptrace.h, ptrace_report_syscall. */
const PLAIN_CALL_STOP = SIGTRAP | 0x80;

/** Behind struct ptrace_syscall_info, in what `TracedCall.save` makes. */
const SAVED = { pid: pt.SYSCALL_INFO.size, contested: pt.SYSCALL_INFO.size + 4, size: pt.SYSCALL_INFO.size + 8 } as const;

/** The trapped call that a stopped task is at; what is said of "the call" holds until the next `load`. */
export class TracedCall {
  pid = 0;
  readonly #block = permanentBlock(SAVED.size);
  readonly #view = this.#block.view;
  readonly #info = permanentBlock(SIGINFO_SIZE);
  /** Whether somebody else can come to have the caller's id while it is at the call. */
  #contested = false;
  /** Whether the memory of whoever has the id then may have been written to. */
  written = false;

  /**
   * Reads the call: PTRACE_GET_SYSCALL_INFO tells of what kind of stop it is, and costs half of what all registers do.
   * @returns whether the task is at a trapped call: it may have been killed, and then its id taken over by a thread that has executed a program
   * (ptrace(2), "execve(2) under ptrace").
   * @param contested whether there are other threads that could. The id of any other task is its own until `waitAny` has told of its end.
   */
  load(pid: number, contested: boolean): boolean {
    this.pid = pid;
    this.#contested = contested;
    this.written = false;
    return syscall(SYS.ptrace, pt.PTRACE_GET_SYSCALL_INFO, pid, this.#block.size, this.#block.address) > 0 && this.#view.getUint8(pt.SYSCALL_INFO.op) === pt.PTRACE_SYSCALL_INFO_SECCOMP;
  }

  /** Whether it still is: what was read of its memory before was the caller's. Asked before memory is written to, too. */
  isWaiting(): boolean {
    if (!this.#contested) return true;
    this.written = true;
    return syscall(SYS.ptrace, pt.PTRACE_GETSIGINFO, this.pid, 0, this.#info.address) === 0 && [CALL_STOP, PLAIN_CALL_STOP].includes(this.#info.view.getInt32(SI_CODE_OFFSET, true));
  }

  get isContested(): boolean {
    return this.#contested;
  }

  /** A copy of "the call", for `resume`. */
  save(): Uint8Array {
    this.#view.setUint32(SAVED.pid, this.pid, true);
    this.#view.setUint8(SAVED.contested, Number(this.#contested));
    return this.#block.bytes.slice();
  }

  /** Makes a call that has been read before "the call" again. */
  resume(saved: Uint8Array): void {
    this.#block.bytes.set(saved);
    this.pid = this.#view.getUint32(SAVED.pid, true);
    this.#contested = this.#view.getUint8(SAVED.contested) !== 0;
    this.written = false;
  }

  /**
   * Has the call return `result`, a value from 0 on or a negative errno, without being made; the task still has to be let go.
   * @returns 0, or -ESRCH where the task is gone.
   */
  answer(result: number): number {
    // Number -1: nothing is run, and a signal restarts nothing. Source: Linux arch/x86/kernel/signal.c, handle_signal.
    const skipped = this.#poke(pt.REGISTERS.originalAx, -1);
    return skipped < 0 ? skipped : this.#poke(pt.REGISTERS.ax, result);
  }

  /** Has the call be another, or its result. @returns 0 or -ESRCH. */
  poke(register: "ax" | "originalAx", value: number | bigint): number {
    return this.#poke(pt.REGISTERS[register], value);
  }

  #poke(register: number, value: number | bigint): number {
    return syscall(SYS.ptrace, pt.PTRACE_POKEUSR, this.pid, register, value);
  }

  get nr(): number {
    return this.#view.getInt32(pt.SYSCALL_INFO.nr, true);
  }

  /** Argument 0 to 5 as an address or a size; exact below 2^53, above which no address and no size is valid. */
  arg(index: number): number {
    const at = pt.SYSCALL_INFO.args + 8 * index;
    return this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 0x1_0000_0000;
  }

  /** Argument 0 to 5 as the kernel takes an `int`: its low 32 bits, signed. */
  int(index: number): number {
    return this.#view.getInt32(pt.SYSCALL_INFO.args + 8 * index, true);
  }

  /** Argument 0 to 5 as the kernel takes an offset: signed; exact between -2^53 and 2^53. */
  signed(index: number): number {
    const at = pt.SYSCALL_INFO.args + 8 * index;
    return this.#view.getUint32(at, true) + this.#view.getInt32(at + 4, true) * 0x1_0000_0000;
  }

  /** Argument 0 to 5 with all its bits, signed. */
  wide(index: number): bigint {
    return this.#view.getBigInt64(pt.SYSCALL_INFO.args + 8 * index, true);
  }
}
