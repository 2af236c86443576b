import * as fc from "fast-check";
import { expect, test } from "vitest";
import { formatIp, ipFamily, parseIp } from "./ip.ts";

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, "hex"));

test.each([
  ["10.0.0.1", "0a000001"],
  ["255.255.255.255", "ffffffff"],
  ["::", "00000000000000000000000000000000"],
  ["::1", "00000000000000000000000000000001"],
  ["fe80::", "fe800000000000000000000000000000"],
  ["2001:db8::1:0:0:1", "20010db8000000000001000000000001"],
  ["1:2:3:4:5:6:7:8", "00010002000300040005000600070008"],
])("%s is %s", (text, hex) => {
  expect(parseIp(text)).toEqual(bytes(hex));
  expect(formatIp(bytes(hex))).toBe(text);
});

test("an IPv4 address may end an IPv6 address", () => {
  expect(parseIp("::ffff:10.1.2.3")).toEqual(bytes("00000000000000000000ffff0a010203"));
});

test.each(["", "10.0.0", "10.0.0.256", "1.2.3.4/8", "fe80::1%eth0", ":::", "localhost", "1:2:3:4:5:6:7:8:9"])("%j is refused", (text) => {
  expect(() => parseIp(text)).toThrow(RangeError);
});

test("every address survives the way to text and back", () => {
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 }), sparse), (address) => {
      expect(parseIp(formatIp(address))).toEqual(address);
    }),
  );
});

/** Runs of zeros in every place, which random bytes do not have. */
const sparse = fc.array(fc.constantFrom(0, 0, 0, 0x0db8, 1), { minLength: 8, maxLength: 8 }).map((groups) => {
  return new Uint8Array(groups.flatMap((group) => [group >> 8, group & 0xff]));
});

test("the family follows the length", () => {
  expect(ipFamily(parseIp("10.0.0.1"))).toBe(2);
  expect(ipFamily(parseIp("::1"))).toBe(10);
});
