/** The runtime's side of the protocol with stage and init (runtime/init/protocol.ts). */
import { POLLIN } from "../../linux/abi/poll.ts";
import { SIGNALS } from "../../linux/abi/signal.ts";
import { assertNever, inStep } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { fork } from "../../linux/fork.unsafe.ts";
import { poll } from "../../linux/poll.ts";
import { kill, pidfdOpen, waitPid, type ExitStatus } from "../../linux/process.ts";
import { fromWire, PeerGone, receive, send, type FromContainer } from "../init/protocol.ts";

/** What the runtime does when the container's side asks for it. */
export interface Parts {
  /** The stage has a user namespace without maps. */
  mapIds(stagePid: number): void;
  /** init exists, in all namespaces but the cgroup one, and has gone on already. */
  born(initPid: number): void;
  /** It is in its cgroup, as far as it can be by itself. */
  cgroup(initPid: number): void;
  hooks(initPid: number): void;
  ready(initPid: number): void;
}

/**
 * Forks the stage and answers its and init's questions until init is ready.
 * @param ours the runtime's end of the socket. @param theirs the container's, which is closed here after the fork.
 * @returns init's pid.
 * @throws the error that stage or init reported, or one of a part; no process is left then.
 */
export function handOver(ours: Fd, theirs: Fd, stage: () => number, parts: Parts): number {
  const stagePid = inStep("fork", () =>
    fork(() => {
      ours.close();
      return stage();
    }),
  );
  theirs.close();
  let initPid = 0;
  try {
    using stageProcess = pidfdOpen(stagePid);
    send(ours, { kind: "go" });
    for (;;) {
      const message = initPid === 0 ? receiveFromStage(ours, stageProcess) : receive(ours);
      if (message === undefined) throw new PeerGone();
      if (message.kind === "born") {
        initPid = message.pid;
        waitPid(stagePid);
        send(ours, { kind: "go" });
        parts.born(initPid);
        continue;
      }
      answer(message, parts, stagePid, initPid);
      send(ours, { kind: "go" });
      if (message.kind === "ready") return initPid;
    }
  } catch (error) {
    const status = end(initPid === 0 ? stagePid : initPid);
    throw error instanceof PeerGone ? new Error(vanished(initPid === 0 ? "stage" : "init", status)) : error;
  }
}

/** A stage that dies after it has forked init leaves the socket open with it: its end itself tells then. */
function receiveFromStage(ours: Fd, stageProcess: Fd): FromContainer | undefined {
  const [message] = poll([{ fd: ours, events: POLLIN }, { fd: stageProcess, events: POLLIN }], Infinity);
  return message === 0 ? undefined : receive(ours);
}

/** Kills a child. @returns how it ended: one that had ended already, in its own way. */
function end(pid: number): ExitStatus | undefined {
  kill(pid, SIGNALS.SIGKILL);
  return waitPid(pid)?.status;
}

function answer(message: FromContainer, parts: Parts, stagePid: number, initPid: number): void {
  switch (message.kind) {
    case "map-ids":
      return parts.mapIds(stagePid);
    case "cgroup":
      return parts.cgroup(initPid);
    case "hooks":
      return parts.hooks(initPid);
    case "ready":
      return parts.ready(initPid);
    case "failed":
      throw fromWire(message.error);
    case "born":
    case "executing":
      throw new Error(`unexpected message from the container's side: ${message.kind}`);
    default:
      assertNever(message);
  }
}

function vanished(who: "stage" | "init", status: ExitStatus | undefined): string {
  const how = status === undefined ? "" : status.kind === "signaled" ? ` (signal ${status.signal}; out of memory in the container's cgroup?)` : ` (exit status ${status.code})`;
  return `the container's ${who} ended during set-up${how}`;
}
