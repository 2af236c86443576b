/** `exec` in mode vm: a stand-in for the process that the guest's agent makes. */
import { inStep } from "../../linux/errors.ts";
import { fork } from "../../linux/fork.unsafe.ts";
import { dropInherited, nodeResources } from "../../linux/inherited.unsafe.ts";
import { SIGNALS } from "../../linux/abi/signal.ts";
import { setChildSubreaper } from "../../linux/prctl.ts";
import { kill, newSession, waitPid } from "../../linux/process.ts";
import { socketPair } from "../../linux/socket.ts";
import type { ExecOptions } from "../container/options.ts";
import { writePidFile } from "../container/pid-file.ts";
import { cgroupOf, statusOf } from "../container/status.ts";
import { ContainerError, type Container } from "../container/store.ts";
import { fromWire, receive, rendezvous, reporting, send } from "../init/protocol.ts";
import { connectToAgent, fresh, request } from "./connect.ts";
import { openTerminal } from "./create.ts";
import { guestIdOf, machineDirectory } from "./group.ts";
import { endAs, holdSignals, StandIn } from "./stand-in.ts";

/** The guest runs already. */
const ANSWER_TIMEOUT_MS = 30_000;

/** @returns the stand-in's pid. @throws ContainerError, Error */
export function execInMachine(container: Container, options: ExecOptions): number {
  const status = statusOf(container);
  // While it is paused the guest could not answer, whatever the caller wants to ignore.
  if (status !== "running" && status !== "created") throw new ContainerError(`cannot exec in a ${status} container: ${container.record.id}`);
  if (options.preserveFds > 0) throw new Error("--preserve-fds: a descriptor of the host's means nothing in a machine's guest");
  const [ours, theirs] = socketPair();
  const inherited = nodeResources();
  setChildSubreaper(true);
  const { console, process } = options;
  const pid = fork(() => {
    const signals = holdSignals();
    dropInherited([theirs, signals, ...(console === undefined ? [] : [console.socket])], inherited);
    let code = 1;
    const reported = reporting(theirs, () => {
      newSession();
      const terminal = console === undefined ? undefined : openTerminal(console);
      const agent = inStep("agent", () => connectToAgent(machineDirectory(container), ANSWER_TIMEOUT_MS, () => undefined));
      request(agent, { kind: "exec", id: guestIdOf(container.record), process, ...fresh() }, () => undefined);
      rendezvous(theirs, { kind: "ready" });
      theirs.close();
      code = endAs(new StandIn({ channel: agent, terminal }, signals).run());
    });
    return reported === 0 ? code : reported;
  });
  theirs.close();
  console?.socket.close();
  using _ours = ours;
  using undo = new DisposableStack();
  undo.defer(() => {
    kill(pid, SIGNALS.SIGKILL);
    waitPid(pid);
  });
  const made = receive(ours);
  if (made?.kind === "failed") throw fromWire(made.error);
  if (made === undefined) throw new Error("the process's stand-in ended during set-up");
  inStep("cgroup", () => cgroupOf(container).addProcess(pid, container.record.pid));
  if (options.pidFile !== undefined) writePidFile(options.pidFile, pid, undo);
  send(ours, { kind: "go" });
  undo.move();
  return pid;
}
