/** The runtime's side of the protocol with stage and init (runtime/init/protocol.ts). */
import { EPERM } from "../../linux/abi/errno.ts";
import { POLLIN } from "../../linux/abi/poll.ts";
import { SIGNALS } from "../../linux/abi/signal.ts";
import { assertNever, check, inStep, isErrno } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { openAt } from "../../linux/file.ts";
import { CLONE_NEW, setNamespace } from "../../linux/namespace.ts";
import { fork, tryClone } from "../../linux/fork.unsafe.ts";
import { cloneTree } from "../../linux/mount.ts";
import { poll } from "../../linux/poll.ts";
import { kill, pidfdOpen, waitPid, type ExitStatus } from "../../linux/process.ts";
import { socketPair } from "../../linux/socket.ts";
import type { ProcessLaunch } from "../init/launch.ts";
import { fromWire, PeerGone, receive, receiveWithFds, reporting, send, type Birth, type FromContainer } from "../init/protocol.ts";
import { forkInit, needsStage } from "../init/stage.ts";

/** What the runtime does when the container's side asks for it. */
export interface Parts {
  /** The stage has a user namespace without maps. */
  mapIds(stagePid: number): void;
  /** The devices that it has opened for mounts of its own. */
  fuse(devices: readonly Fd[]): void;
  /** Each of them is mounted: somebody may read requests from them. @param connections their numbers, in the order of `GuestLaunch.fileSystems`. */
  mounted(connections: readonly number[]): void;
  /** init exists and has gone on already. */
  born(birth: Birth): void;
  /** It is in its cgroup, as far as it can be by itself. */
  cgroup(initPid: number): void;
  hooks(initPid: number): void;
  ready(initPid: number): void;
}

/** The two ways to an init, as bodies of forked processes. */
export interface Bodies {
  readonly stage: () => number;
  readonly init: () => number;
}

/**
 * Forks init, by way of a stage where one is needed, and answers questions until init is ready.
 * @param ours the runtime's end of the socket. @param launch holds the other end, which is closed here after the fork.
 * @param takeSpare has a spare become init, and tells its pid; undefined where there is none for this launch. It stands for the stage until init is born.
 * @returns init's pid.
 * @throws the error that stage or init reported, or one of a part; no process is left then.
 */
export function handOver(ours: Fd, launch: ProcessLaunch, bodies: Bodies, parts: Parts, takeSpare: () => number | undefined = () => undefined): number {
  const inChild = (body: () => number) => () => {
    ours.close();
    return body();
  };
  const staged = needsStage(launch);
  const spare = staged ? undefined : takeSpare();
  let init: Birth | undefined = staged || spare !== undefined ? undefined : forkInit(launch, inChild(bodies.init));
  const first = init ?? stageOf(spare ?? inStep("fork", () => forkStage(launch, inChild(bodies.stage))));
  launch.channel.close();
  try {
    using firstProcess = pidfdOpen(first.pid);
    send(ours, { kind: "go" });
    if (init !== undefined) parts.born(init);
    for (;;) {
      const received = init === undefined ? receiveFromStage(ours, firstProcess) : receiveWithFds(ours);
      if (received === undefined) throw new PeerGone();
      const { message, fds } = received;
      if (message.kind === "born") {
        init = message;
        if (staged) waitPid(first.pid);
        send(ours, { kind: "go" });
        parts.born(init);
        continue;
      }
      if (message.kind === "attributes") {
        sendAttributes(ours, launch, init?.pid ?? 0);
        continue;
      }
      answer(message, fds, parts, first.pid, init?.pid ?? 0);
      send(ours, { kind: "go" });
      if (message.kind === "ready" && init !== undefined) return init.pid;
    }
  } catch (error) {
    const status = end(init?.pid ?? first.pid);
    throw error instanceof PeerGone ? new Error(vanished(init !== undefined ? "init" : staged ? "stage" : "spare", status)) : error;
  }
}

const stageOf = (pid: number): Birth => ({ pid, inCgroup: false });

function forkStage({ guest, hostProc }: ProcessLaunch, body: () => number): number {
  if (guest === undefined) return fork(body);
  return bornIn(guest.pidNamespace, hostProc, (sibling) => (sibling ? check(tryClone({ namespaces: 0, sibling, cgroup: undefined }, body), "clone3") : fork(body)));
}

/**
 * Has a child born in a pid namespace below ours. The way back takes rights over the user namespace that ours belongs to; without, a process of its
 * own goes there. Source: setns(2), pid_namespaces(7), Linux kernel/pid_namespace.c pidns_install.
 * @param start forks it; with `sibling` as a child of its parent's. @returns what `start` does: a pid.
 */
export function bornIn(pidNamespace: Fd, hostProc: Fd, start: (sibling: boolean) => number): number {
  using own = openAt(hostProc, "self/ns/pid", fcntl.O_RDONLY);
  if (!mayEnter(own)) return bornByHelper(pidNamespace, start);
  setNamespace(pidNamespace, CLONE_NEW.pid, "the sentry's");
  try {
    return start(false);
  } finally {
    setNamespace(own, CLONE_NEW.pid, "our own");
  }
}

function mayEnter(own: Fd): boolean {
  try {
    setNamespace(own, CLONE_NEW.pid, "our own");
    return true;
  } catch (error) {
    if (isErrno(error, EPERM)) return false;
    throw error;
  }
}

/** The pid that it is told is the one that we know it by: it is its own pid namespace that counts. */
function bornByHelper(pidNamespace: Fd, start: (sibling: boolean) => number): number {
  const [ours, theirs] = socketPair();
  using _ours = ours;
  const helper = check(tryClone({ namespaces: 0, cgroup: undefined }, () => {
    ours.close();
    return reporting(theirs, () => {
      setNamespace(pidNamespace, CLONE_NEW.pid, "the sentry's");
      send(theirs, { kind: "born", pid: start(true), inCgroup: false });
    });
  }), "clone3");
  theirs.close();
  const message = receive(ours);
  waitPid(helper);
  if (message?.kind === "failed") throw fromWire(message.error);
  if (message?.kind !== "born") throw new Error("the process that enters the sandbox ended during set-up");
  return message.pid;
}

/** A stage that dies after it has forked init leaves the socket open with it: its end itself tells then. */
function receiveFromStage(ours: Fd, stageProcess: Fd) {
  const [message] = poll([{ fd: ours, events: POLLIN }, { fd: stageProcess, events: POLLIN }], Infinity);
  return message === 0 ? undefined : receiveWithFds(ours);
}

/**
 * Hands out /proc/PID/attr as a mount of its own: `..` must not lead from it to the rest of the host's procfs, since others in the container may
 * get hold of the descriptor while the program is executed. Without the privilege to make one, `go` comes alone.
 */
function sendAttributes(ours: Fd, { hostProc }: ProcessLaunch, pid: number): void {
  try {
    using directory = cloneTree(hostProc, `${pid}/attr`, false);
    send(ours, { kind: "go" }, [directory]);
  } catch (error) {
    if (!isErrno(error, EPERM)) throw error;
    send(ours, { kind: "go" });
  }
}

/** Kills a child. @returns how it ended: one that had ended already, in its own way. */
function end(pid: number): ExitStatus | undefined {
  kill(pid, SIGNALS.SIGKILL);
  return waitPid(pid)?.status;
}

function answer(message: FromContainer, fds: readonly Fd[], parts: Parts, stagePid: number, initPid: number): void {
  switch (message.kind) {
    case "map-ids":
      return parts.mapIds(stagePid);
    case "fuse":
      return parts.fuse(fds);
    case "mounted":
      return parts.mounted(message.connections);
    case "cgroup":
      return parts.cgroup(initPid);
    case "hooks":
      return parts.hooks(initPid);
    case "ready":
      return parts.ready(initPid);
    case "failed":
      throw fromWire(message.error);
    case "born":
    case "attributes":
    case "executing":
      throw new Error(`unexpected message from the container's side: ${message.kind}`);
    default:
      assertNever(message);
  }
}

function vanished(who: "stage" | "spare" | "init", status: ExitStatus | undefined): string {
  const how = status === undefined ? "" : status.kind === "signaled" ? ` (signal ${status.signal}; out of memory in the container's cgroup?)` : ` (exit status ${status.code})`;
  return `the container's ${who} ended during set-up${how}`;
}
