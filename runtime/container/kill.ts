import { SIGNALS } from "../../linux/abi/signal.ts";
import { ESRCH } from "../../linux/abi/errno.ts";
import { isErrno } from "../../linux/errors.ts";
import { kill, pidfdOpen, pidfdSendSignal } from "../../linux/process.ts";
import { askAgent } from "../vm/ask.ts";
import { membersOf } from "./members.ts";
import { isAlive } from "./process-info.ts";
import { freeGuest } from "../sandbox/stall.ts";
import { cgroupOf, statusOf } from "./status.ts";
import { ContainerError, type Container } from "./store.ts";

/**
 * Sends a signal to init, or to every process of the container. Without a pid namespace of its own a container does not end with its init,
 * so there SIGKILL goes to all.
 * @throws ContainerError "container not running" where init has ended.
 */
export function killContainer(container: Container, signal: number, all: boolean): void {
  const status = statusOf(container);
  if (all && signal === SIGNALS.SIGKILL && container.record.mode === "sentry") killGuest(container, status === "paused");
  if (all && signal !== SIGNALS.SIGKILL && container.record.mode === "vm" && status !== "stopped") return signalGuest(container, signal, status === "paused");
  if (all) return killAll(container, signal, status === "stopped");
  if (status === "stopped") throw new ContainerError(`container not running: ${container.record.id}`);
  if (!killInit(container, signal)) throw new ContainerError(`container not running: ${container.record.id}`);
  if (signal !== SIGNALS.SIGKILL) return;
  if (container.record.mode === "sentry") killGuest(container, status === "paused");
  const cgroup = cgroupOf(container);
  if (!container.record.ownPidNamespace) cgroup.kill(signal);
  // A frozen process takes no signal.
  else if (status === "paused" && container.record.mode === "namespace") cgroup.thaw();
}

/** Milliseconds. It may take longer to write back what it has mapped of files. */
const GUEST_END_MS = 1000;

/** All of it ends with its init, unless that is in another container's pid namespace. */
function killGuest(container: Container, paused: boolean): void {
  killInit(container, SIGNALS.SIGKILL);
  if (paused) cgroupOf(container).thaw();
  freeGuest(container, GUEST_END_MS);
}

/** In its cgroup on the host is the machine as well. One that is paused cannot answer: what its stand-in is sent waits there. */
function signalGuest(container: Container, signal: number, paused: boolean): void {
  if (paused) killInit(container, signal);
  else askAgent(container, { do: "kill-all", signal });
}

/** A container without a cgroup is known by its pid namespace, as long as that has an init. */
function killAll(container: Container, signal: number, stopped: boolean): void {
  const cgroup = cgroupOf(container);
  if (stopped || cgroup.pids().length > 0) return cgroup.kill(signal);
  for (const pid of membersOf(container)) kill(pid, signal);
}

/** By pidfd, so that a process which got the number meanwhile is not hit. @returns whether there was somebody to send it to. */
export function killInit({ record: { pid, startTime } }: Container, signal: number): boolean {
  if (!isAlive(pid, startTime)) return false;
  try {
    using pidfd = pidfdOpen(pid);
    return isAlive(pid, startTime) && pidfdSendSignal(pidfd, signal);
  } catch (error) {
    if (isErrno(error, ESRCH)) return false;
    throw error;
  }
}
