/**
 * A trapped call under `strict`, which may have to wait, and may have to put descriptors into the caller's table. What the kernel does for a listener, a
 * tracer has the caller do, by system calls of the kernel's in the place of its own:
 *
 *   entry    stopped at its trapped call
 *     |  inject: another call in its place               |  leave: pause(2) in its place
 *   exit     stopped behind a call that was not its own  parked   waits in the kernel
 *     |  again: its own call anew                        |  recall, or a signal
 *   entry                                              exit
 *
 * In all of them the registers are the caller's again before it goes on. Sources: ptrace(2), Linux kernel/entry/common.c syscall_trace_enter,
 * kernel/seccomp.c __seccomp_filter (the filters, the guest's own too, are asked about the call that was put in place).
 */
import { SYS } from "../../../linux/arch.ts";
import { EBADF, ENOENT } from "../../../linux/abi/errno.ts";
import { O_CLOEXEC } from "../../../linux/abi/fcntl.ts";
import { PTRACE_EVENT_EXEC, PTRACE_EVENT_SECCOMP, PTRACE_EVENT_STOP } from "../../../linux/abi/ptrace.ts";
import { AF_UNIX, SOCK_CLOEXEC } from "../../../linux/abi/socket.ts";
import { SIGNALS } from "../../../linux/abi/signal.ts";
import { Fd, type FdLike } from "../../../linux/fd.ts";
import { madeBy } from "../../../linux/made-by.ts";
import { permanentBlock } from "../../../linux/memory.unsafe.ts";
import { killThread } from "../../../linux/process.ts";
import { readProcess, writeProcess } from "../../../linux/process-vm.ts";
import { hasStopped, heldSignal, isAtCall, killTask, letGo, letGoToCall, statusOf, stopEvent, stopSignal, TracedCall, tryInterrupt } from "../../../linux/seccomp-trace.ts";
import { now, sleepMs, yieldProcessor } from "../../../linux/sleep.ts";
import { sendMessage } from "../../../linux/socket.ts";
import { holdSignals, readRegisters, resultOfCall, setBlockedSignals, stackPointer, writeRegisters, type Registers } from "../../../linux/traced-registers.ts";
import { trappedNumbers } from "../../../policies/syscalls/numbers.ts";
import type { Batch } from "./batch.ts";
import type { Lobby } from "./lobby.ts";

const SOCK_STREAM = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x4000_0000;
/** What a call that a signal has interrupted returns inside of the kernel: it is made again where there is no handler, or the handler has SA_RESTART; the other where there is none. Source: Linux include/linux/errno.h. */
const ERESTARTSYS = 512;
const ERESTARTNOHAND = 514;
/** Never made again after a handler. Source: signal(7). */
const ENDED_BY_HANDLERS: ReadonlySet<number> = new Set((["poll", "ppoll", "select", "pselect6", "epoll_wait", "epoll_pwait", "epoll_pwait2"] as const).map((name) => trappedNumbers[name]));

/** How long a task may take for a call that it makes for the sentry, in milliseconds. Then its process is ended. */
const PATIENCE = 20_000;
/** For so long others are let run, of which it is one; then it is looked for every millisecond. */
const EAGER = 5;
/** Between looks at the clock. */
const TRIES = 8;

/** Where a message's header, its one byte and the descriptor in it go: struct msghdr, struct iovec, struct cmsghdr. */
const MESSAGE = { iov: 56, byte: 72, control: 80, controlSize: 24, number: 96, size: 104 } as const;
/** Below the stack, beyond what functions may use there without saying so. Source: System V ABI, AMD64, 3.2.2. */
const RED_ZONE = 128;

/** A call that waits in the kernel. */
interface Parked {
  readonly nr: number;
  /** Where they are not the caller's own any more. */
  readonly registers: Registers | undefined;
}

export interface StrictCallOptions {
  readonly batch: Batch;
  readonly lobby: Lobby;
  /** A copy of a task's descriptor. @returns the negative errno. */
  readonly copyOf: (call: StrictCall, number: number) => number;
  readonly processOf: (task: number) => number;
  /** Has a task go on; the second from behind its call, of which nobody has been told. */
  readonly letGo: (pid: number) => void;
  readonly letGoBehind: (pid: number) => void;
  /** A task has stopped or ended where it was expected to do something else. */
  readonly lost: (pid: number, status: number) => void;
}

type Place = "entry" | "exit" | "parked" | "gone";

/** How it is with a call that is being handled. */
class Standing {
  place: Place;
  /** The caller's, once others have been in their place. */
  registers: Registers | undefined;
  /** The signals that were blocked before all were. */
  blocked: bigint | undefined;
  mask = 0;
  /** Its process's group was stopped meanwhile. */
  wasStopped = false;
  readonly heldSignals: number[] = [];

  constructor(place: Place) {
    this.place = place;
  }
}

export class StrictCall extends TracedCall {
  readonly #options: StrictCallOptions;
  readonly #parked = new Map<number, Parked>();
  #now = new Standing("gone");
  /** Of tasks whose calls have made room for another's for a while (`resume`). */
  readonly #aside = new Map<number, Standing>();
  readonly #message = permanentBlock(MESSAGE.size);
  readonly #kept = permanentBlock(MESSAGE.size);

  constructor(options: StrictCallOptions) {
    super();
    this.#options = options;
  }

  override load(pid: number, contested: boolean): boolean {
    this.#aside.clear();
    this.#now = new Standing("entry");
    return super.load(pid, contested);
  }

  /** The call that was it before may come back by the same. */
  override resume(saved: Uint8Array): void {
    const before = this.pid;
    const isStopped = this.#now.place === "entry" || this.#now.place === "exit";
    super.resume(saved);
    if (isStopped && this.pid === before) return;
    if (isStopped) this.#aside.set(before, this.#now);
    this.#now = this.#aside.get(this.pid) ?? new Standing(this.#parked.has(this.pid) ? "parked" : "gone");
    this.#aside.delete(this.pid);
  }

  override isWaiting(): boolean {
    switch (this.#now.place) {
      case "gone":
        return false;
      case "parked":
        this.written = true;
        return this.#parked.has(this.pid);
      default:
        return super.isWaiting();
    }
  }

  override answer(result: number): number {
    return this.#finish(result);
  }

  answerWide(value: bigint): number {
    return this.#finish(value);
  }

  #finish(result: number | bigint): number {
    if (this.#now.place === "parked") this.#recall();
    if (this.#now.place === "gone") return -ENOENT;
    const registers = this.#now.registers;
    const done = registers === undefined ? this.#pokeResult(result) : writeRegisters(this.pid, registers, { ax: result, originalAx: -1 });
    if (done < 0) return this.#isLost();
    return this.#letGo();
  }

  #pokeResult(result: number | bigint): number {
    const skipped = this.poke("originalAx", -1);
    return skipped < 0 ? skipped : this.poke("ax", result);
  }

  letRun(): number {
    if (this.#now.place === "parked") this.#recall();
    if (this.#now.place === "exit") this.#again();
    return this.#now.place === "gone" ? -ENOENT : this.#letGo();
  }

  /** Whoever has the caller's id now, and may have been written to, does not go on (tracer.ts). */
  #letGo(): number {
    if (!this.isWaiting()) {
      killTask(this.pid);
      return -ENOENT;
    }
    this.#release();
    const { letGo: go, letGoBehind } = this.#options;
    (this.#now.place === "exit" ? letGoBehind : go)(this.pid);
    this.#now.place = "gone";
    return 0;
  }

  /** What was held back meanwhile comes. */
  #release(): void {
    if (this.#now.blocked !== undefined) setBlockedSignals(this.pid, this.#now.blocked);
    this.#now.blocked = undefined;
    for (const signal of this.#now.heldSignals) killThread(this.#options.processOf(this.pid), this.pid, signal);
    this.#now.heldSignals.length = 0;
    if (this.#now.wasStopped) tryInterrupt(this.pid);
    this.#now.wasStopped = false;
  }

  #isLost(): number {
    if (this.written) killTask(this.pid);
    this.#now.place = "gone";
    return -ENOENT;
  }

  /** While it waits these signals are blocked: 8 bytes at an address of the caller's. */
  waitUnder(mask: number): void {
    this.#now.mask = mask;
  }

  /** It waits in the kernel, which lets signals end that. */
  leave(): void {
    if (this.#now.place === "exit") this.#again();
    if (this.#now.place !== "entry") return;
    if (!this.isWaiting()) {
      killTask(this.pid);
      return;
    }
    const registers = this.#now.mask === 0 ? undefined : readRegisters(this.pid);
    const put = registers === undefined ? this.poke("originalAx", SYS.pause) : writeRegisters(this.pid, registers, { originalAx: SYS.ppoll, args: [0, 0, 0, this.#now.mask, 8] });
    if (put < 0) return;
    this.#parked.set(this.pid, { nr: this.nr, registers });
    this.#release();
    this.#now.place = "parked";
    letGoToCall(this.pid);
  }

  /**
   * A task's wait is over, without our doing: a signal came, or a filter of the guest's own refuses it the call that it was to wait in.
   * @returns whether it did wait. It goes on.
   */
  interrupted(pid: number): boolean {
    const parked = this.#parked.get(pid);
    if (parked === undefined) return false;
    const result = resultOfCall(pid);
    if (result === undefined) return false;
    this.#parked.delete(pid);
    const isSignal = result === -ERESTARTNOHAND;
    const restart = ENDED_BY_HANDLERS.has(parked.nr) ? -ERESTARTNOHAND : -ERESTARTSYS;
    const registers = parked.registers ?? readRegisters(pid);
    if (registers !== undefined) writeRegisters(pid, registers, { ax: isSignal ? restart : result, originalAx: isSignal ? parked.nr : -1 });
    this.#options.letGo(pid);
    return true;
  }

  /** A task is gone, or somebody else. */
  forget(pid: number): void {
    this.#parked.delete(pid);
  }

  #recall(): void {
    const parked = this.#parked.get(this.pid);
    this.#parked.delete(this.pid);
    this.#now.place = "gone";
    if (parked === undefined || !tryInterrupt(this.pid) || !this.#await("exit", false)) return;
    this.#now.registers = parked.registers ?? readRegisters(this.pid);
    this.#now.place = this.#now.registers === undefined ? "gone" : "exit";
  }

  /** Has the caller make another call. @returns its result; -ENOENT where the caller is gone. */
  #inject(nr: number, ...args: number[]): number {
    if (this.#now.place === "parked") this.#recall();
    if (this.#now.place === "gone") return -ENOENT;
    this.#now.registers ??= readRegisters(this.pid);
    const registers = this.#now.registers;
    if (registers === undefined) return this.#isLost();
    const isFirst = this.#now.place === "entry";
    if (!isFirst) this.#now.blocked ??= holdSignals(this.pid);
    const put = writeRegisters(this.pid, registers, isFirst ? { originalAx: nr, args } : { ax: nr, originalAx: -1, args, again: true });
    if (put < 0) return this.#isLost();
    this.#now.place = "exit";
    return this.#await("exit", true) ? (resultOfCall(this.pid) ?? this.#isLost()) : this.#isLost();
  }

  /** Has it make its own call anew. */
  #again(): void {
    const registers = this.#now.registers;
    if (registers === undefined) return;
    this.#now.blocked ??= holdSignals(this.pid);
    this.#now.registers = undefined;
    this.#now.place = "gone";
    if (writeRegisters(this.pid, registers, { ax: this.nr, originalAx: -1, again: true }) < 0 || !this.#await("entry", true)) return;
    this.#now.place = "entry";
    if (this.#now.blocked !== undefined) setBlockedSignals(this.pid, this.#now.blocked);
    this.#now.blocked = undefined;
  }

  /** @param goOn whether it is stopped now. @returns whether it has come there. */
  #await(where: "entry" | "exit", goOn: boolean): boolean {
    for (let going = goOn; ; going = true) {
      if (going) (where === "exit" ? letGoToCall : letGo)(this.pid);
      const status = this.#nextStatus();
      if (!hasStopped(status) || stopEvent(status) === PTRACE_EVENT_EXEC) {
        if (this.written) killTask(this.pid);
        this.#options.lost(this.pid, status);
        return false;
      }
      if (stopEvent(status) === PTRACE_EVENT_SECCOMP) {
        if (where === "entry") return true;
      } else if (stopEvent(status) === PTRACE_EVENT_STOP) this.#now.wasStopped ||= stopSignal(status) !== SIGNALS.SIGTRAP;
      else if (isAtCall(status)) {
        if (where === "exit" && resultOfCall(this.pid) !== undefined) return true;
      } else if (stopEvent(status) === 0) this.#now.heldSignals.push(heldSignal(status));
    }
  }

  /** Other tasks' stops wait meanwhile in the kernel. */
  #nextStatus(): number {
    const taken = this.#options.batch.takeOf(this.pid);
    if (taken !== undefined) return taken;
    const start = now();
    for (let tries = 0; ; tries++) {
      const status = statusOf(this.pid);
      if (status !== undefined) return status;
      const spent = tries % TRIES === TRIES - 1 ? now() - start : 0;
      if (spent > PATIENCE) killTask(this.pid);
      if (spent > EAGER) sleepMs(1);
      else yieldProcessor();
    }
  }

  /** A socket of the caller's, not connected, under the lowest number that is free. @returns it, or the negative errno. */
  makeSocket(closeOnExec: boolean): number {
    return this.#inject(SYS.socket, AF_UNIX, closeOnExec ? SOCK_STREAM | SOCK_CLOEXEC : SOCK_STREAM, 0);
  }

  /** What a socket that the caller has made is connected with from now on. @param end a copy of it. */
  otherEndOf(end: Fd): Fd | undefined {
    return this.#options.lobby.meet(end);
  }

  /** Has the caller's descriptor `number` refer to something else, whatever it was. @returns `number` or the negative errno. */
  replaceDescriptor(source: FdLike, number: number, closeOnExec: boolean): number {
    madeBy(undefined);
    const socket = this.makeSocket(true);
    const result = socket < 0 ? socket : this.#fetch(socket, source, number, closeOnExec);
    if (socket >= 0) this.#inject(SYS.close, socket);
    if (this.#now.place === "exit") this.#again();
    return result;
  }

  /** Gives the caller a descriptor, under the lowest number that is free. @returns the number or the negative errno. */
  addDescriptor(source: FdLike, closeOnExec: boolean): number {
    madeBy(undefined);
    const socket = this.makeSocket(closeOnExec);
    const result = socket < 0 ? socket : this.#fetch(socket, source, socket, closeOnExec);
    if (socket >= 0 && result < 0) this.#inject(SYS.close, socket);
    return result;
  }

  /** The caller receives a copy of a descriptor of ours, by a socket of its, and puts it at `number`. @returns that or the negative errno. */
  #fetch(socket: number, source: FdLike, number: number, closeOnExec: boolean): number {
    const copy = this.#options.copyOf(this, socket);
    if (copy < 0) return -EBADF;
    using end = new Fd(copy);
    using other = this.otherEndOf(end);
    if (other === undefined) return -EBADF;
    sendMessage(other, Buffer.of(0), [source], MSG_DONTWAIT | MSG_NOSIGNAL);
    const received = this.#receive(socket);
    if (received < 0) return received;
    const result = this.#inject(SYS.dup3, received, number, closeOnExec ? O_CLOEXEC : 0);
    this.#inject(SYS.close, received);
    return result;
  }

  /** The message lies below the caller's stack for as long as the call lasts; other threads can spoil it, for their own process. */
  #receive(socket: number): number {
    const registers = this.#now.registers;
    if (registers === undefined) return -ENOENT;
    const at = Math.floor((stackPointer(registers) - RED_ZONE - MESSAGE.size) / 16) * 16;
    const { view, bytes } = this.#message;
    bytes.fill(0);
    view.setBigUint64(16, BigInt(at + MESSAGE.iov), true);
    view.setBigUint64(24, 1n, true);
    view.setBigUint64(32, BigInt(at + MESSAGE.control), true);
    view.setBigUint64(40, BigInt(MESSAGE.controlSize), true);
    view.setBigUint64(MESSAGE.iov, BigInt(at + MESSAGE.byte), true);
    view.setBigUint64(MESSAGE.iov + 8, 1n, true);
    if (readProcess(this.pid, at, this.#kept, MESSAGE.size) !== MESSAGE.size || !this.isWaiting()) return -EBADF;
    if (writeProcess(this.pid, at, this.#message, MESSAGE.size) !== MESSAGE.size) return -EBADF;
    const result = this.#inject(SYS.recvmsg, socket, at, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (this.#now.place !== "exit" || !this.isWaiting()) return -ENOENT;
    const isRead = readProcess(this.pid, at, this.#message, MESSAGE.size) === MESSAGE.size;
    writeProcess(this.pid, at, this.#kept, MESSAGE.size);
    if (result < 0) return result;
    const number = view.getInt32(MESSAGE.number, true);
    return isRead && number >= 0 ? number : -EBADF;
  }
}
