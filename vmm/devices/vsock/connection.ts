/**
 * One stream between a port of the guest and a unix socket of the host, with its flow control in both directions (virtio 1.2, 5.10.6.3).
 *
 *   opening ── the guest's response ──▶ open ── shutdown of both sides, reset, or the socket's end ──▶ closed
 */
import { POLLIN, POLLOUT } from "../../../linux/abi/poll.ts";
import type { Fd } from "../../../linux/fd.ts";
import { shutdownWrite } from "../../../linux/socket.ts";
import type { Watch } from "../../threads/loop.ts";
import { tryReadInto, tryWriteFrom } from "../host-io.ts";
import { slices } from "../../virtio/buffers.ts";
import { Backlog } from "./backlog.ts";
import { OP, SHUTDOWN_RECEIVE, SHUTDOWN_SEND, type Header } from "./packet.ts";

/** What the guest may send before we have passed it on, in bytes: the bound of a connection's memory. */
export const BUFFER_SIZE = 256 << 10;
/** The guest is told of room when it knows of less than this. */
const CREDIT_LOW = BUFFER_SIZE / 2;

export type ConnectionState = "opening" | "open" | "closed";

/** A packet without addresses. */
export interface Outgoing {
  readonly op: number;
  readonly flags: number;
}

export class Connection {
  readonly hostPort: number;
  readonly guestPort: number;
  readonly socket: Fd;
  state: ConnectionState;
  watch: Watch | undefined;
  /** Control packets that wait for a buffer of the guest's: at most one of each kind. */
  readonly waiting: Outgoing[] = [];
  readonly #pending = new Backlog(BUFFER_SIZE);
  #forwarded = 0;
  #forwardedTold = 0;
  #sent = 0;
  #peerBuffer = 0;
  #peerForwarded = 0;
  #guestSends = true;
  #hostSends = true;

  constructor(hostPort: number, guestPort: number, socket: Fd, state: ConnectionState) {
    this.hostPort = hostPort;
    this.guestPort = guestPort;
    this.socket = socket;
    this.state = state;
  }

  get key(): string {
    return connectionKey(this.hostPort, this.guestPort);
  }

  /** For the headers of what we send. */
  get forwarded(): number {
    return this.#forwarded;
  }

  /** Takes the flow control of a packet's header. */
  noteCredit({ bufferSize, forwarded }: Header): void {
    this.#peerBuffer = bufferSize;
    this.#peerForwarded = forwarded;
  }

  /** Bytes that the guest has room for. */
  get credit(): number {
    return Math.max(0, this.#peerBuffer - ((this.#sent - this.#peerForwarded) >>> 0));
  }

  get readsSocket(): boolean {
    return this.state === "open" && this.#hostSends;
  }

  queue(op: number, flags = 0): void {
    if (!this.waiting.some((packet) => packet.op === op)) this.waiting.push({ op, flags });
  }

  /** Data of the guest's. @returns false where it is more than we gave it room for: it breaks the protocol. */
  fromGuest(parts: readonly Uint8Array[], size: number): boolean {
    if (!this.#guestSends) return true;
    if (size > this.#pending.room) return false;
    const written = this.#pending.size === 0 ? tryWriteFrom(this.socket.number, parts) : 0;
    if (written === "gone") this.close();
    else this.#keep(parts, size, written === "later" ? 0 : written);
    return true;
  }

  #keep(parts: readonly Uint8Array[], size: number, written: number): void {
    this.#noteForwarded(written);
    if (written === size) return;
    for (const part of slices(parts, written)) this.#pending.add(part);
    this.updateWatch();
  }

  #noteForwarded(count: number): void {
    this.#forwarded = (this.#forwarded + count) >>> 0;
    const known = BUFFER_SIZE - ((this.#forwarded - this.#forwardedTold) >>> 0);
    if (known < CREDIT_LOW) this.queue(OP.creditUpdate);
  }

  /** Every header we send tells how much we have forwarded. */
  noteTold(): void {
    this.#forwardedTold = this.#forwarded;
  }

  /** The socket has room. */
  flush(): void {
    while (this.#pending.size > 0) {
      const written = tryWriteFrom(this.socket.number, [this.#pending.content]);
      if (written === "gone") return this.close();
      if (written === "later") break;
      this.#noteForwarded(written);
      this.#pending.drop(written);
    }
    if (this.#pending.size === 0 && !this.#guestSends) this.#endOfGuest();
    this.updateWatch();
  }

  /** Reads from the socket into the guest's buffers. @returns the bytes, 0 where there are none now. */
  toGuest(parts: readonly Uint8Array[]): number {
    const size = tryReadInto(this.socket.number, parts);
    if (size === "later") return 0;
    if (size === 0) {
      this.#hostSends = false;
      this.queue(OP.shutdown, SHUTDOWN_SEND);
      this.updateWatch();
      return 0;
    }
    if (size === "gone") {
      this.close();
      return 0;
    }
    this.#sent = (this.#sent + size) >>> 0;
    return size;
  }

  /** The guest shuts one or both directions down. */
  shutdown(flags: number): void {
    if ((flags & SHUTDOWN_RECEIVE) !== 0) this.#hostSends = false;
    if ((flags & SHUTDOWN_SEND) !== 0) this.#guestSends = false;
    if (!this.#guestSends && this.#pending.size === 0) this.#endOfGuest();
    this.updateWatch();
  }

  #endOfGuest(): void {
    if (this.#hostSends) shutdownWrite(this.socket);
    else this.close();
  }

  /** The guest is told by a reset. */
  close(): void {
    if (this.state === "closed") return;
    this.state = "closed";
    this.waiting.length = 0;
    this.queue(OP.reset);
    this.release();
  }

  release(): void {
    this.state = "closed";
    this.watch?.stop();
    this.socket.close();
    this.#pending.drop(this.#pending.size);
  }

  /** What to wait for on the socket. @param canDeliver whether the guest has a buffer. */
  updateWatch(canDeliver = true): void {
    const reads = this.readsSocket && canDeliver && this.credit > 0;
    this.watch?.setEvents((reads ? POLLIN : 0) | (this.#pending.size > 0 ? POLLOUT : 0));
  }
}

export function connectionKey(hostPort: number, guestPort: number): string {
  return `${hostPort}:${guestPort}`;
}
