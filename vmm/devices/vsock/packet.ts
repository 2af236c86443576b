/** Packets between guest and host sockets. Source: virtio 1.2, 5.10.6. */

export const HEADER_SIZE = 44;
export const HOST_CID = 2;
export const TYPE_STREAM = 1;

export const OP = { request: 1, response: 2, reset: 3, shutdown: 4, data: 5, creditUpdate: 6, creditRequest: 7 } as const;

/** Flags of a shutdown: the sender receives no more, sends no more. */
export const SHUTDOWN_RECEIVE = 1;
export const SHUTDOWN_SEND = 2;

export interface Header {
  readonly sourceCid: number;
  readonly destinationCid: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly length: number;
  readonly type: number;
  readonly op: number;
  readonly flags: number;
  /** The sender's buffer, and how much it has taken out of it, modulo 2^32. */
  readonly bufferSize: number;
  readonly forwarded: number;
}

export function decodeHeader(bytes: Uint8Array): Header {
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_SIZE);
  return {
    sourceCid: Number(view.getBigUint64(0, true)), destinationCid: Number(view.getBigUint64(8, true)),
    sourcePort: view.getUint32(16, true), destinationPort: view.getUint32(20, true), length: view.getUint32(24, true),
    type: view.getUint16(28, true), op: view.getUint16(30, true), flags: view.getUint32(32, true),
    bufferSize: view.getUint32(36, true), forwarded: view.getUint32(40, true),
  };
}

export function encodeHeader(header: Header): Uint8Array {
  const view = new DataView(new ArrayBuffer(HEADER_SIZE));
  view.setBigUint64(0, BigInt(header.sourceCid), true);
  view.setBigUint64(8, BigInt(header.destinationCid), true);
  view.setUint32(16, header.sourcePort, true);
  view.setUint32(20, header.destinationPort, true);
  view.setUint32(24, header.length, true);
  view.setUint16(28, header.type, true);
  view.setUint16(30, header.op, true);
  view.setUint32(32, header.flags, true);
  view.setUint32(36, header.bufferSize, true);
  view.setUint32(40, header.forwarded, true);
  return new Uint8Array(view.buffer);
}
