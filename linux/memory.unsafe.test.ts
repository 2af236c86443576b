import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { SysError } from "./errors.ts";
import { readCString, scratch } from "./memory.unsafe.ts";
import { rawView } from "./syscall.unsafe.ts";

/** What is in memory at an address now. */
const peek = (address: number, length: number) => Buffer.from(new Uint8Array(rawView(address, length))).toString("latin1");

test("a C string is UTF-8 with a NUL behind it", () => {
  using s = scratch();
  expect(peek(s.cstr("häuser"), 8)).toBe("h\xc3\xa4user\0");
  expect(peek(s.cstr(""), 1)).toBe("\0");
});

test("a string with a NUL is refused, wherever it stands", () => {
  using s = scratch();
  for (const text of ["\0", "/etc/passwd\0.txt", "end\0"]) expect(() => s.cstr(text)).toThrow(SysError);
  expect(() => s.cstrs(["fine", "not\0fine"])).toThrow("invalid argument (EINVAL)");
});

test("what a frame handed out is reused when it is closed, and zeroed", () => {
  let first = 0;
  {
    using s = scratch();
    const block = s.reserve(64);
    block.bytes.fill(0xff);
    first = block.address;
  }
  using s = scratch();
  const block = s.reserve(64);
  expect(block.address).toBe(first);
  expect([...block.bytes]).toEqual(Array.from({ length: 64 }, () => 0));
});

test("frames nest: an inner one leaves the outer one's blocks alone", () => {
  using outer = scratch();
  const kept = outer.cstr("kept");
  {
    using inner = scratch();
    expect(inner.cstr("inner")).toBeGreaterThan(kept);
  }
  const next = outer.cstr("next");
  expect(next).toBeGreaterThan(kept);
  expect(peek(kept, 5)).toBe("kept\0");
});

test("blocks are aligned to 8, do not overlap, and their views are of their size", () => {
  using s = scratch();
  const blocks = [1, 3, 8, 13].map((size) => s.reserve(size));
  expect(blocks.every(({ address }) => address % 8 === 0)).toBe(true);
  expect(blocks.map(({ bytes, view }) => [bytes.length, view.byteLength])).toEqual([[1, 1], [3, 3], [8, 8], [13, 13]]);
  for (const [i, block] of blocks.entries()) block.bytes.fill(i + 1);
  expect(blocks.map(({ bytes }) => bytes[0])).toEqual([1, 2, 3, 4]);
});

test("a block larger than the region has a mapping of its own, which ends with the frame", () => {
  const size = 3 << 20;
  let address = 0;
  {
    using s = scratch();
    const block = s.reserve(size);
    block.view.setUint8(size - 1, 7);
    address = block.address;
    expect(isMapped(address)).toBe(true);
    // The region goes on where it was.
    expect(peek(s.cstr("small"), 6)).toBe("small\0");
  }
  expect(isMapped(address)).toBe(false);
});

function isMapped(address: number): boolean {
  const lines = readFileSync("/proc/self/maps", "utf8").trim().split("\n");
  return lines.some((line) => {
    const [start = 0, end = 0] = line.slice(0, line.indexOf(" ")).split("-").map((text) => Number.parseInt(text, 16));
    return address >= start && address < end;
  });
}

test("many large strings fit beside each other", () => {
  using s = scratch();
  const text = "x".repeat(128 << 10);
  const addresses = Array.from({ length: 20 }, () => s.cstr(text));
  expect(new Set(addresses).size).toBe(20);
  expect(addresses.every((address) => peek(address + text.length - 1, 2) === "x\0")).toBe(true);
});

test("an argument vector ends with NULL", () => {
  using s = scratch();
  const address = s.cstrs(["a", "bc"]);
  const pointers = new BigUint64Array(rawView(address, 24));
  expect([...pointers].slice(0, 2).map((pointer) => peek(Number(pointer), 2))).toEqual(["a\0", "bc"]);
  expect(pointers[2]).toBe(0n);
});

test("a C string is read up to its NUL, or to the end where there is none", () => {
  expect(readCString(Buffer.from("abc\0def"))).toBe("abc");
  expect(readCString(Buffer.from("abc"))).toBe("abc");
  expect(readCString(Buffer.from("\0"))).toBe("");
});
