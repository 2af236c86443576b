import * as fc from "fast-check";
import { expect, test } from "vitest";
import { encodeFrame, FrameReader, MAX_DATA } from "./frame.ts";

const frame = fc.record({ stream: fc.nat(0xffffffff), type: fc.nat(255), flags: fc.nat(255), data: fc.uint8Array({ maxLength: 100 }) });

test("the header: length, stream, type, flags", () => {
  expect(Buffer.from(encodeFrame({ stream: 0x01020304, type: 2, flags: 1, data: Uint8Array.of(9, 8) })).toString("hex")).toBe("000000020102030402010908");
});

test("frames come out as they went in, however they are cut", () => {
  fc.assert(fc.property(fc.array(frame), fc.array(fc.nat(300)), (frames, cuts) => {
    const bytes = Buffer.concat(frames.map(encodeFrame));
    const ends = [...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length];
    const reader = new FrameReader();
    const read = ends.flatMap((end, i) => reader.push(bytes.subarray(ends[i - 1] ?? 0, end)));
    expect(read.map((each) => ({ ...each, data: [...each.data] }))).toEqual(frames.map((each) => ({ ...each, data: [...each.data] })));
  }));
});

test("one that says to be longer than 4 MiB is refused before it has come", () => {
  const header = Buffer.alloc(10);
  header.writeUInt32BE(MAX_DATA + 1);
  expect(() => new FrameReader().push(header)).toThrow(RangeError);
  expect(() => encodeFrame({ stream: 1, type: 1, flags: 0, data: new Uint8Array(MAX_DATA + 1) })).toThrow(RangeError);
});
