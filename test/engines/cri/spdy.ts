/**
 * The client's side of SPDY 3.1, as the kubelet passes it on to containerd's streaming server for exec, attach and port-forward. For tests: it reads
 * no header that comes back, and sends its own uncompressed. Source: the SPDY protocol, draft 3.1; Kubernetes, pkg/kubelet/cri/streaming.
 */
import type { Readable, Writable } from "node:stream";

const CONTROL = 0x8003;
const TYPE = { synStream: 1, synReply: 2, reset: 3, ping: 6, goAway: 7 } as const;
const FLAG_FIN = 1;
const HEADER_SIZE = 8;

export class SpdyStream {
  readonly id: number;
  readonly #write: (data: Uint8Array, fin: boolean) => void;
  readonly #chunks: Uint8Array[] = [];
  #finish: (bytes: Buffer) => void = () => {};
  /** All that has come, when its end has. */
  readonly ended = new Promise<Buffer>((resolve) => void (this.#finish = resolve));

  constructor(id: number, write: (data: Uint8Array, fin: boolean) => void) {
    this.id = id;
    this.#write = write;
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString();
  }

  write(data: string | Uint8Array): void {
    this.#write(Buffer.from(data), false);
  }

  end(): void {
    this.#write(Buffer.alloc(0), true);
  }

  /** For the connection. */
  take(data: Uint8Array, fin: boolean): void {
    this.#chunks.push(data);
    if (fin) this.#finish(Buffer.concat(this.#chunks));
  }
}

/** A connection, both ways. */
export interface Transport {
  readonly incoming: Readable;
  readonly outgoing: Writable;
  readonly close: () => void;
}

export class SpdyConnection implements Disposable {
  readonly #transport: Transport;
  readonly #streams = new Map<number, SpdyStream>();
  #rest: Buffer = Buffer.alloc(0);
  #first = true;

  /** @param transport after the answer to the upgrade, paused. @param begin what has come since. */
  constructor(transport: Transport, begin: Buffer) {
    this.#transport = transport;
    this.#read(begin);
    transport.incoming.on("data", (chunk: Buffer) => this.#read(chunk));
    transport.incoming.on("close", () => this.#streams.forEach((stream) => stream.take(Buffer.alloc(0), true)));
    transport.incoming.resume();
  }

  /** @param headers whose names are lower-case, as SPDY has them. */
  open(headers: Readonly<Record<string, string>>): SpdyStream {
    const id = this.#streams.size * 2 + 1;
    const fixed = Buffer.alloc(10);
    fixed.writeUInt32BE(id);
    this.#control(TYPE.synStream, Buffer.concat([fixed, this.#headerBlock(headers)]));
    const stream = new SpdyStream(id, (data, fin) => this.#transport.outgoing.write(Buffer.concat([dataHeader(id, data.length, fin), data])));
    this.#streams.set(id, stream);
    return stream;
  }

  #control(type: number, payload: Uint8Array): void {
    const header = Buffer.alloc(HEADER_SIZE);
    header.writeUInt16BE(CONTROL);
    header.writeUInt16BE(type, 2);
    header.writeUInt32BE(payload.length, 4);
    this.#transport.outgoing.write(Buffer.concat([header, payload]));
  }

  /** One deflate stream for all of a connection: each block a stored one, then an empty one, which makes the reader hand it on. Source: RFC 1950, 1951. */
  #headerBlock(headers: Readonly<Record<string, string>>): Buffer {
    const pairs = Object.entries(headers);
    const block = Buffer.concat([uint32(pairs.length), ...pairs.flat().flatMap((text) => [uint32(text.length), Buffer.from(text)])]);
    const stored = Buffer.alloc(5);
    stored.writeUInt16LE(block.length, 1);
    stored.writeUInt16LE(~block.length & 0xffff, 3);
    const start = this.#first ? Buffer.of(0x78, 0x01) : Buffer.alloc(0);
    this.#first = false;
    return Buffer.concat([start, stored, block, Buffer.of(0, 0, 0, 0xff, 0xff)]);
  }

  #read(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length >= HEADER_SIZE) {
      const end = HEADER_SIZE + (this.#rest.readUInt32BE(4) & 0xffffff);
      if (this.#rest.length < end) return;
      this.#take(this.#rest.subarray(0, HEADER_SIZE), this.#rest.subarray(HEADER_SIZE, end));
      this.#rest = this.#rest.subarray(end);
    }
  }

  #take(header: Buffer, payload: Buffer): void {
    const fin = (header.readUInt8(4) & FLAG_FIN) !== 0;
    if ((header.readUInt8(0) & 0x80) === 0) return this.#streams.get(header.readUInt32BE(0))?.take(Buffer.from(payload), fin);
    const type = header.readUInt16BE(2);
    if (type === TYPE.ping) this.#control(TYPE.ping, payload);
    if (type === TYPE.reset || (type === TYPE.synReply && fin)) this.#streams.get(payload.readUInt32BE(0))?.take(Buffer.alloc(0), true);
  }

  [Symbol.dispose](): void {
    this.#transport.close();
  }
}

function dataHeader(id: number, length: number, fin: boolean): Buffer {
  const header = Buffer.concat([uint32(id), uint32(length)]);
  if (fin) header.writeUInt8(FLAG_FIN, 4);
  return header;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
