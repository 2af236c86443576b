/**
 * A file system whose gofer is another process. Source: virtio 1.2, 5.11. What goes through the socket is described in gofer/fuse/socket.ts.
 *
 * Requests are passed on as they come, and answered as the answers come, by the number that the guest has given them. A guest that gives two
 * the same number mixes up its own. What the gofer says is checked as what a guest says: it may have been taken over.
 *
 *   free -- attach --> attached -- the gofer ends --> without a gofer -- FUSE_DESTROY, or reset --> free
 *
 * Without a gofer every request is answered ENOTCONN. A gofer that ends before the guest has mounted leaves the device free.
 */
import { closeSync } from "node:fs";
import { POLLIN, POLLOUT } from "../../linux/abi/poll.ts";
import { MAX_STATE, RESTORE, SAVE } from "../../gofer/fuse/socket.ts";
import { poll } from "../../linux/poll.ts";
import { gather, scatter } from "../virtio/buffers.ts";
import { guarded, serve, type DeviceHost, type VirtioDevice } from "../virtio/device.ts";
import { QueueError, type Chain } from "../virtio/queue.ts";
import type { Watch } from "../threads/loop.ts";
import { fsConfig, IN_HEADER, OUT_HEADER, refuse } from "./fs.ts";
import { tryReadInto, tryWriteFrom } from "./host-io.ts";

/** MAX_WRITE and what stands before the data (gofer/fuse/transport.ts). */
const MESSAGE_LIMIT = (1 << 20) + 4096;
/** Messages that are not answered: FORGET, INTERRUPT, BATCH_FORGET (Linux include/uapi/linux/fuse.h). */
const UNANSWERED: ReadonlySet<number> = new Set([2, 36, 42]);
const FUSE_INIT = 26;
const FUSE_DESTROY = 38;
const ENOTCONN = 107;

interface Waiting {
  readonly queue: number;
  readonly chain: Chain;
}

interface SavedShare {
  readonly mounted: boolean;
  readonly gofer?: Uint8Array;
}

export class RemoteFs implements VirtioDevice {
  readonly id = 26;
  readonly name = "fs";
  /** High priority (FORGET, INTERRUPT), then requests. */
  readonly queueSizes = [64, 128];
  readonly features = 0;
  readonly config: Uint8Array;
  readonly tag: string;
  #socket: number | undefined;
  /** Whether the guest has the file system mounted, as far as its messages tell. */
  #mounted = false;
  readonly #reply = new Uint8Array(MESSAGE_LIMIT);
  #replySize = 0;
  /** The rest of a request that did not fit into the socket. */
  #rest: Uint8Array = new Uint8Array(0);
  readonly #waiting = new Map<string, Waiting[]>();
  #waitingCount = 0;
  #watch: Watch | undefined;
  #host: DeviceHost | undefined;

  constructor(tag: string) {
    this.tag = tag;
    this.config = fsConfig(tag);
  }

  /** Whether a gofer can be attached. */
  get free(): boolean {
    return this.#socket === undefined && !this.#mounted;
  }

  /** Gives it a gofer. Preconditions: `free`. @param socket a non-blocking stream socket, which the device owns. */
  attach(socket: number): void {
    this.#socket = socket;
    if (this.#host !== undefined) this.#listen(this.#host, socket);
  }

  start(host: DeviceHost): void {
    this.#host = host;
    if (this.#socket !== undefined) this.#listen(host, this.#socket);
  }

  reset(): void {
    this.#watch?.stop();
    this.#host = undefined;
    this.#mounted = false;
    this.#waiting.clear();
    this.#waitingCount = 0;
  }

  /** With what the gofer needs to go on elsewhere. Waits for it. @throws Error where it cannot be saved now */
  save(): SavedShare {
    const socket = this.#socket;
    if (socket === undefined) return { mounted: this.#mounted };
    if (this.#replySize > 0) throw new Error("the file system's gofer is in the middle of a reply");
    writeWaiting(socket, this.#rest);
    this.#rest = new Uint8Array(0);
    this.#watch?.setEvents(POLLIN);
    writeWaiting(socket, word(SAVE));
    for (;;) {
      const header = readWaiting(socket, OUT_HEADER);
      const length = header.readUInt32LE(0);
      const isState = header.readBigUInt64LE(8) === 0n;
      if (length < OUT_HEADER || length > (isState ? MAX_STATE : MESSAGE_LIMIT)) throw new Error(`the file system's gofer answers with ${length} bytes`);
      const rest = readWaiting(socket, length - OUT_HEADER);
      if (isState && header.readInt32LE(4) !== 0) throw new Error("a process in the guest waits for a file lock");
      if (isState) return this.#saved(rest);
      if (this.#host !== undefined) this.#answer(this.#host, Buffer.concat([header, rest]));
    }
  }

  /** Every request that the gofer has had is answered by now: one that waits for something else could not go on elsewhere. */
  #saved(gofer: Uint8Array): SavedShare {
    if (this.#waitingCount > 0) throw new Error("a process in the guest waits for a file lock");
    // Not a Buffer, which makes JSON of itself before anybody is asked.
    return { mounted: this.#mounted, gofer: new Uint8Array(gofer) };
  }

  /** Preconditions: the gofer's socket is attached, where the other had one. @throws Error */
  restore(state: unknown): void {
    const { mounted, gofer } = state as SavedShare;
    this.#mounted = mounted;
    if (gofer === undefined) return;
    if (this.#socket === undefined) throw new Error(`the file system ${this.tag} needs a gofer`);
    writeWaiting(this.#socket, Buffer.concat([word(RESTORE), word(gofer.length), gofer]));
  }

  #listen(host: DeviceHost, socket: number): void {
    // The rest of a request of before a reset still has to go first: the gofer waits for it.
    this.#watch = host.loop.watch(socket, this.#rest.length > 0 ? POLLIN | POLLOUT : POLLIN, (happened) => this.#socketReady(host, socket, happened));
  }

  notified(queue: number): void {
    if (this.#host !== undefined) serve(this.#host, queue, (chain) => this.#forward(queue, chain));
  }

  #forward(queue: number, chain: Chain): number | "taken" | undefined {
    if (this.#rest.length > 0) return undefined;
    if (chain.readableSize < IN_HEADER) return 0;
    if (chain.readableSize > MESSAGE_LIMIT) return refuse(chain);
    // Copied once: what is checked is what is sent.
    const message = Buffer.allocUnsafe(4 + chain.readableSize);
    message.writeUInt32LE(Math.min(chain.writableSize, MESSAGE_LIMIT));
    message.set(gather(chain.readable, 0, chain.readableSize), 4);
    if (message.readUInt32LE(4) !== chain.readableSize) return refuse(chain);
    const opcode = message.readUInt32LE(8);
    if (opcode === FUSE_DESTROY) this.#mounted = false;
    else if (opcode === FUSE_INIT) this.#mounted = true;
    const sent = this.#send(message);
    if (UNANSWERED.has(opcode)) return 0;
    if (!sent) return refuse(chain, ENOTCONN);
    this.#keep(message.toString("latin1", 12, 20), { queue, chain });
    return "taken";
  }

  #keep(unique: string, waiting: Waiting): void {
    // A queue's buffers are free again only when they were answered: a driver that keeps the rules has no more under way.
    if (++this.#waitingCount > this.queueSizes.reduce((sum, size) => sum + size)) throw new QueueError("more requests under way than the queues hold");
    const others = this.#waiting.get(unique);
    if (others === undefined) this.#waiting.set(unique, [waiting]);
    else others.push(waiting);
  }

  /** @returns false where there is no gofer. */
  #send(message: Uint8Array): boolean {
    const written = this.#socket === undefined ? "gone" : tryWriteFrom(this.#socket, [message]);
    // Those that wait already are told when the socket's end is seen: this may be in the middle of a queue.
    if (written === "gone") return false;
    const done = written === "later" ? 0 : written;
    if (done === message.length) return true;
    this.#rest = message.subarray(done);
    this.#watch?.setEvents(POLLIN | POLLOUT);
    return true;
  }

  #socketReady(host: DeviceHost, socket: number, happened: number): void {
    if ((happened & POLLOUT) !== 0) this.#flush(host);
    if ((happened & ~POLLOUT) !== 0 && this.#host === host && this.#socket === socket) guarded(host, () => this.#receive(host, socket));
  }

  #flush(host: DeviceHost): void {
    const rest = this.#rest;
    this.#rest = new Uint8Array(0);
    this.#send(rest);
    if (this.#rest.length > 0 || this.#host !== host) return;
    this.#watch?.setEvents(POLLIN);
    for (const queue of this.queueSizes.keys()) this.notified(queue);
  }

  /** Reads what there is, up to the end of a reply. */
  #receive(host: DeviceHost, socket: number): void {
    for (;;) {
      const wanted = this.#replySize < OUT_HEADER ? OUT_HEADER : this.#replyLength();
      const size = tryReadInto(socket, [this.#reply.subarray(this.#replySize, wanted)]);
      if (size === "later") return;
      if (size === "gone" || size === 0) return this.#lose(host, socket);
      this.#replySize += size;
      const length = this.#replySize < OUT_HEADER ? Infinity : this.#replyLength();
      if (length === 0) return this.#lose(host, socket);
      if (this.#replySize < length) continue;
      const reply = this.#reply.subarray(0, this.#replySize);
      this.#replySize = 0;
      this.#answer(host, reply);
    }
  }

  /** The gofer has ended, or breaks the protocol: whoever waits for it has waited long enough. */
  #lose(host: DeviceHost, socket: number): void {
    this.#watch?.stop();
    closeSync(socket);
    this.#socket = undefined;
    this.#rest = new Uint8Array(0);
    this.#replySize = 0;
    const waiting = [...this.#waiting.values()].flat();
    this.#waiting.clear();
    this.#waitingCount = 0;
    for (const { queue: index, chain } of waiting) {
      const queue = host.queue(index);
      if (queue === undefined) continue;
      queue.push(chain, refuse(chain, ENOTCONN));
      host.signalUsed(queue);
    }
    for (const queue of this.queueSizes.keys()) this.notified(queue);
  }

  /** @returns 0 for a length that no reply of ours has. */
  #replyLength(): number {
    const length = new DataView(this.#reply.buffer).getUint32(0, true);
    return length < OUT_HEADER || length > MESSAGE_LIMIT ? 0 : length;
  }

  #answer(host: DeviceHost, reply: Uint8Array): void {
    const unique = Buffer.from(reply.subarray(8, 16)).toString("latin1");
    const others = this.#waiting.get(unique);
    const waiting = others?.shift();
    if (waiting === undefined) return;
    if (others?.length === 0) this.#waiting.delete(unique);
    this.#waitingCount--;
    const queue = host.queue(waiting.queue);
    if (queue === undefined) return;
    const fits = reply.length <= waiting.chain.writableSize;
    queue.push(waiting.chain, fits ? scatter(waiting.chain.writable, 0, reply) : 0);
    host.signalUsed(queue);
  }
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** How long a gofer may take to read or write a piece, in milliseconds. */
const PATIENCE_MS = 10_000;

/** @throws Error where the gofer is gone or does not answer */
function writeWaiting(socket: number, content: Uint8Array): void {
  for (let done = 0; done < content.length; ) {
    const written = tryWriteFrom(socket, [content.subarray(done)]);
    if (written === "gone") throw new Error("the file system's gofer has ended");
    if (written === "later") awaitGofer(socket, POLLOUT);
    else done += written;
  }
}

/** @throws Error where the gofer is gone or does not answer */
function readWaiting(socket: number, size: number): Buffer {
  const content = Buffer.alloc(size);
  for (let done = 0; done < size; ) {
    const read = tryReadInto(socket, [content.subarray(done)]);
    if (read === "gone" || read === 0) throw new Error("the file system's gofer has ended");
    if (read === "later") awaitGofer(socket, POLLIN);
    else done += read;
  }
  return content;
}

function awaitGofer(socket: number, events: number): void {
  if (poll([{ fd: socket, events }], PATIENCE_MS)[0] === 0) throw new Error("the file system's gofer does not answer");
}
