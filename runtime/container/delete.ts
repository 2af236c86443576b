import { existsSync } from "node:fs";
import { join } from "node:path";
import { SIGNALS } from "../../linux/abi/signal.ts";
import { waitUntil } from "../../linux/sleep.ts";
import { runHooksWarning } from "../hooks.ts";
import type { Logger } from "../log.ts";
import { endEgress } from "../network/end.ts";
import { sandboxEnd } from "../sandbox/end.ts";
import { sandboxFailure } from "../sandbox/failure.ts";
import { endMembers, livingMembers } from "../sandbox/members.ts";
import { freeGuest, giveUpAll } from "../sandbox/stall.ts";
import { validateId } from "../spec/id.ts";
import { removeRdt } from "./intel-rdt.ts";
import { isAlive } from "./process-info.ts";
import { killInit } from "./kill.ts";
import { cgroupOf, ociState, statusOf } from "./status.ts";
import { Container, ContainerError, lockDirectory, removeDirectory } from "./store.ts";

const END_TIMEOUT_MS = 10_000;

/**
 * Deletes a container that has stopped or was never started; with `force` any, and what a killed create has left.
 * @throws ContainerError where it is missing (without `force`) or runs; SysError, CgroupError where something cannot be removed.
 */
export function deleteContainer(root: string, id: string, force: boolean, log: Logger): void {
  validateId(id);
  const container = force ? openOrForget(root, id, log) : Container.tryOpen(root, id);
  if (container === undefined) return deleteMissing(root, id, force, log);
  const status = statusOf(container);
  if (!force && status !== "stopped" && status !== "created") {
    throw new ContainerError(`cannot delete container ${id} that is not stopped: ${status}`);
  }
  if (!force) refuseWithMembers(container);
  const isGuest = container.record.mode === "sentry";
  const failure = isGuest && status === "stopped" ? sandboxFailure(container.directory) : undefined;
  if (failure !== undefined) log.warn(`the sandbox of ${id} had failed: ${failure}`);
  // Whoever creates it holds the lock; without its init it gives up.
  if (status === "creating") cgroupOf(container).kill(SIGNALS.SIGKILL);
  const endRest = isGuest ? sandboxEnd(container.directory) : () => [];
  if (!destroyContainer(container, log) && !force) throw missing(root, id);
  const left = endRest();
  if (left.length > 0) log.warn(`of the sandbox of ${id} are left, killed, until a file system of the host's answers: ${left.join(", ")}`);
}

/** The others of a sandbox end with its first container, as a pod's do with its sandbox: by force alone. */
function refuseWithMembers(container: Container): void {
  const members = livingMembers(container).map(({ record }) => record.id);
  if (members.length > 0) throw new ContainerError(`cannot delete container ${container.record.id}, the first of a sandbox in which others run: ${members.join(", ")}; delete --force ends them`);
}

/** A record that cannot be read names no cgroup and no process any more: its directory is all that can be removed. */
function openOrForget(root: string, id: string, log: Logger): Container | undefined {
  try {
    return Container.tryOpen(root, id);
  } catch (error) {
    if (!(error instanceof ContainerError)) throw error;
    log.warn(`${error.message}: processes and cgroups of ${id}, if there are any, are left`);
    removeDirectory(join(root, id));
    return undefined;
  }
}

function deleteMissing(root: string, id: string, force: boolean, log: Logger): void {
  if (!force) throw missing(root, id);
  if (!removeRemains(join(root, id))) deleteContainer(root, id, force, log);
}

const missing = (root: string, id: string) => new ContainerError(`container ${JSON.stringify(id)} does not exist (in ${root})`);

/** Removes what `create` made before it had written a record. @returns false where it has written one by now. */
function removeRemains(directory: string): boolean {
  using lock = lockDirectory(directory);
  if (existsSync(join(directory, "state.json"))) return false;
  if (lock !== undefined) removeDirectory(directory);
  return true;
}

/**
 * Ends what is left of it, removes its cgroups and its state, runs the poststop hooks.
 * @returns false where somebody else has done so already.
 */
export function destroyContainer(container: Container, log: Logger): boolean {
  using lock = lockDirectory(container.directory);
  if (lock === undefined) return false;
  container.reload();
  endMembers(container);
  const cgroup = cgroupOf(container);
  killInit(container, SIGNALS.SIGKILL);
  if (container.record.mode === "sentry") {
    if (cgroup.isFrozen()) cgroup.thaw();
    if (!freeGuest(container, END_TIMEOUT_MS)) giveUpAll(container);
  }
  cgroup.kill(SIGNALS.SIGKILL);
  awaitEnd(container);
  cgroup.destroy();
  if (container.record.rdt !== undefined) removeRdt(container.record.rdt);
  endEgress(container.directory, container.record.id);
  container.remove();
  runHooksWarning(container.record.hooks.poststop, JSON.stringify(ociState(container, "stopped", 0)), (message) => log.warn(message));
  return true;
}

/** init may take a moment to die, or its parent to reap it. */
function awaitEnd({ record: { id, pid, startTime } }: Container): void {
  if (waitUntil(END_TIMEOUT_MS, () => !isAlive(pid, startTime))) return;
  throw new ContainerError(`container ${id}: its process ${pid} does not end after SIGKILL`);
}
