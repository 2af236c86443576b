/**
 * Making a sandbox takes rights that an ordinary user has in a user namespace of his own alone: a forked child enters one, makes the sandbox, and ends.
 * What it has made then belongs to the runtime, its subreaper, as if that had made it itself (docs/decisions/0043-rootless-sentry.md).
 *
 *   runtime                          child
 *   fork ──────────────────────────▶ unshare(user)
 *   id maps ◀───────────── "map-ids"
 *   go ────────────────────────────▶ unshare(mnt), action
 *   ◀──────────────────────  "ready" end
 */
import { SIGNALS } from "../../linux/abi/signal.ts";
import { inStep } from "../../linux/errors.ts";
import { fork } from "../../linux/fork.unsafe.ts";
import { CLONE_NEW, unshare } from "../../linux/namespace.ts";
import { setChildSubreaper, setDumpable, setParentDeathSignal } from "../../linux/prctl.ts";
import { kill, waitPid } from "../../linux/process.ts";
import { socketPair } from "../../linux/socket.ts";
import { writeIdMaps, type IdMaps } from "../container/id-maps.ts";
import { fromWire, receive, rendezvous, reporting, send } from "../init/protocol.ts";
import type { Logger } from "../log.ts";

/**
 * @param action runs in a child: what it changes in memory is lost, what it has opened is closed.
 * @throws what `action` throws, as far as it can be told (`toWire`); Error or SysError where there is no such namespace to be had.
 */
export function withinUserNamespace(maps: IdMaps, log: Logger, action: () => void): void {
  const [ours, theirs] = socketPair();
  using socket = ours;
  setChildSubreaper(true);
  const pid = fork(() => {
    ours.close();
    setParentDeathSignal(SIGNALS.SIGKILL);
    log.discard();
    return reporting(theirs, () => {
      inStep("user namespace", () => unshare(CLONE_NEW.user, "user"));
      // The maps belong to root while the process is not dumpable.
      setDumpable(true);
      rendezvous(theirs, { kind: "map-ids" });
      inStep("mount namespace", () => unshare(CLONE_NEW.mnt, "mnt"));
      action();
      log.flush();
      rendezvous(theirs, { kind: "ready" });
    });
  });
  theirs.close();
  try {
    expectMessage(receive(socket), "map-ids");
    inStep("id maps", () => writeIdMaps(pid, maps));
    send(socket, { kind: "go" });
    expectMessage(receive(socket), "ready");
    send(socket, { kind: "go" });
  } catch (error) {
    kill(pid, SIGNALS.SIGKILL);
    throw error;
  } finally {
    waitPid(pid);
  }
}

function expectMessage(message: ReturnType<typeof receive>, kind: "map-ids" | "ready"): void {
  if (message?.kind === "failed") throw fromWire(message.error);
  if (message?.kind !== kind) throw new Error("the process that makes the sandbox ended during set-up");
}
