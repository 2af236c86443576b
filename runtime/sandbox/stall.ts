/**
 * Gofers that do not come back from a call, since a file system of the host's does not answer. A process of the guest's that waits for such a one
 * cannot be killed: the kernel waits for the answer to a request that has been read, and neither can the gofer, which is within a request of its
 * own. The guest is freed by giving up the connection between the two, through the kernel's control file system.
 * Source: Linux fs/fuse/dev.c request_wait_answer, Documentation/filesystems/fuse, "fusectl".
 */
import { EACCES, ENOENT, EPERM } from "../../linux/abi/errno.ts";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID } from "../../linux/abi/mount.ts";
import { isErrno } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { openAt, statAt, writeAll } from "../../linux/file.ts";
import { createMount } from "../../linux/mount.ts";
import { now, waitUntil } from "../../linux/sleep.ts";
import { isAlive } from "../container/process-info.ts";
import type { Container } from "../container/store.ts";
import { readCounters, readSandboxRecord, type ConnectionRecord, type SandboxRecord } from "./record.ts";

/** Milliseconds within one request after which a gofer counts as stalled. A slow disk takes less. */
const STALL_MS = 700;
/** Connections whose request has taken too long, by what the gofers say. */
export function stalledConnections(directory: string, record: SandboxRecord): ConnectionRecord[] {
  const { connections } = readCounters(directory, record);
  return record.connections.filter((_, i) => now() - (connections[i]?.busy?.since ?? Infinity) >= STALL_MS);
}

/**
 * Waits for the end of a guest whose init has been sent SIGKILL, and sees to it that no stalled gofer stands in its way. An ordinary user cannot do
 * that: then it does no more than to wait. What the guest has mapped of files is written back meanwhile.
 * @returns whether it has ended within `timeoutMs`; true where the container has no sandbox.
 */
export function freeGuest({ directory, record: { pid, startTime } }: Guest, timeoutMs: number): boolean {
  const record = readSandboxRecord(directory);
  if (record === undefined) return true;
  const givenUp = new Set<ConnectionRecord>();
  const giveUp = (connections: readonly ConnectionRecord[]) => {
    const more = connections.filter((connection) => !givenUp.has(connection));
    for (const connection of more) givenUp.add(connection);
    if (more.length > 0) giveUpConnections(more, record);
  };
  return waitUntil(timeoutMs, () => {
    if (!isAlive(pid, startTime)) return true;
    giveUp(stalledConnections(directory, record));
    return false;
  });
}

/** Frees a guest that has been killed from all its gofers, whatever these say of themselves. */
export function giveUpAll({ directory }: Guest): void {
  const record = readSandboxRecord(directory);
  if (record !== undefined) giveUpConnections(record.connections, record);
}

type Guest = Pick<Container, "directory" | "record">;

/** Whoever waits for an answer from one of them gets an error. An ordinary user cannot do that. */
export function giveUpConnections(connections: readonly ConnectionRecord[], { ids }: SandboxRecord): void {
  const owner = ids.guest.find(({ containerID }) => containerID === 0)?.hostID;
  try {
    using control = createMount("fusectl", [], MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    for (const { number } of connections) abortConnection(control, number, owner);
  } catch (error) {
    if (!isErrno(error, EPERM, EACCES)) throw error;
  }
}

/** Only one that the guest's root has mounted: a number may have become another's meanwhile. */
function abortConnection(control: Fd, number: number, owner: number | undefined): void {
  try {
    using file = openAt(control, `${number}/abort`, fcntl.O_WRONLY);
    if (statAt(file).uid === owner) writeAll(file, "1");
  } catch (error) {
    if (!isErrno(error, ENOENT)) throw error;
  }
}
