/**
 * The first forked process: enters and creates namespaces, forks init into them, and ends. A process cannot change its own pid namespace,
 * and a user namespace's maps are written from outside; hence two processes. init then belongs to the nearest subreaper.
 */
import { EINVAL } from "../../linux/abi/errno.ts";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { setGroupId, setGroups, setUserId } from "../../linux/credentials.ts";
import { inStep, isErrno } from "../../linux/errors.ts";
import { openAt, writeAll } from "../../linux/file.ts";
import { fork } from "../../linux/fork.unsafe.ts";
import { CLONE_NEW, unshare } from "../../linux/namespace.ts";
import { setDumpable } from "../../linux/prctl.ts";
import type { ProcessLaunch } from "./launch.ts";
import { createNamespaces, joinNamespaces } from "./namespaces.ts";
import { awaitGo, rendezvous, reporting, send } from "./protocol.ts";
import { setOomScore } from "./attributes.ts";

/** The body of the forked stage. @param init what runs in the namespaces; it does not return. */
export function runStage(launch: ProcessLaunch, init: () => never, timeOffsets?: string): number {
  return reporting(launch.channel, () => {
    awaitGo(launch.channel);
    inStep("oom score", () => setOomScore(launch.hostProc, launch.process.oomScoreAdj));
    // From here on we share namespaces with processes that may not look into us (CVE-2016-9962).
    setDumpable(false);
    inStep("join namespaces", () => joinNamespaces(launch.join));
    inStep("user namespace", () => enterUserNamespace(launch));
    inStep("create namespaces", () => createNamespaces(launch.create));
    if (timeOffsets !== undefined) inStep("time offsets", () => writeTimeOffsets(launch, timeOffsets));
    const pid = inStep("fork", () => fork(() => reporting(launch.channel, init)));
    send(launch.channel, { kind: "born", pid });
  });
}

/** Becomes root of a user namespace: of a new one, whose maps the runtime writes, or of the one that was entered. */
function enterUserNamespace(launch: ProcessLaunch): void {
  const created = launch.create.includes("user");
  if (!created && !launch.join.some(({ file }) => file === "user")) return;
  if (created) {
    unshare(CLONE_NEW.user, "user");
    // The maps in /proc/PID belong to root while the process is not dumpable: an ordinary user could not write them.
    setDumpable(true);
    rendezvous(launch.channel, { kind: "map-ids" });
    setDumpable(false);
  }
  ifMapped(() => setGroupId(0));
  ifMapped(() => setUserId(0));
  if (!launch.denySetgroups) setGroups([]);
}

/** A map without 0 has no root to become; the rights in a new namespace do not depend on the id. Source: setresuid(2), EINVAL. */
function ifMapped(change: () => void): void {
  try {
    change();
  } catch (error) {
    if (!isErrno(error, EINVAL)) throw error;
  }
}

function writeTimeOffsets(launch: ProcessLaunch, offsets: string): void {
  setDumpable(true);
  using file = openAt(launch.hostProc, "self/timens_offsets", fcntl.O_WRONLY);
  writeAll(file, offsets);
  setDumpable(false);
}

