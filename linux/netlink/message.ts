/**
 * The netlink message format: a header, a fixed struct of the family, then attributes of type, length and value, each padded to 4 bytes.
 * Pure functions. Source: netlink(7), Linux Documentation/userspace-api/netlink/intro.rst.
 *
 *   | length 4 | type 2 | flags 2 | sequence 4 | port 4 | struct | attributes ... |
 *   attribute: | length 2, header included | type 2 | value | padding |
 */
import { NLA_F_NESTED, NLA_TYPE_MASK, NLATTR_SIZE, NLMSGHDR_SIZE } from "../abi/netlink.ts";

export interface NetlinkMessage {
  readonly type: number;
  /** `NLM_F_*`. */
  readonly flags: number;
  readonly sequence: number;
  /** All behind the header. */
  readonly body: Uint8Array;
}

const align = (length: number) => (length + 3) & ~3;

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

export function encodeMessage({ type, flags, sequence, body }: NetlinkMessage): Uint8Array {
  const message = new Uint8Array(align(NLMSGHDR_SIZE + body.length));
  const view = viewOf(message);
  view.setUint32(0, NLMSGHDR_SIZE + body.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags, true);
  view.setUint32(8, sequence, true);
  message.set(body, NLMSGHDR_SIZE);
  return message;
}

/** The messages of one datagram. @throws RangeError where a length does not fit into it. */
export function decodeMessages(datagram: Uint8Array): NetlinkMessage[] {
  const view = viewOf(datagram);
  const messages: NetlinkMessage[] = [];
  for (let offset = 0; offset + NLMSGHDR_SIZE <= datagram.length; ) {
    const length = view.getUint32(offset, true);
    if (length < NLMSGHDR_SIZE || offset + length > datagram.length) throw new RangeError(`netlink message of ${length} bytes at ${offset}`);
    messages.push({
      type: view.getUint16(offset + 4, true),
      flags: view.getUint16(offset + 6, true),
      sequence: view.getUint32(offset + 8, true),
      body: datagram.subarray(offset + NLMSGHDR_SIZE, offset + length),
    });
    offset += align(length);
  }
  return messages;
}

/** @param value at most 65,531 bytes. */
export function attribute(type: number, value: Uint8Array): Uint8Array {
  const length = NLATTR_SIZE + value.length;
  if (length > 0xffff) throw new RangeError(`netlink attribute of ${value.length} bytes`);
  const bytes = new Uint8Array(align(length));
  const view = viewOf(bytes);
  view.setUint16(0, length, true);
  view.setUint16(2, type, true);
  bytes.set(value, NLATTR_SIZE);
  return bytes;
}

export function u32Attribute(type: number, value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, true);
  return attribute(type, bytes);
}

/** A NUL-terminated string. */
export function textAttribute(type: number, text: string): Uint8Array {
  return attribute(type, new Uint8Array(Buffer.from(`${text}\0`)));
}

export function nestedAttribute(type: number, attributes: readonly Uint8Array[]): Uint8Array {
  return attribute(type | NLA_F_NESTED, concat(attributes));
}

/** Attributes by type; of several with one type the last. @throws RangeError where a length does not fit. */
export type Attributes = ReadonlyMap<number, Uint8Array>;

export function decodeAttributes(bytes: Uint8Array): Attributes {
  const view = viewOf(bytes);
  const attributes = new Map<number, Uint8Array>();
  for (let offset = 0; offset + NLATTR_SIZE <= bytes.length; ) {
    const length = view.getUint16(offset, true);
    if (length < NLATTR_SIZE || offset + length > bytes.length) throw new RangeError(`netlink attribute of ${length} bytes at ${offset}`);
    attributes.set(view.getUint16(offset + 2, true) & NLA_TYPE_MASK, bytes.subarray(offset + NLATTR_SIZE, offset + length));
    offset += align(length);
  }
  return attributes;
}

export function textOf(attributes: Attributes, type: number): string | undefined {
  const value = attributes.get(type);
  return value === undefined ? undefined : new TextDecoder().decode(value).replace(/\0.*$/s, "");
}

export function u32Of(attributes: Attributes, type: number): number | undefined {
  const value = attributes.get(type);
  return value === undefined || value.length < 4 ? undefined : viewOf(value).getUint32(0, true);
}
