/** Standing in for a container's process in the foreground: its signals, its terminal, its exit code. */
import process from "node:process";
import { ReadStream } from "node:tty";
import { SIGNALS } from "../../linux/abi/signal.ts";
import type { Fd } from "../../linux/fd.ts";
import { kill, reapChildren, shellCode, tryWaitPid, type ExitStatus } from "../../linux/process.ts";
import { receiveMessage, socketPair } from "../../linux/socket.ts";
import { getWindowSize, isTerminal, rawMode, restoreTerminal, saveTerminal, setWindowSize } from "../../linux/tty.ts";
import { now, waitUntil } from "../../linux/sleep.ts";
import type { ConsoleTarget } from "../init/launch.ts";
import type { Container } from "./store.ts";

/** Signals that are passed on. SIGCHLD is ours, SIGWINCH becomes a window size, SIGURG is not for anybody. */
const FORWARDED = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGCONT", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGIO", "SIGPWR"] as const;

/** A terminal that this process relays to its own standard streams. */
export interface Relay {
  readonly target: ConsoleTarget;
  /** Takes the master over; call when the process has been created. */
  attach(): Terminal;
}

export interface Terminal {
  /** Resolves when the last output has been written. */
  readonly drained: Promise<void>;
  /** Gives our own terminal its settings back. */
  restore(): void;
}

export function openRelay(): Relay {
  const [ours, theirs] = socketPair();
  return {
    target: { socket: theirs },
    attach() {
      theirs.close();
      const master = receiveMessage(ours)?.fds[0];
      ours.close();
      if (master === undefined) throw new Error("the container's process sent no terminal");
      return relay(master);
    },
  };
}

function relay(master: Fd): Terminal {
  const { stdin, stdout } = process;
  copyWindowSize(master);
  stdout.on("resize", () => copyWindowSize(master));
  const stream = new ReadStream(master.number);
  stream.on("data", (data) => stdout.write(data));
  const drained = new Promise<void>((done) => {
    // Linux reports EIO on a master when the last slave is closed.
    stream.on("error", () => done());
    stream.on("close", () => done());
  });
  // Not Node's raw mode, which leaves the output alone: the container's terminal has put a carriage return before the newline already.
  const saved = isTerminal(0) ? saveTerminal(0) : undefined;
  if (saved !== undefined) restoreTerminal(0, rawMode(saved));
  stdin.on("data", (data) => stream.write(data));
  stdin.on("end", () => stream.write("\u0004"));
  return { drained, restore: () => void (saved !== undefined && restoreTerminal(0, saved)) };
}

function copyWindowSize(master: Fd): void {
  if (isTerminal(0)) setWindowSize(master, getWindowSize(0));
}

const DRAIN_MS = 1000;

/** Signals meant for the container, from before it exists: those that come early are passed on when it does. */
export interface Signals extends Disposable {
  /** From now on, and for what has come already. */
  forwardTo(pid: number): void;
}

/** @param translate what is to be sent in the place of a signal that came. */
export function catchSignals(translate: (signal: number) => number = (signal) => signal): Signals {
  const early: number[] = [];
  let target: number | undefined;
  const receive = (signal: number) => void (target === undefined ? early.push(signal) : kill(target, signal));
  const forwarders = FORWARDED.map((name) => {
    const pass = () => receive(translate(SIGNALS[name]));
    process.on(name, pass);
    return [name, pass] as const;
  });
  return {
    forwardTo(pid) {
      target = pid;
      for (const signal of early) kill(pid, signal);
    },
    [Symbol.dispose]() {
      for (const [name, pass] of forwarders) process.off(name, pass);
    },
  };
}

/** Requests to end that come closer together are one, told twice: by a terminal to the whole group, and by a parent that passes it on. */
const SAME_REQUEST_MS = 300;

/** For `catchSignals`: the second request to end is not a request any more. */
export function killAtSecondRequest(): (signal: number) => number {
  let first: number | undefined;
  return (signal) => {
    if (signal !== SIGNALS.SIGINT && signal !== SIGNALS.SIGTERM) return signal;
    first ??= now();
    return now() - first < SAME_REQUEST_MS ? signal : SIGNALS.SIGKILL;
  };
}

/**
 * Waits for `pid`, a child of this process, passing signals on to it meanwhile.
 * @returns its exit code, 128 + n for signal n.
 */
export async function supervise(pid: number, signals: Signals, terminal: Terminal | undefined): Promise<number> {
  signals.forwardTo(pid);
  const status = await exitOf(pid);
  if (terminal !== undefined) {
    await Promise.race([terminal.drained, new Promise((done) => setTimeout(done, DRAIN_MS))]);
    terminal.restore();
  }
  return shellCode(status);
}

const SANDBOX_END_MS = 1000;

/**
 * In sentry mode sentry and gofers are children of this process too. They end with the guest, but a pid namespace's init only when all in it are
 * reaped.
 */
export function reapSandbox({ record }: Container): void {
  if (record.mode === "sentry") waitUntil(SANDBOX_END_MS, reapChildren);
}

function exitOf(pid: number): Promise<ExitStatus> {
  return new Promise((resolve) => {
    const look = () => {
      const reaped = reapUntil(pid);
      if (reaped === undefined) return;
      process.off("SIGCHLD", look);
      clearInterval(heartbeat);
      resolve(reaped);
    };
    // The listener keeps no event loop alive; the timer does, and finds a signal that came before the listener.
    const heartbeat = setInterval(look, 1000);
    process.on("SIGCHLD", look);
    look();
  });
}

/** As a subreaper we also get the orphans of a container without a pid namespace. */
function reapUntil(pid: number): ExitStatus | undefined {
  for (let reaped = tryWaitPid(-1); reaped !== undefined; reaped = tryWaitPid(-1)) {
    if (reaped.pid === pid) return reaped.status;
  }
  return undefined;
}
