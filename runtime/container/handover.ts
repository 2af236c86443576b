/** The runtime's side of the protocol with stage and init (runtime/init/protocol.ts). */
import { SIGNALS } from "../../linux/abi/signal.ts";
import { assertNever, inStep } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { fork } from "../../linux/fork.unsafe.ts";
import { kill, waitPid } from "../../linux/process.ts";
import { fromWire, receive, send, type FromContainer } from "../init/protocol.ts";

/** What the runtime does when the container's side asks for it. */
export interface Parts {
  /** The stage has a user namespace without maps. */
  mapIds(stagePid: number): void;
  /** init exists, in all namespaces but the cgroup one. */
  namespaces(initPid: number): void;
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
    send(ours, { kind: "go" });
    for (;;) {
      const message = receive(ours);
      if (message === undefined) throw new Error(vanished(stagePid, initPid));
      if (message.kind === "born") {
        initPid = message.pid;
        waitPid(stagePid);
      } else {
        answer(message, parts, stagePid, initPid);
      }
      send(ours, { kind: "go" });
      if (message.kind === "ready") return initPid;
    }
  } catch (error) {
    for (const pid of [initPid, stagePid]) if (pid !== 0) kill(pid, SIGNALS.SIGKILL);
    waitPid(stagePid);
    if (initPid !== 0) waitPid(initPid);
    throw error;
  }
}

function answer(message: FromContainer, parts: Parts, stagePid: number, initPid: number): void {
  switch (message.kind) {
    case "map-ids":
      return parts.mapIds(stagePid);
    case "namespaces":
      return parts.namespaces(initPid);
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

function vanished(stagePid: number, initPid: number): string {
  const status = waitPid(initPid === 0 ? stagePid : initPid)?.status;
  const how = status === undefined ? "" : status.kind === "signaled" ? ` (signal ${status.signal}; out of memory in the container's cgroup?)` : ` (exit status ${status.code})`;
  return `the container's ${initPid === 0 ? "stage" : "init"} ended during set-up${how}`;
}
