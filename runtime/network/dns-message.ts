/** As much of the Domain Name System's messages as a proxy has to understand. Everything in them may be hostile. Source: RFC 1035 section 4.1. */
import { viewOf } from "../../linux/netlink/message.ts";

const HEADER = 12;
const TYPE = { a: 1, aaaa: 28 } as const;
const CLASS_IN = 1;
const RCODE_REFUSED = 5;
const MAX_NAME = 255;
/** Pointers that are followed for one name. */
const MAX_JUMPS = 16;

export interface Question {
  readonly id: number;
  /** Lower case, without a dot at its end. */
  readonly name: string;
  /** Of the message: the header and the one question. */
  readonly end: number;
}

/** @returns undefined for what is not a query with one question. */
export function parseQuery(message: Uint8Array): Question | undefined {
  const question = parseQuestion(message);
  return question !== undefined && ((message[2] ?? 0) & 0xf8) === 0 ? question : undefined;
}

/** The same for a query or an answer. */
export function parseQuestion(message: Uint8Array): Question | undefined {
  if (message.length < HEADER) return undefined;
  const view = viewOf(message);
  if (view.getUint16(4, false) !== 1) return undefined;
  const name = readName(message, HEADER);
  return name === undefined || name.end + 4 > message.length ? undefined : { id: view.getUint16(0, false), name: name.text, end: name.end + 4 };
}

export interface Address {
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  /** Seconds. */
  readonly ttl: number;
}

/** The addresses that an answer holds, whatever name they stand for: those that a chain of aliases ends at do not have the question's. @returns undefined where it is broken. */
export function addressesIn(message: Uint8Array, { end }: Question): Address[] | undefined {
  const view = viewOf(message);
  const addresses: Address[] = [];
  let offset = end;
  for (let left = view.getUint16(6, false); left > 0; left--) {
    const name = readName(message, offset);
    if (name === undefined || name.end + 10 > message.length) return undefined;
    const [type, kind, ttl, length] = [view.getUint16(name.end, false), view.getUint16(name.end + 2, false), view.getUint32(name.end + 4, false), view.getUint16(name.end + 8, false)];
    const start = name.end + 10;
    if (start + length > message.length) return undefined;
    if (kind === CLASS_IN && ((type === TYPE.a && length === 4) || (type === TYPE.aaaa && length === 16))) addresses.push({ address: message.slice(start, start + length), ttl });
    offset = start + length;
  }
  return addresses;
}

/** The answer to a query that is not passed on. */
export function refusalOf(query: Uint8Array, { end }: Question): Uint8Array {
  const answer = query.slice(0, end);
  // An answer, recursion available; of the question's flags the wish for recursion stays.
  answer[2] = 0x80 | ((query[2] ?? 0) & 0x01);
  answer[3] = 0x80 | RCODE_REFUSED;
  answer.fill(0, 6, HEADER);
  return answer;
}

export function withId(message: Uint8Array, id: number): Uint8Array {
  const copy = message.slice();
  viewOf(copy).setUint16(0, id, false);
  return copy;
}

function readName(message: Uint8Array, start: number): { readonly text: string; readonly end: number } | undefined {
  const labels: string[] = [];
  let [offset, end, jumps, size] = [start, -1, 0, 0];
  for (;;) {
    const length = message[offset];
    if (length === undefined) return undefined;
    if (length === 0) return { text: labels.join("."), end: end < 0 ? offset + 1 : end };
    if ((length & 0xc0) === 0xc0) {
      const low = message[offset + 1];
      if (low === undefined || ++jumps > MAX_JUMPS) return undefined;
      if (end < 0) end = offset + 2;
      offset = ((length & 0x3f) << 8) | low;
      continue;
    }
    size += length + 1;
    if ((length & 0xc0) !== 0 || size > MAX_NAME || offset + 1 + length > message.length) return undefined;
    const label = Buffer.from(message.subarray(offset + 1, offset + 1 + length)).toString("latin1").toLowerCase();
    // A label may hold any byte; one with a dot would read as another name than it is.
    if (!/^[!-~]+$/.test(label) || label.includes(".")) return undefined;
    labels.push(label);
    offset += 1 + length;
  }
}
