/**
 * A tracer waits in wait4(2), which knows no descriptors, and what comes by descriptors must wake it: a signal could come just before it waits and
 * be missed. So a process of our own waits for them in its place. It does nothing but poll(2), and is traced from call to call: each stop wakes the
 * sentry as a task's does. Source: ptrace(2), PTRACE_SYSCALL.
 */
import { POLLIN } from "../../../linux/abi/poll.ts";
import { SIGNALS } from "../../../linux/abi/signal.ts";
import { Epoll } from "../../../linux/epoll.ts";
import { inStep } from "../../../linux/errors.ts";
import type { Fd, FdLike } from "../../../linux/fd.ts";
import { duplicateOnto } from "../../../linux/file.ts";
import { fork } from "../../../linux/fork.unsafe.ts";
import { dropInherited, type NodeResources } from "../../../linux/inherited.unsafe.ts";
import { PollSet } from "../../../linux/poll-set.ts";
import { getPid, kill } from "../../../linux/process.ts";
import { hasStopped, letGoToCall, traceMe } from "../../../linux/seccomp-trace.ts";
import { LOOK_EVERY } from "../../watchdog.ts";

/** What the bell's process needs of the sentry's. */
export interface BellBirth {
  readonly inherited: Pick<NodeResources, "eventFds">;
  /** What it does before it begins to wait. */
  readonly confine: () => void;
}

export class Bell {
  readonly pid: number;
  readonly #watched = new Epoll();

  constructor(birth: BellBirth) {
    this.pid = inStep("bell", () => fork(() => ring(this.#watched.fd, birth)));
  }

  watch(fd: FdLike): void {
    this.#watched.add(fd, POLLIN);
  }

  unwatch(fd: FdLike): void {
    this.#watched.remove(fd);
  }

  /** Lets it wait again after it has stopped. @throws Error where it has ended. */
  reset(status: number): void {
    if (!hasStopped(status)) throw new Error("the process that waits for descriptors has ended");
    letGoToCall(this.pid);
  }
}

/** It has the set as descriptor 0, the log as 2, and nothing else. */
function ring(watched: Fd, { inherited, confine }: BellBirth): never {
  traceMe();
  duplicateOnto(watched, 0);
  // The rings went when the sentry dropped them.
  dropInherited([], { rings: [], eventFds: inherited.eventFds });
  const set = new PollSet(1);
  set.add(0, POLLIN);
  kill(getPid(), SIGNALS.SIGSTOP);
  confine();
  for (;;) set.wait(LOOK_EVERY);
}
