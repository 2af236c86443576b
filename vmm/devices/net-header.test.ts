import { expect, test } from "vitest";
import { isSound } from "./net-header.ts";

const ALL = (1 << 0) | (1 << 11) | (1 << 12);
const header = ([flags, kind, length, segment, start, offset]: readonly number[]) => {
  const view = new DataView(new ArrayBuffer(12));
  view.setUint8(0, flags ?? 0);
  view.setUint8(1, kind ?? 0);
  for (const [i, value] of [length, segment, start, offset].entries()) view.setUint16(2 + 2 * i, value ?? 0, true);
  return new Uint8Array(view.buffer);
};

/** flags, kind of segmentation, length of headers, size of segments, where the checksum begins, and where it goes. */
test.for([
  ["a packet as it is", [0, 0, 0, 0, 0, 0], 60, 0, true],
  ["one byte", [0, 0, 0, 0, 0, 0], 1, 0, true],
  ["no packet", [0, 0, 0, 0, 0, 0], 0, ALL, false],
  ["a checksum to be made", [1, 0, 0, 0, 34, 16], 60, ALL, true],
  ["a checksum at the very end", [1, 0, 0, 0, 42, 16], 60, ALL, true],
  ["a checksum over the end", [1, 0, 0, 0, 43, 16], 60, ALL, false],
  ["a checksum far outside", [1, 0, 0, 0, 0xffff, 0xffff], 65550, ALL, false],
  ["a checksum that was not agreed on", [1, 0, 0, 0, 34, 16], 60, 0, false],
  ["a checksum that is said to be right", [2, 0, 0, 0, 0, 0], 60, ALL, false],
  ["segments of IPv4", [1, 1, 54, 1448, 34, 16], 9000, ALL, true],
  ["segments of IPv6", [1, 4, 74, 1428, 54, 16], 9000, ALL, true],
  ["segments without a checksum", [0, 1, 54, 1448, 34, 16], 9000, ALL, false],
  ["segments that were not agreed on", [1, 4, 74, 1428, 54, 16], 9000, (1 << 0) | (1 << 11), false],
  ["segments of nothing", [1, 1, 54, 0, 34, 16], 9000, ALL, false],
  ["segments of UDP", [1, 3, 42, 1448, 34, 6], 9000, ALL, false],
  ["segments with ECN", [1, 0x81, 54, 1448, 34, 16], 9000, ALL, false],
  ["headers longer than the packet", [1, 1, 9001, 1448, 34, 16], 9000, ALL, false],
  ["a packet that is no TCP", [1, 1, 20, 8, 10, 2], 40, ALL, false],
] as const)("%s", ([, fields, size, features, sound]) => {
  expect(isSound(header(fields), size, features)).toBe(sound);
});

test("a header that is not all there", () => {
  expect(isSound(header([0]).subarray(0, 11), 60, ALL)).toBe(false);
});
