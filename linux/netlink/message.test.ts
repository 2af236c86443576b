import { expect, test } from "vitest";
import {
  attribute, decodeAttributes, decodeMessages, encodeMessage, nestedAttribute, textAttribute, textOf, u32Attribute, u32Of,
} from "./message.ts";

const hex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ""), "hex"));

test("a message is a little-endian header of 16 bytes and the body, padded to 4 bytes outside its length", () => {
  const encoded = encodeMessage({ type: 16, flags: 5, sequence: 0x01020304, body: hex("aabbcc") });
  expect(encoded).toEqual(hex("13000000 1000 0500 04030201 00000000 aabbcc 00"));
});

test("one datagram holds several messages", () => {
  const datagram = hex("13000000 1000 0200 07000000 2a000000 aabbcc 00  10000000 0300 0000 07000000 00000000");
  expect(decodeMessages(datagram)).toEqual([
    { type: 16, flags: 2, sequence: 7, body: hex("aabbcc") },
    { type: 3, flags: 0, sequence: 7, body: hex("") },
  ]);
});

test.each([
  ["longer than the datagram", "14000000 1000 0200 07000000 00000000"],
  ["shorter than its own header", "0f000000 1000 0200 07000000 00000000"],
  ["zero, which would never end", "00000000 1000 0200 07000000 00000000"],
])("a message length %s is refused", (_why, bytes) => {
  expect(() => decodeMessages(hex(bytes))).toThrow(RangeError);
});

test("attributes carry their header in their length and are padded to 4 bytes", () => {
  expect(textAttribute(3, "lo")).toEqual(hex("0700 0300 6c6f00 00"));
  expect(u32Attribute(28, 9)).toEqual(hex("0800 1c00 09000000"));
  expect(nestedAttribute(18, [textAttribute(1, "veth")])).toEqual(hex("1000 1280 0900 0100 7665746800 000000"));
  expect(attribute(1, hex(""))).toEqual(hex("0400 0100"));
});

test("attributes are found by type, whatever the nested flag, and read as text and number", () => {
  const attributes = decodeAttributes(hex("0700 0300 6c6f00 00  0800 1c80 09000000  0500 0500 01"));
  expect(textOf(attributes, 3)).toBe("lo");
  expect(u32Of(attributes, 28)).toBe(9);
  expect(u32Of(attributes, 5)).toBeUndefined();
  expect(textOf(attributes, 99)).toBeUndefined();
});

test.each([
  ["longer than what is left", "0900 0300 6c6f00 00"],
  ["shorter than its header", "0300 0300 6c6f00 00"],
])("an attribute length %s is refused", (_why, bytes) => {
  expect(() => decodeAttributes(hex(bytes))).toThrow(RangeError);
});

test("a value too long for the 16-bit length is refused", () => {
  expect(attribute(1, new Uint8Array(65531)).length).toBe(65536);
  expect(() => attribute(1, new Uint8Array(65532))).toThrow(RangeError);
});
