import { expect, test } from "vitest";
import { describeDestination } from "./packet.ts";

const v4 = (protocol: number, words: number, ...rest: number[]) => new Uint8Array([0x40 | words, 0, 0, 40, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 9, 192, 0, 2, 1, ...Array.from({ length: (words - 5) * 4 }, () => 0), ...rest]);
const v6 = (next: number, ...rest: number[]) => new Uint8Array([0x60, 0, 0, 0, 0, 4, next, 64, ...new Uint8Array(16), 0x20, 1, 0xd, 0xb8, ...new Uint8Array(11), 1, ...rest]);

test.each([
  ["tcp 192.0.2.1:443", v4(6, 5, 0x80, 0, 1, 0xbb)],
  ["udp 192.0.2.1:53", v4(17, 7, 0x80, 0, 0, 53)],
  ["icmp 192.0.2.1", v4(1, 5, 8, 0, 0, 0)],
  ["tcp [2001:db8::1]:80", v6(6, 0x80, 0, 0, 80)],
  ["protocol 132 2001:db8::1", v6(132, 1, 2, 3, 4)],
  ["tcp 192.0.2.1", v4(6, 5, 1)],
  [undefined, new Uint8Array([0x45, 0])],
  [undefined, new Uint8Array(0)],
])("%s", (text, packet) => {
  expect(describeDestination(packet)).toBe(text);
});
