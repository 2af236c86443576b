/** The gofer's loop: several connections, one process, one request after the other. Nothing here is asynchronous. */
import { POLLERR, POLLHUP, POLLIN } from "../linux/abi/poll.ts";
import type { Fd, FdLike } from "../linux/fd.ts";
import { permanentBlock, type Block } from "../linux/memory.unsafe.ts";
import { PollSet } from "../linux/poll-set.ts";
import { FuseDevice } from "./fuse/device.ts";
import type { FileSystem } from "./fuse/file-system.ts";
import { IN_HEADER, OUT_HEADER } from "./fuse/abi.ts";
import { Session } from "./fuse/session.ts";
import { BUFFER_SIZE, type Transport } from "./fuse/transport.ts";
import { Spin } from "./spin.ts";

/** A connection and what answers it. */
export interface Served {
  readonly fuse: Fd;
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
  readonly meter: Meter | undefined;
  readonly #served: Served;

  constructor(served: Served, request: Block, reply: Block) {
    this.#served = served;
    this.meter = served.meter;
    this.transport = new FuseDevice(served.fuse);
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
  const connections = served.map((one) => new Connection(one, request, reply));
  const set = new PollSet(served.length + 1);
  if (options.lifeline !== undefined) set.add(options.lifeline, 0);
  const first = set.size;
  for (const { transport } of connections) set.add(transport.fd, POLLIN);
  for (;;) {
    if (connections.length === 0) return "disconnected";
    const waiting = connections.some(({ session }) => session.hasWaiting);
    const ready = set.wait(waiting ? LOCK_RETRY_MS : options.woken?.afterMs);
    options.woken?.call(ready);
    if (first > 0 && set.ready(0) !== 0) break;
    for (let i = connections.length - 1; i >= 0; i--) {
      const connection = connections[i];
      if (connection === undefined || (set.ready(first + i) & (POLLIN | POLLERR | POLLHUP)) === 0) continue;
      if (serveBurst(connection, request, reply)) continue;
      connection.end();
      set.remove(first + i);
      const last = connections.pop();
      if (last !== undefined && i < connections.length) connections[i] = last;
    }
    for (const connection of connections) retryLocks(connection, reply);
  }
  for (const connection of connections) connection.end();
  return "lifeline";
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
