/**
 * The talk between the runtime and the processes it forks, over a SOCK_SEQPACKET pair. Every message of the container's side is a
 * question that the runtime answers with `go` when it has done its part; an end that is gone ends the other.
 *
 *   runtime                                stage                              init
 *      | fork ------------------------------>|                                 |
 *      |                                     | join and create namespaces      |
 *      |<------------------------- "map-ids" | (only with a new user namespace)|
 *      | write uid_map, gid_map              |                                 |
 *      | go -------------------------------->|                                 |
 *      |<------ "fuse", with the descriptors | open /dev/fuse (sentry mode)    |
 *      | go -------------------------------->| fork -------------------------->|
 *      |<------------------------- born, pid | exit                            |
 *      | go ------------------------------------------------------------------>|
 *      |<----------------------------------------------------------- "mounted" | FUSE mounts (sentry mode)
 *      | fork the gofers                                                       |
 *      | go ------------------------------------------------------------------>|
 *      | move init to its v2 cgroup                                            | loopback, mounts
 *      |<------------------------------------------------------------ "cgroup" | having joined v1's cgroups
 *      | limits, network devices                                               |
 *      | go ------------------------------------------------------------------>| cgroup namespace, further mounts, devices
 *      |<------------------------------------------------------------- "hooks" |
 *      | prestart and createRuntime hooks                                      |
 *      | go ------------------------------------------------------------------>| createContainer hooks, pivot_root ...
 *      |<-------------------------------------------------------- "attributes" | (only with a security label)
 *      | go, with /proc/PID/attr --------------------------------------------->|
 *      |<------------------------------------------------------------- "ready" |
 *      | state.json, pid file                                                  |
 *      | go ------------------------------------------------------------------>| waits on the start socket (start.ts)
 *
 * Where no namespace is involved that only a child can be in by way of a parent (stage.ts, `needsStage`), the runtime forks init itself, and
 * the first two questions are left out.
 *
 * exec has no "hooks"; there, `go` after "ready" leads straight to execve.
 */
import { ECONNRESET } from "../../linux/abi/errno.ts";
import { inStep, isErrno, SysError, type SysErrorFields, messageOf } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { isPeerGone, receiveMessage, sendMessage, type Message } from "../../linux/socket.ts";

/** An error on its way through a socket: a structure, not a string, so that errno and step survive. */
export type WireError = { readonly kind: "syscall"; readonly fields: SysErrorFields } | { readonly kind: "other"; readonly message: string };

export type FromContainer =
  | { readonly kind: "map-ids" }
  /** Comes with descriptors of /dev/fuse, opened in the container's user namespace. */
  | { readonly kind: "fuse" }
  /** With the FUSE connection's number for each of `GuestLaunch.fileSystems`. */
  | { readonly kind: "mounted"; readonly connections: readonly number[] }
  | { readonly kind: "born" } & Birth
  | { readonly kind: "cgroup" }
  | { readonly kind: "hooks" }
  /** Asks for the asking process's /proc/PID/attr, which comes with `go` where the runtime may hand it out. */
  | { readonly kind: "attributes" }
  | { readonly kind: "ready" }
  /** Sent on the start socket, as the last word before execve. */
  | { readonly kind: "executing" }
  | { readonly kind: "failed"; readonly error: WireError };

/** What becomes of a fork. */
export interface Birth {
  readonly pid: number;
  /** Whether it was born in its v2 cgroup. */
  readonly inCgroup: boolean;
}

export type FromRuntime = { readonly kind: "go" };

/** The other side ended without a word. */
export class PeerGone extends Error {
  override readonly name = "PeerGone";
}

export function toWire(error: unknown): WireError {
  if (error instanceof SysError) return { kind: "syscall", fields: error.fields };
  return { kind: "other", message: messageOf(error) };
}

export function fromWire(error: WireError): Error {
  return error.kind === "syscall" ? new SysError(error.fields) : new Error(error.message);
}

export function send(socket: Fd, message: FromContainer | FromRuntime, fds: readonly Fd[] = []): void {
  try {
    inStep(`message ${message.kind}`, () => sendMessage(socket, Buffer.from(JSON.stringify(message)), fds));
  } catch (error) {
    throw isPeerGone(error) ? new PeerGone("the other side of the hand-over is gone") : error;
  }
}

/** @returns undefined where the other side has closed. */
export function receive(socket: Fd): FromContainer | undefined {
  return receiveWithFds(socket)?.message;
}

export function receiveWithFds(socket: Fd): { readonly message: FromContainer; readonly fds: readonly Fd[] } | undefined {
  const received = receiveOrEnd(socket);
  return received === undefined ? undefined : { message: JSON.parse(Buffer.from(received.data).toString()) as FromContainer, fds: received.fds };
}

/** A peer that was killed before it had read what we sent resets the connection. */
function receiveOrEnd(socket: Fd): Message | undefined {
  try {
    return receiveMessage(socket);
  } catch (error) {
    if (isErrno(error, ECONNRESET)) return undefined;
    throw error;
  }
}

/** The container's side: says where it is and waits for the runtime's `go`. @returns the descriptors that came with it. @throws PeerGone */
export function rendezvous(socket: Fd, message: FromContainer, fds: readonly Fd[] = []): readonly Fd[] {
  send(socket, message, fds);
  return awaitGo(socket);
}

/** Exit code of a forked process that has reported its error, or whose runtime is gone. */
const FAILED = 1;

/** The body of a forked process: what it throws is told to the other side. @returns the exit code. */
export function reporting(socket: Fd, action: () => void): number {
  try {
    action();
    return 0;
  } catch (error) {
    if (!(error instanceof PeerGone)) reportFailure(socket, error);
    return FAILED;
  }
}

function reportFailure(socket: Fd, error: unknown): void {
  try {
    send(socket, { kind: "failed", error: toWire(error) });
  } catch {
    // The runtime is gone: nobody is left to tell.
  }
}

export function awaitGo(socket: Fd): readonly Fd[] {
  const message = receiveOrEnd(socket);
  if (message === undefined) throw new PeerGone("the runtime is gone");
  return message.fds;
}
