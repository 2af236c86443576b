/** Message frames: length, stream id (32 bits each, big-endian), type, flags (8 bits each), data. Source: ttrpc PROTOCOL.md, "Message Frame". */

export const FRAME = { request: 1, response: 2, data: 3 } as const;

export interface Frame {
  readonly stream: number;
  /** One of FRAME, or what a later version may send. */
  readonly type: number;
  readonly flags: number;
  readonly data: Uint8Array;
}

const HEADER_SIZE = 10;

/** "The maximum data length is 4MB and any larger size should be rejected." */
export const MAX_DATA = 4 << 20;

export function encodeFrame({ stream, type, flags, data }: Frame): Uint8Array {
  if (data.length > MAX_DATA) throw new RangeError(`a frame of ${data.length} bytes; it may have ${MAX_DATA}`);
  const bytes = Buffer.alloc(HEADER_SIZE + data.length);
  bytes.writeUInt32BE(data.length, 0);
  bytes.writeUInt32BE(stream, 4);
  bytes.writeUInt8(type, 8);
  bytes.writeUInt8(flags, 9);
  bytes.set(data, HEADER_SIZE);
  return bytes;
}

/** Cuts what arrives on a connection into frames. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  /** @returns the frames that are complete now. @throws RangeError for one that is too long: the connection is of no use any more. */
  push(chunk: Uint8Array): Frame[] {
    this.#rest = this.#rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#rest, chunk]);
    const frames: Frame[] = [];
    for (let frame = this.#take(); frame !== undefined; frame = this.#take()) frames.push(frame);
    return frames;
  }

  #take(): Frame | undefined {
    const rest = this.#rest;
    if (rest.length < HEADER_SIZE) return undefined;
    const length = rest.readUInt32BE(0);
    if (length > MAX_DATA) throw new RangeError(`a frame of ${length} bytes; it may have ${MAX_DATA}`);
    const end = HEADER_SIZE + length;
    if (rest.length < end) return undefined;
    this.#rest = rest.subarray(end);
    return { stream: rest.readUInt32BE(4), type: rest.readUInt8(8), flags: rest.readUInt8(9), data: rest.subarray(HEADER_SIZE, end) };
  }
}
