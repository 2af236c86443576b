/** The gofer's loop: several connections, one process, one request after the other. Nothing here is asynchronous. */
import { POLLERR, POLLHUP, POLLIN } from "../linux/abi/poll.ts";
import type { Fd, FdLike } from "../linux/fd.ts";
import { permanentBlock, type Block } from "../linux/memory.unsafe.ts";
import { PollSet } from "../linux/poll-set.ts";
import type { Link } from "./export.ts";
import { FuseDevice } from "./fuse/device.ts";
import { FuseSocket } from "./fuse/socket.ts";
import type { FileSystem } from "./fuse/file-system.ts";
import { IN_HEADER, OUT_HEADER } from "./fuse/abi.ts";
import { Notifier } from "./fuse/notify.ts";
import { Session } from "./fuse/session.ts";
import { BUFFER_SIZE, type Transport } from "./fuse/transport.ts";
import { Spin } from "./spin.ts";

/** A connection and what answers it. */
export interface Served {
  readonly fuse: Fd;
  /** What `fuse` is: /dev/fuse unless told otherwise. */
  readonly link?: Link | undefined;
  readonly fileSystem: FileSystem;
  readonly meter?: Meter | undefined;
}

/** Is told when a request's handling begins, with its opcode and the caller's pid, and when it ends. */
export interface Meter {
  begin(opcode: number, pid: number): void;
  end(): void;
}

export interface ServeOptions {
  /** The end of a pipe or socket: when the other end is closed, the gofer ends. */
  readonly lifeline?: FdLike;
  /** Is called whenever the loop has waited for requests, with how many connections have some; 0 after so many milliseconds without any. */
  readonly woken?: { readonly afterMs: number; readonly call: (ready: number) => void } | undefined;
}

/** How often a lock that somebody on the host holds is tried again. */
const LOCK_RETRY_MS = 20;

/** Why the loop has ended. */
export type ServeEnd = "disconnected" | "lifeline";

/** Requests of one connection that are answered before the others are looked at again. */
const BURST = 32;

class Connection {
  readonly session: Session;
  readonly transport: Transport;
  readonly spin = new Spin();
  readonly notifier: Notifier;
  /** Places in the poll set. */
  at = -1;
  changesAt = -1;
  readonly meter: Meter | undefined;
  readonly #served: Served;

  constructor(served: Served, request: Block, reply: Block) {
    this.#served = served;
    this.meter = served.meter;
    this.transport = served.link === "socket" ? new FuseSocket(served.fuse, { save: () => this.session.save(), restore: (state) => this.session.restore(state) }) : new FuseDevice(served.fuse);
    this.notifier = new Notifier(this.transport);
    this.session = new Session(served.fileSystem, request, reply);
  }

  end(): void {
    this.session.end();
    this.#served.fuse.close();
  }
}

/**
 * Serves until every connection has ended or the lifeline hangs up; owns the descriptors. It returns then: the caller is a forked child,
 * and exits.
 */
export function serveGofer(served: readonly Served[], options: ServeOptions = {}): ServeEnd {
  const request = permanentBlock(BUFFER_SIZE);
  const reply = permanentBlock(BUFFER_SIZE);
  let connections = served.map((one) => new Connection(one, request, reply));
  let set = arrange(connections, options.lifeline);
  while (connections.length > 0) {
    const waiting = connections.some(({ session }) => session.hasWaiting);
    const ready = set.wait(waiting ? LOCK_RETRY_MS : options.woken?.afterMs);
    options.woken?.call(ready);
    if (options.lifeline !== undefined && set.ready(0) !== 0) {
      for (const connection of connections) connection.end();
      return "lifeline";
    }
    const left = connections.filter((connection) => serveReady(connection, set, request, reply));
    if (left.length === connections.length) continue;
    connections = left;
    set = arrange(connections, options.lifeline);
  }
  return "disconnected";
}

/** The lifeline first, then for each connection its device, and where its file system learns of changes. */
function arrange(connections: readonly Connection[], lifeline: FdLike | undefined): PollSet {
  const set = new PollSet(2 * connections.length + 1);
  if (lifeline !== undefined) set.add(lifeline, 0);
  for (const connection of connections) {
    connection.at = set.add(connection.transport.fd, POLLIN);
    const { changes } = connection.session.fileSystem;
    if (changes !== undefined) connection.changesAt = set.add(changes.fd, POLLIN);
  }
  return set;
}

/** What others have done comes first, so that no answer is given that is known to be old. @returns false where the connection has ended. */
function serveReady(connection: Connection, set: PollSet, request: Block, reply: Block): boolean {
  const { session, notifier, at, changesAt } = connection;
  if (changesAt >= 0 && set.ready(changesAt) !== 0) session.fileSystem.changes?.take(notifier);
  const alive = (set.ready(at) & (POLLIN | POLLERR | POLLHUP)) === 0 || serveBurst(connection, request, reply);
  if (alive) retryLocks(connection, reply);
  else connection.end();
  return alive;
}

/** Somebody may have given a lock back: the guest, or anybody on the host. */
function retryLocks({ session, transport }: Connection, reply: Block): void {
  if (!session.hasWaiting) return;
  for (let length = session.retryWaiting(transport.capacity); length > 0; length = session.retryWaiting(transport.capacity)) {
    transport.send(reply, length);
  }
}

/** @returns false where the connection has ended. */
function serveBurst({ session, transport, spin, meter }: Connection, request: Block, reply: Block): boolean {
  for (let i = 0; i < BURST; i++) {
    const received = i === 0 ? transport.receive(request) : receiveNext(transport, spin, request);
    if (received <= 0) return received === 0;
    meter?.begin(request.view.getUint32(IN_HEADER.opcode, true), request.view.getUint32(IN_HEADER.pid, true));
    const length = session.handle(received, transport.capacity);
    meter?.end();
    if (length > 0 && transport.send(reply, length) < 0 && length > OUT_HEADER.size) sendError(transport, reply);
  }
  return true;
}

function receiveNext(transport: Transport, spin: Spin, request: Block): number {
  let received = 0;
  for (let tries = spin.tries; tries > 0 && received === 0; tries--) received = transport.receive(request);
  spin.learn(received !== 0);
  return received;
}

/** The kernel has refused the reply, which only a bug of ours can lead to: whoever waits gets an error instead. */
function sendError(transport: Transport, reply: Block): void {
  const EIO = 5;
  reply.view.setUint32(OUT_HEADER.len, OUT_HEADER.size, true);
  reply.view.setInt32(OUT_HEADER.error, -EIO, true);
  transport.send(reply, OUT_HEADER.size);
}
