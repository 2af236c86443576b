/**
 * A process that is forked before there is a container for it, and becomes that container's init when it gets one: what a fork costs, the first touch of each page and
 * the first run of each function, has been paid by then (docs/decisions/0049-spare.md).
 *
 *   runtime                                  spare                                     init
 *      | fork, ahead of any request --------->| rehearse                                 |
 *      |<---------------------------- "ready" |                                          |
 *      |     a request comes                  |                                          |
 *      | order, with its descriptors -------->| goes on as another process ------------->|
 *      |                                      | waits for that one's execve, and exits   |
 *      |<-------------------------------------------------------------------- born, pid |
 *      |                                                          as in init/protocol.ts |
 *
 * It has the runtime's rights until it is given a container, as init has them, and nothing of any container's but what the runtime's heap has anyway.
 */
import * as fcntl from "../../linux/abi/fcntl.ts";
import { SIGNALS } from "../../linux/abi/signal.ts";
import { check, inStep } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { duplicateOnto, open } from "../../linux/file.ts";
import { becomeSibling } from "../../linux/fork.unsafe.ts";
import { CLONE_NEW } from "../../linux/namespace.ts";
import { setParentDeathSignal } from "../../linux/prctl.ts";
import { exitNow, getParentPid } from "../../linux/process.ts";
import { receiveMessage } from "../../linux/socket.ts";
import { runInit } from "./init.ts";
import type { ContainerLaunch } from "./launch.ts";
import { awaitGo, reporting, send, type Birth } from "./protocol.ts";
import { rehearse, type Kept } from "./rehearsal.ts";
import { decodeOrder, STREAMS, type Ordered } from "./spare-order.ts";
import { runDirectly } from "./stage.ts";

/** Most bytes of an order. */
export const ORDER_LIMIT = 65536;
/** A message that has only descriptors to bring. */
export const DESCRIPTORS_ONLY = Buffer.from("fds");

/**
 * The body of the spare. Preconditions: a forked child that has dropped what it had inherited, with root's rights.
 * @param parent whom it must not outlive. @param kept namespaces that it is in already when it becomes init.
 */
export function runSpare(socket: Fd, parent: number, kept: readonly Kept[]): number {
  setParentDeathSignal(SIGNALS.SIGKILL);
  if (getParentPid() !== parent) return 0;
  const hostProc = open("/proc", fcntl.O_PATH | fcntl.O_DIRECTORY);
  return reporting(socket, () => {
    letGoOfStreams();
    inStep("rehearsal", () => rehearse(hostProc, kept));
    send(socket, { kind: "ready" });
    const received = receiveOrder(socket);
    if (received !== undefined) fulfil(decodeOrder(received.text, received.fds, hostProc), socket);
  });
}

/** They are the parent's, and a rehearsal gives them to the program's user. */
function letGoOfStreams(): void {
  using nowhere = open("/dev/null", fcntl.O_RDWR);
  for (let number = 0; number < STREAMS; number++) duplicateOnto(nowhere, number);
}

/** The descriptors come first, in as many messages as it takes. @returns undefined where nobody can give an order any more. */
function receiveOrder(socket: Fd): { readonly text: string; readonly fds: readonly Fd[] } | undefined {
  const fds: Fd[] = [];
  for (;;) {
    const message = receiveMessage(socket, ORDER_LIMIT);
    if (message === undefined) return undefined;
    fds.push(...message.fds);
    if (message.data.length > DESCRIPTORS_ONLY.length) return { text: Buffer.from(message.data).toString(), fds };
  }
}

/** What fails from here on is told to the runtime that waits for the container, by the protocol's socket. */
function fulfil({ launch, streams }: Ordered, socket: Fd): never {
  return exitNow(reporting(launch.channel, () => {
    streams.forEach((fd, number) => duplicateOnto(fd, number));
    const birth = becomeInit(launch);
    for (const fd of [...streams, socket]) fd.close();
    send(launch.channel, { kind: "born", ...birth });
    awaitGo(launch.channel);
    exitNow(runDirectly(launch, () => runInit(launch)));
  }));
}

/** As `forkInit` (stage.ts), but that nothing is copied. */
function becomeInit({ create, joining: { birthplace } }: ContainerLaunch): Birth {
  const namespaces = create.includes("pid") ? CLONE_NEW.pid : 0;
  // What a cgroup refuses, the kernel tells in several ways.
  const born = birthplace === undefined ? 0 : becomeSibling({ namespaces, cgroup: birthplace });
  return { pid: born > 0 ? born : check(becomeSibling({ namespaces, cgroup: undefined }), "clone3"), inCgroup: born > 0 };
}
