/**
 * The sandbox's process 1: ours, not the program. It gives the program what a program expects of an init (signals that end it although
 * nobody handles them, orphans that are reaped), and ends with the runtime: the kernel kills it then, and with it the pid namespace.
 * The program cannot change that: it may not trace a process with more rights, and a signal to process 1 from inside only comes back to it.
 */
import process from "node:process";
import { EPERM } from "../../linux/abi/errno.ts";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { POLLIN } from "../../linux/abi/poll.ts";
import { SIGNALS } from "../../linux/abi/signal.ts";
import { setCapabilities } from "../../linux/credentials.ts";
import { isErrno } from "../../linux/errors.ts";
import { duplicateOnto, open } from "../../linux/file.ts";
import { fork } from "../../linux/fork.unsafe.ts";
import { dropInherited } from "../../linux/inherited.unsafe.ts";
import { poll } from "../../linux/poll.ts";
import { exitNow, getPid, kill, shellCode, tryWaitPid } from "../../linux/process.ts";
import { setForegroundGroup, setProcessGroup } from "../../linux/process-group.ts";
import { setParentDeathSignal } from "../../linux/prctl.ts";
import { ALL_SIGNALS, setSignalMask } from "../../linux/signal.ts";
import { createSignalFd, takeSignal } from "../../linux/signalfd.ts";
import type { Fd } from "../../linux/fd.ts";

/**
 * After the last change of ids, which would undo it (prctl(2)); before the runtime is last heard of, so that its end is not missed. It is the end of
 * the parent as of now that counts.
 */
export function endWithRuntime(): void {
  setParentDeathSignal(SIGNALS.SIGKILL);
}

/** The same where init becomes the runtime's child only after it has been made. @param runtime a pidfd. */
export function endWithNewParent(runtime: Fd): void {
  endWithRuntime();
  if (poll([{ fd: runtime, events: POLLIN }], 0)[0] !== 0) exitNow(shellCode({ kind: "signaled", signal: SIGNALS.SIGKILL }));
}

/**
 * Forks the program and stays behind as process 1.
 * @param program becomes the program; does not return. @param terminal whether standard input is the session's terminal.
 */
export function superviseProgram(program: () => never, terminal: boolean): never {
  const mask = setSignalMask(ALL_SIGNALS);
  const child = fork(() => {
    setProcessGroup(0, 0);
    if (terminal) setForegroundGroup(0, getPid());
    setSignalMask(mask);
    return program();
  });
  const signals = createSignalFd(ALL_SIGNALS);
  becomeHarmless(signals);
  for (;;) {
    poll([{ fd: signals, events: POLLIN }], Infinity);
    for (let signal = takeSignal(signals); signal !== undefined; signal = takeSignal(signals)) {
      if (signal.signal === SIGNALS.SIGCHLD) reap(child);
      else passOn(child, signal.signal);
    }
  }
}

/** Lets go of everything: pipes whose readers wait for their end, rights, and the command line, which names things of the host. */
function becomeHarmless(signals: Fd): void {
  const nothing = open("/dev/null", fcntl.O_RDWR);
  for (const fd of [0, 1, 2]) duplicateOnto(nothing, fd);
  nothing.close();
  dropInherited([signals]);
  setCapabilities({ effective: 0n, permitted: 0n, inheritable: 0n });
  process.title = "init";
}

function reap(child: number): void {
  for (let ended = tryWaitPid(-1); ended !== undefined; ended = tryWaitPid(-1)) {
    if (ended.pid === child) exitNow(shellCode(ended.status));
  }
}

/** To the program's whole group, as a terminal does: a shell that waits for its command does not end by a signal to itself alone. */
function passOn(child: number, signal: number): void {
  try {
    if (!kill(-child, signal)) kill(child, signal);
  } catch (error) {
    if (!isErrno(error, EPERM)) throw error;
  }
}
