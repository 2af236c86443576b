/** Making sure of the end of a sandbox's own processes. */
import { SIGNALS } from "../../linux/abi/signal.ts";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { open, readAll } from "../../linux/file.ts";
import { kill, tryWaitPid } from "../../linux/process.ts";
import { waitUntil } from "../../linux/sleep.ts";
import { isAlive } from "../container/process-info.ts";
import { readSandboxRecord, type SandboxRecord } from "./record.ts";
import { giveUpConnections, stalledConnections } from "./stall.ts";

/** Milliseconds for what the guest has written to reach its volumes, and for all to end by themselves. */
const END_MS = 1000;

/** Milliseconds for a process to end that has been killed. */
const LAST_MS = 200;

/**
 * To be asked while the container's state directory is there.
 * @returns what is to be called when the guest's processes have ended: sentry and gofers, which end with them, are killed where they do not. A
 * stopped one, or one that hangs, would stay for ever otherwise, since no cgroup of the container's has them. It returns which are left even
 * so: a gofer within a call that a file system of the host's does not let go of, and a sentry, which cannot end before it.
 */
export function sandboxEnd(directory: string): () => string[] {
  const record = readSandboxRecord(directory);
  if (record === undefined) return () => [];
  const stalled = stalledConnections(directory, record);
  const isStalled = ({ serves }: OwnNamed) => stalled.some(({ name }) => serves?.includes(name));
  const rest = () => ownProcesses(record).filter(({ pid, startTime }) => isAlive(pid, startTime));
  return () => {
    // A sentry is still there as long as one of the gofers is.
    waitUntil(END_MS, () => rest().every((one) => one.serves === undefined ? stalled.length > 0 : isStalled(one)));
    // The guest waits for none of them any more, but under `strict` a runner of the sentry's may (sentry/strict/volumes/errands.ts).
    if (rest().length > 0) giveUpConnections(record.connections, record);
    for (const { pid } of rest()) kill(pid, SIGNALS.SIGKILL);
    // One that has ended, and whose parent takes its time to reap it, keeps the sentry too: there is nothing to tell of that.
    const held = () => rest().some(({ serves }) => serves !== undefined);
    if (waitUntil(LAST_MS, () => !held())) return [];
    return rest().map(({ pid, serves }) => `${serves === undefined ? "the sentry" : `the gofer of ${serves.join(", ")}`} (pid ${pid})`);
  };
}

type OwnNamed = ReturnType<typeof ownProcesses>[number];

/** What ends with the container: the sentry with the sandbox's first. */
const ownProcesses = ({ sandbox, sentry, gofers }: SandboxRecord) => [...(sandbox === undefined ? [{ ...sentry, serves: undefined }] : []), ...gofers];

/** This process's children, those that have ended and are not reaped included. Source: proc_pid_task_tid_children(5). */
export function ownChildren(): ReadonlySet<number> {
  using file = open("/proc/thread-self/children", fcntl.O_RDONLY);
  return new Set(Buffer.from(readAll(file)).toString("latin1").split(" ").filter((pid) => pid !== "").map(Number));
}

const REAP_MS = 10_000;

/**
 * Kills what has been born as our child since `before`, and waits for its end: the sandbox's processes, since nothing else is forked meanwhile. Among
 * them is what we have not been told of, init for one, whose stage was killed before it could say so. The kernel lets a sentry end, as init of a pid
 * namespace, after all others in that one are reaped.
 * @param before our children from before there was a sandbox.
 */
export function endChildren(before: ReadonlySet<number>): void {
  const rest = () => [...ownChildren()].filter((pid) => !before.has(pid));
  for (const pid of rest()) kill(pid, SIGNALS.SIGKILL);
  waitUntil(REAP_MS, () => {
    for (const pid of rest()) tryWaitPid(pid);
    return rest().length === 0;
  });
}
