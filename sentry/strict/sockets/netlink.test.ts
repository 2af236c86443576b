import { expect, test } from "vitest";
import { EPERM } from "../../../linux/abi/errno.ts";
import { checkRouteRequests } from "./netlink.ts";

const NEWADDR = 20;
const GETADDR = 22;
const GETLINK = 18;

/** struct nlmsghdr's first members. */
type Header = readonly [length: number, type: number];

function check(headers: readonly Header[], size: number): number {
  const bytes = new Uint8Array(256);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [length, type] of headers) {
    view.setUint32(at, length, true);
    view.setUint16(at + 4, type, true);
    at += (length + 3) & ~3;
  }
  return checkRouteRequests({ address: 0, size: bytes.length, bytes, view }, size);
}

test.each<readonly [what: string, headers: readonly Header[], size: number, result: number]>([
  ["asking", [[24, GETADDR]], 24, 0],
  ["asking twice", [[17, GETLINK], [16, GETADDR]], 36, 0],
  ["what is filled up behind it", [[40, GETLINK]], 200, 0],
  ["changing", [[24, NEWADDR]], 24, -EPERM],
  ["changing after asking", [[17, GETLINK], [24, NEWADDR]], 44, -EPERM],
  ["what is not there as a whole", [[17, GETLINK], [24, NEWADDR]], 40, 0],
  ["too short for a header", [[24, NEWADDR]], 15, 0],
])("%s", (_what, headers, size, result) => expect(check(headers, size)).toBe(result));
