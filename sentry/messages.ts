/**
 * What the sentry is told, over SOCK_SEQPACKET sockets: a kind and one descriptor a message.
 *
 *   runtime ---- "gofer": a pidfd, one for each ----> sentry     its end ends the sandbox
 *   init, and every process of `exec`, just before it becomes the program:
 *           ---- "listener": of its filter ---------> sentry
 */
import { receiveMessage, sendMessage } from "../linux/socket.ts";
import type { Fd, FdLike } from "../linux/fd.ts";

const KINDS = ["gofer", "listener"] as const;
export type Kind = (typeof KINDS)[number];

const LONGEST = 16;

export function sendFd(socket: FdLike, kind: Kind, fd: FdLike): void {
  sendMessage(socket, Buffer.from(kind), [fd]);
}

/** @returns undefined where the peer has closed, or sent something else. */
export function receiveFd(socket: FdLike): { readonly kind: Kind; readonly fd: Fd } | undefined {
  const message = receiveMessage(socket, LONGEST);
  if (message === undefined) return undefined;
  const text = Buffer.from(message.data).toString();
  const kind = KINDS.find((name) => name === text);
  const [fd, ...more] = message.fds;
  if (kind !== undefined && fd !== undefined && more.length === 0) return { kind, fd };
  for (const unwanted of message.fds) unwanted.close();
  return undefined;
}
