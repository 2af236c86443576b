/**
 * What the sentry is told, over SOCK_SEQPACKET sockets: a kind, and with it descriptors.
 *
 *   runtime, for a container that joins the sandbox, at the first one's door:
 *           ---- "member": see `Admission` --------------> sentry     what follows on this connection is about that container
 *   runtime ---- "init": a pidfd ------------------------> sentry     the process with which the container ends
 *           ---- "gofer": a pidfd, one for each ---------> sentry     its end ends the container
 *   init, and every process of `exec`, just before it becomes the program:
 *           ---- "listener": of its filter --------------> sentry     platform notify
 *           ---- "gate": a socket -----------------------> sentry     platform ptrace (platform/ptrace/gate.ts)
 *           ---- "gate FORM": a socket, a file ----------> sentry     the same, and its calls are told of there (--strace)
 */
import { receiveMessage, sendMessage } from "../linux/socket.ts";
import type { Fd, FdLike } from "../linux/fd.ts";
import type { Uts } from "./kernel.ts";

const SIMPLE = ["init", "gofer", "listener"] as const;
export type Kind = (typeof SIMPLE)[number];

/** Where calls are told of, and in which form: lines as they are, or of a log. */
export interface TellingTarget {
  readonly fd: Fd;
  readonly form: "plain" | "text" | "json";
}
const FORMS = ["plain", "text", "json"] as const;

/** What the sentry needs for one more container. */
export interface Admission {
  /** Of `calls` (debug-counters.ts), from 1 on. */
  readonly area: number;
  readonly uts: Uts;
  /** Names of the gofers' connections, in the order of `counters`, and which gofer serves which. */
  readonly connections: readonly string[];
  readonly gofers: readonly (readonly string[])[];
}

/** Descriptors by names of the runtime's (runtime/sandbox/membership.ts). */
export type NamedFds = Readonly<Record<string, Fd>>;

export type Message =
  | { readonly kind: Kind; readonly fd: Fd }
  | { readonly kind: "gate"; readonly fd: Fd; readonly strace: TellingTarget | undefined }
  | { readonly kind: "member"; readonly admission: Admission; readonly fds: NamedFds };

const LONGEST = 16384;

export function sendFd(socket: FdLike, kind: Kind, fd: FdLike): void {
  sendMessage(socket, Buffer.from(kind), [fd]);
}

export function sendGate(socket: FdLike, gate: FdLike, strace: TellingTarget | undefined): void {
  if (strace === undefined) sendMessage(socket, Buffer.from("gate"), [gate]);
  else sendMessage(socket, Buffer.from(`gate ${strace.form}`), [gate, strace.fd]);
}

/** @param fds at most 16. @throws SysError */
export function sendAdmission(socket: FdLike, admission: Admission, fds: NamedFds): void {
  sendMessage(socket, Buffer.from(JSON.stringify({ names: Object.keys(fds), admission })), Object.values(fds));
}

/** @returns undefined where the peer has closed, or sent something else. */
export function receiveNews(socket: FdLike): Message | undefined {
  const message = receiveMessage(socket, LONGEST);
  if (message === undefined) return undefined;
  const decoded = decode(Buffer.from(message.data).toString(), message.fds);
  if (decoded === undefined) for (const unwanted of message.fds) unwanted.close();
  return decoded;
}

/** The sender is the runtime, or one of its processes that has not become a program: what is checked is that descriptors and names agree. */
function decode(text: string, fds: readonly Fd[]): Message | undefined {
  const kind = SIMPLE.find((name) => name === text);
  const [fd, file] = fds;
  if (kind !== undefined) return fd !== undefined && fds.length === 1 ? { kind, fd } : undefined;
  if (fd !== undefined && text === "gate" && fds.length === 1) return { kind: "gate", fd, strace: undefined };
  const form = FORMS.find((name) => text === `gate ${name}`);
  if (fd !== undefined && file !== undefined && form !== undefined && fds.length === 2) return { kind: "gate", fd, strace: { fd: file, form } };
  if (!text.startsWith("{")) return undefined;
  const { names, admission } = JSON.parse(text) as { names: string[]; admission: Admission };
  return names.length === fds.length ? { kind: "member", admission, fds: Object.fromEntries(names.map((name, i) => [name, fds[i]!])) } : undefined;
}
