/**
 * Sockets between guest and host. Source: virtio 1.2, 5.10. On the host's side they are unix sockets:
 *
 *   PATH          listens; a client says "CONNECT PORT\n", is told "OK HOSTPORT\n", and is then connected to that port of the guest
 *   PATH_PORT     is where a connection of the guest's to port PORT of the host goes; somebody else listens there
 */
import { POLLERR, POLLHUP, POLLIN, POLLOUT } from "../../../linux/abi/poll.ts";
import type { Fd } from "../../../linux/fd.ts";
import { setNonBlocking } from "../../../linux/fcntl.ts";
import { connectUnix, tryAccept } from "../../../linux/socket.ts";
import { guarded, serve, type DeviceHost, type VirtioDevice } from "../../virtio/device.ts";
import { Later } from "../../threads/later.ts";
import { gather, scatter, slices } from "../../virtio/buffers.ts";
import { QueueError, type Chain, type SplitQueue } from "../../virtio/queue.ts";
import { tryReadInto, tryWriteFrom } from "../host-io.ts";
import { BUFFER_SIZE, Connection, connectionKey } from "./connection.ts";
import { decodeHeader, encodeHeader, HEADER_SIZE, HOST_CID, OP, TYPE_STREAM, type Header } from "./packet.ts";

const RECEIVE = 0;
const TRANSMIT = 1;
const EVENT = 2;

/** Bounds of what a guest, or clients of the host, can make us keep. */
const MAX_CONNECTIONS = 1024;
const MAX_RESETS = 256;
const MAX_PACKET = 64 << 10;
const MAX_GREETING = 32;
const FIRST_HOST_PORT = 1 << 30;

/** How long clients wait at most for a driver that does not give the event's buffer back. */
const SETTLE_MS = 2000;
/** VIRTIO_VSOCK_EVENT_TRANSPORT_RESET: all connections are gone, after a restore. */
const EVENT_TRANSPORT_RESET = 0;

export interface VsockOptions {
  /** The guest's address, from 3 on. */
  readonly cid: number;
  /** Listens; PATH. */
  readonly listener: Fd;
  /** PATH again, for connections of the guest's; without it they are refused. */
  readonly path?: string;
}

export class Vsock implements VirtioDevice {
  readonly id = 19;
  readonly name = "vsock";
  readonly queueSizes = [256, 256, 16];
  readonly features = 0;
  readonly config = new Uint8Array(8);
  readonly #options: VsockOptions;
  readonly #listener: Fd;
  readonly #connections = new Map<string, Connection>();
  /** Resets for packets that belong to no connection. */
  #resets: { readonly hostPort: number; readonly guestPort: number }[] = [];
  #nextPort = FIRST_HOST_PORT;
  #host: DeviceHost | undefined;
  #accepting: { stop(): void } | undefined;
  #restored = false;
  /** The guest has been told, and has not heard yet: it would reset new connections along with the old ones. */
  #settling = false;
  readonly #patience = new Later();

  constructor(options: VsockOptions) {
    this.#options = options;
    new DataView(this.config.buffer).setBigUint64(0, BigInt(options.cid), true);
    this.#listener = options.listener;
    setNonBlocking(this.#listener);
  }

  start(host: DeviceHost): void {
    this.#host = host;
    if (!this.#restored) this.#acceptAll(host);
  }

  #acceptAll(host: DeviceHost): void {
    this.#settling = false;
    this.#accepting = host.loop.watch(this.#listener.number, POLLIN, () => this.#accept(host));
  }

  reset(): void {
    this.#accepting?.stop();
    this.#accepting = undefined;
    for (const connection of this.#connections.values()) connection.release();
    this.#connections.clear();
    this.#resets = [];
    this.#host = undefined;
  }

  save(): unknown {
    return { nextPort: this.#nextPort };
  }

  /** No connection survives a snapshot: the guest is told. */
  restore(): void {
    this.#restored = true;
  }

  notified(queue: number): void {
    const host = this.#host;
    if (host === undefined) return;
    if (queue === TRANSMIT) serve(host, TRANSMIT, (chain) => this.#fromGuest(host, chain));
    if (queue === EVENT && this.#restored) this.#tellRestored(host);
    // The driver gives an event's buffer back when it has handled it.
    else if (queue === EVENT && this.#settling) this.#acceptAll(host);
    this.#deliver(host);
  }

  // From the guest

  #fromGuest(host: DeviceHost, chain: Chain): number {
    const bytes = gather(chain.readable, 0, HEADER_SIZE);
    if (bytes.length === HEADER_SIZE) this.#handle(host, decodeHeader(bytes), chain);
    return 0;
  }

  #handle(host: DeviceHost, header: Header, chain: Chain): void {
    const { sourcePort: guestPort, destinationPort: hostPort, op } = header;
    if (header.destinationCid !== HOST_CID || header.sourceCid !== this.#options.cid || header.type !== TYPE_STREAM) return this.#refuse(hostPort, guestPort, op);
    const connection = this.#connections.get(connectionKey(hostPort, guestPort));
    if (op === OP.request && connection === undefined) return this.#connectToHost(host, header);
    if (connection === undefined || connection.state === "closed") return this.#refuse(hostPort, guestPort, op);
    connection.noteCredit(header);
    this.#dispatch(connection, header, chain);
    connection.updateWatch();
  }

  #dispatch(connection: Connection, header: Header, chain: Chain): void {
    switch (header.op) {
      case OP.response: return this.#opened(connection);
      case OP.reset: return this.#forget(connection);
      case OP.shutdown: return connection.shutdown(header.flags);
      case OP.data: return this.#data(connection, header, chain);
      case OP.creditUpdate: return;
      case OP.creditRequest: return connection.queue(OP.creditUpdate);
      default: return connection.close();
    }
  }

  #data(connection: Connection, header: Header, chain: Chain): void {
    const available = chain.readableSize - HEADER_SIZE;
    const isValid = connection.state === "open" && header.length <= available;
    if (!isValid || !connection.fromGuest(slices(chain.readable, HEADER_SIZE, header.length), header.length)) connection.close();
  }

  #refuse(hostPort: number, guestPort: number, op: number): void {
    if (op !== OP.reset && this.#resets.length < MAX_RESETS) this.#resets.push({ hostPort, guestPort });
  }

  #forget(connection: Connection): void {
    connection.release();
    this.#connections.delete(connection.key);
  }

  #connectToHost(host: DeviceHost, header: Header): void {
    const { sourcePort: guestPort, destinationPort: hostPort } = header;
    const { path } = this.#options;
    if (path === undefined || this.#connections.size >= MAX_CONNECTIONS) return this.#refuse(hostPort, guestPort, header.op);
    let socket: Fd;
    try {
      socket = connectUnix(`${path}_${hostPort}`);
    } catch {
      return this.#refuse(hostPort, guestPort, header.op);
    }
    const connection = this.#add(host, new Connection(hostPort, guestPort, socket, "open"));
    connection.noteCredit(header);
    connection.queue(OP.response);
    connection.updateWatch();
  }

  #opened(connection: Connection): void {
    if (connection.state !== "opening") return connection.close();
    connection.state = "open";
    // A handful of bytes into an empty socket: they fit.
    tryWriteFrom(connection.socket.number, [Buffer.from(`OK ${connection.hostPort}\n`)]);
  }

  #add(host: DeviceHost, connection: Connection): Connection {
    setNonBlocking(connection.socket);
    this.#connections.set(connection.key, connection);
    connection.watch = host.loop.watch(connection.socket.number, 0, (happened) => this.#socketReady(host, connection, happened));
    return connection;
  }

  // From the host

  #accept(host: DeviceHost): void {
    const socket = tryAccept(this.#listener);
    if (socket === undefined) return;
    if (this.#connections.size >= MAX_CONNECTIONS) return socket.close();
    setNonBlocking(socket);
    const greeting: number[] = [];
    const watch = host.loop.watch(socket.number, POLLIN, () => {
      const port = readGreeting(socket.number, greeting);
      if (port === "more") return;
      watch.stop();
      if (port === "wrong" || this.#host !== host) socket.close();
      else this.#connectToGuest(host, socket, port);
    });
  }

  #connectToGuest(host: DeviceHost, socket: Fd, guestPort: number): void {
    const connection = this.#add(host, new Connection(this.#freePort(guestPort), guestPort, socket, "opening"));
    connection.queue(OP.request);
    this.#deliver(host);
  }

  #freePort(guestPort: number): number {
    while (this.#connections.has(connectionKey(this.#nextPort, guestPort))) this.#nextPort = nextPort(this.#nextPort);
    const port = this.#nextPort;
    this.#nextPort = nextPort(port);
    return port;
  }

  #socketReady(host: DeviceHost, connection: Connection, happened: number): void {
    if ((happened & POLLOUT) !== 0) connection.flush();
    if ((happened & (POLLERR | POLLHUP)) !== 0 && !connection.readsSocket) connection.close();
    this.#deliver(host, (happened & (POLLIN | POLLHUP)) === 0 ? undefined : connection);
  }

  // To the guest

  /** Control packets of all connections, then data of the one that has some. */
  #deliver(host: DeviceHost, ready?: Connection): void {
    const queue = host.queue(RECEIVE);
    if (queue === undefined) return;
    guarded(host, () => {
      const hasRoom = this.#deliverControl(queue) && (ready === undefined || this.#deliverData(queue, ready));
      if (!hasRoom) queue.enableNotification();
      for (const connection of this.#connections.values()) connection.updateWatch(hasRoom || queue.hasChain);
      host.signalUsed(queue);
    });
  }

  /** @returns false where the guest has no buffer left. */
  #deliverControl(queue: SplitQueue): boolean {
    for (; this.#resets[0] !== undefined; this.#resets.shift()) {
      if (!this.#send(queue, { ...this.#resets[0], forwarded: 0 }, OP.reset, 0)) return false;
    }
    for (const connection of this.#connections.values()) {
      for (; connection.waiting[0] !== undefined; connection.waiting.shift()) {
        const { op, flags } = connection.waiting[0];
        if (!this.#send(queue, connection, op, flags)) return false;
        connection.noteTold();
      }
      if (connection.state === "closed") this.#connections.delete(connection.key);
    }
    return true;
  }

  #send(queue: SplitQueue, to: Pick<Connection, "hostPort" | "guestPort" | "forwarded">, op: number, flags: number): boolean {
    const chain = queue.pop();
    if (chain === undefined) return false;
    queue.push(chain, scatter(chain.writable, 0, this.#header(to, op, flags, 0)));
    return true;
  }

  #deliverData(queue: SplitQueue, connection: Connection): boolean {
    if (!connection.readsSocket || connection.credit === 0) return true;
    const chain = queue.pop();
    if (chain === undefined) return false;
    const limit = Math.min(connection.credit, MAX_PACKET);
    if (chain.writableSize <= HEADER_SIZE) throw new QueueError(`a buffer of ${chain.writableSize} bytes for packets`);
    const size = connection.toGuest(slices(chain.writable, HEADER_SIZE, limit));
    if (size === 0) {
      queue.unpop();
      return this.#deliverControl(queue);
    }
    scatter(chain.writable, 0, this.#header(connection, OP.data, 0, size));
    connection.noteTold();
    queue.push(chain, HEADER_SIZE + size);
    return true;
  }

  #header({ hostPort, guestPort, forwarded }: Pick<Connection, "hostPort" | "guestPort" | "forwarded">, op: number, flags: number, length: number) {
    return encodeHeader({
      sourceCid: HOST_CID, destinationCid: this.#options.cid, sourcePort: hostPort, destinationPort: guestPort,
      length, type: TYPE_STREAM, op, flags, bufferSize: BUFFER_SIZE, forwarded,
    });
  }

  #tellRestored(host: DeviceHost): void {
    serve(host, EVENT, (chain) => {
      if (!this.#restored) return undefined;
      this.#restored = false;
      const event = new Uint8Array(4);
      new DataView(event.buffer).setUint32(0, EVENT_TRANSPORT_RESET, true);
      return scatter(chain.writable, 0, event);
    });
    this.#settling = !this.#restored;
    if (this.#settling) host.queue(EVENT)?.enableNotification();
    this.#patience.after(host.loop, SETTLE_MS, () => {
      if (this.#accepting === undefined && this.#host === host) this.#acceptAll(host);
    });
  }
}

function nextPort(port: number): number {
  return port >= 0x7fff_ffff ? FIRST_HOST_PORT : port + 1;
}

/** Collects a client's line byte by byte, so that what follows stays in the socket. */
function readGreeting(fd: number, greeting: number[]): number | "more" | "wrong" {
  const byte = new Uint8Array(1);
  for (;;) {
    const size = tryReadInto(fd, [byte]);
    if (size === "later") return "more";
    if (size !== 1 || greeting.length >= MAX_GREETING) return "wrong";
    if (byte[0] !== 0x0a) {
      greeting.push(byte[0] ?? 0);
      continue;
    }
    const port = /^CONNECT ([0-9]{1,10})$/.exec(Buffer.from(greeting).toString("latin1"))?.[1];
    return port === undefined || Number(port) > 0xffff_ffff ? "wrong" : Number(port);
  }
}
