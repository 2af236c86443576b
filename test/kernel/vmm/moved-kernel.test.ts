// Kernels that are unpacked before, and moved to a random address: a few instructions with a table of relocations, under the whole machine.
import { execFileSync } from "node:child_process";
import { mkdtempSync, openSync, closeSync, rmSync, writeFileSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { unpackKernel } from "../../../vmm/image/kernel.ts";
import { unpackLz4 } from "../../../vmm/image/lz4.ts";
import { BOOT } from "../../../vmm/layout.ts";
import { Machine } from "../../../vmm/machine.ts";
import { ensurePackages } from "../../packages.ts";
import { asm } from "./tiny-kernel.ts";

const folder = mkdtempSync(join(tmpdir(), "tssandbox-vmm-moved-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const RESULT = 0x5_0000;
const PHYSICAL = 0x20_0000;
const VIRTUAL = 0xffff_ffff_8020_0000n;
const CODE_OFFSET = 0x1000;
const DATA = 0x100;
const STEP = 2 << 20;
const MEMORY = 64 << 20;

/** A word of 64 bits, one of 32 and an inverse one, each between others that do not move, the first not aligned. */
const WORDS = { word64: { at: DATA + 3, linked: VIRTUAL + 0x10n }, word32: { at: DATA + 16, linked: 0x8020_0010 }, inverse: { at: DATA + 24, linked: -16 } } as const;
const FILLER = 0xa5;

/** lea rax, [rip-7]; mov [RESULT], rax; power off */
const CODE = [0x48, 0x8d, 0x05, 0xf9, 0xff, 0xff, 0xff, 0x48, 0x89, 0x04, 0x25, 0, 0, 5, 0, ...asm.powerOff(), ...asm.halt()];

const address = (at: number) => Number(BigInt.asUintN(32, VIRTUAL)) + at;

/** @param relocations each with the 0 before it. */
function movable(relocations: readonly number[]): Buffer {
  const content = Buffer.alloc(DATA + 64, FILLER);
  content.set(CODE);
  content.writeBigUInt64LE(WORDS.word64.linked, WORDS.word64.at);
  content.writeUInt32LE(WORDS.word32.linked, WORDS.word32.at);
  content.writeInt32LE(WORDS.inverse.linked, WORDS.inverse.at);
  const head = Buffer.alloc(CODE_OFFSET);
  head.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  head.writeBigUInt64LE(BigInt(PHYSICAL), 24);
  head.writeBigUInt64LE(64n, 32);
  head.writeBigUInt64LE(BigInt(CODE_OFFSET + content.length), 40);
  head.writeUInt16LE(56, 54);
  head.writeUInt16LE(1, 56);
  const load = [1n | (7n << 32n), BigInt(CODE_OFFSET), VIRTUAL, BigInt(PHYSICAL), BigInt(content.length), BigInt(content.length), BigInt(STEP)];
  load.forEach((word, i) => head.writeBigUInt64LE(word, 64 + 8 * i));
  return Buffer.concat([head, content, Buffer.from(Uint32Array.from(relocations).buffer)]);
}

const KERNEL = movable([0, address(WORDS.word64.at), 0, address(WORDS.inverse.at), 0, address(WORDS.word32.at)]);

interface Moved {
  /** From where it was linked for. */
  readonly up: number;
  readonly content: Buffer;
  readonly loadFlags: number;
}

function run(kernel: Uint8Array, commandLine = "", initramfs?: Uint8Array): Moved {
  const consoleFd = openSync("/dev/null", "w");
  const machine = new Machine({ vcpus: 1, memoryBytes: MEMORY, consoleFd });
  machine.load({ kernel, commandLine, initramfs });
  machine.start();
  machine.loop.after(60_000, () => machine.stop());
  expect(machine.run()).toEqual({ kind: "power-off" });
  machine.endThreads();
  closeSync(consoleFd);
  const at = machine.memory.view(RESULT, 4)?.getUint32(0, true) ?? 0;
  return {
    up: at - PHYSICAL, content: Buffer.from(machine.memory.slice(at, DATA + 64) ?? []), loadFlags: machine.memory.slice(BOOT.zeroPage + 0x211, 1)?.[0] ?? 0,
  };
}

const expectMoved = ({ content }: Moved, inverse: boolean): number => {
  const distance = Number(content.readBigUInt64LE(WORDS.word64.at) - WORDS.word64.linked);
  expect(content.readUInt32LE(WORDS.word32.at)).toBe(WORDS.word32.linked + distance);
  expect(content.readInt32LE(WORDS.inverse.at)).toBe(WORDS.inverse.linked - (inverse ? distance : 0));
  const others = [...content.subarray(DATA)].filter((_, i) => !Object.values(WORDS).some(({ at }, word) => i >= at - DATA && i < at - DATA + (word === 0 ? 8 : 4)));
  expect(others.every((byte) => byte === FILLER)).toBe(true);
  return distance;
};

describe("a kernel with relocations", () => {
  test("lies somewhere else each time, in memory and by its virtual addresses, and knows it", () => {
    const runs = [1, 2, 3].map(() => run(KERNEL, "", Buffer.alloc(5000)));
    const distances = runs.map((moved) => expectMoved(moved, true));
    for (const [i, { up, loadFlags }] of runs.entries()) {
      expect([up % STEP, (distances[i] ?? 1) % STEP, loadFlags & 2]).toEqual([0, 0, 2]);
      expect(up + PHYSICAL).toBeLessThan(MEMORY);
      expect(distances[i]).toBeLessThan(2 ** 30);
    }
    // In one of 200 000 runs all three are the same.
    expect(new Set(distances).size).toBeGreaterThan(1);
  });

  test("stays where it is with nokaslr, and is told so", () => {
    const moved = run(KERNEL, "quiet nokaslr");
    expect([moved.up, expectMoved(moved, true), moved.loadFlags & 2]).toEqual([0, 0, 0]);
  });

  test("of a newer version has two lists", () => {
    expectMoved(run(movable([0, address(WORDS.word64.at), 0, address(WORDS.word32.at)])), false);
  });

  test("needs room", () => {
    expect(() => run(KERNEL, "", Buffer.alloc(MEMORY - PHYSICAL - 4096))).toThrow("too small");
  });
});

/** Of the first segment, in the file. */
const segmentSize = (file: Uint8Array) => Number(new DataView(file.buffer, file.byteOffset).getBigUint64(64 + 32, true));

/** With the payload where a bzImage has it. */
function bzImage(payload: Uint8Array): Buffer {
  const file = Buffer.alloc(0x1000);
  file.writeUInt8(1, 0x1f1);
  file.writeUInt32LE(0x5372_6448, 0x202);
  file.writeUInt32LE(0x1000 - 2 * 512, 0x248);
  file.writeUInt32LE(payload.length, 0x24c);
  return Buffer.concat([file, payload, Buffer.from("signature")]);
}

describe("a bzImage", () => {
  beforeAll(() => ensurePackages(["lz4", "xz-utils"]));

  const size = Buffer.from(Uint32Array.of(KERNEL.length).buffer);
  const byTool = (program: string, ...args: string[]) => Buffer.concat([execFileSync(program, args, { input: KERNEL }), size]);

  test.for([
    ["gzip", () => gzipSync(KERNEL)],
    ["zstd", () => Buffer.concat([zstdCompressSync(KERNEL), size])],
    ["lz4", () => byTool("lz4", "-lc")],
    ["xz", () => byTool("xz", "-c", "--check=crc32")],
    ["lzma", () => byTool("xz", "-c", "--format=lzma")],
  ] as const)("packed with %s comes out as it went in", ([, pack]) => {
    expect(Buffer.from(unpackKernel(bzImage(pack()))).equals(KERNEL)).toBe(true);
  });

  test("is left without the zeroes at the end of a segment, as far as they are whole pages", () => {
    const long = Buffer.concat([KERNEL.subarray(0, CODE_OFFSET + DATA + 64), Buffer.alloc(3 * 4096), KERNEL.subarray(CODE_OFFSET + DATA + 64)]);
    long.writeBigUInt64LE(BigInt(segmentSize(KERNEL) + 3 * 4096), 64 + 32);
    const unpacked = unpackKernel(bzImage(gzipSync(long)));
    expect([segmentSize(unpacked), segmentSize(unpackKernel(bzImage(gzipSync(KERNEL)))), unpacked.length]).toEqual([4096, segmentSize(KERNEL), long.length]);
  });

  test("of another format, or that holds no ELF file, stays as it is", () => {
    for (const payload of [Buffer.from("BZh9........"), gzipSync("no kernel")]) {
      const image = bzImage(payload);
      expect(unpackKernel(image)).toBe(image);
    }
    expect(unpackKernel(KERNEL)).toBe(KERNEL);
  });
});

test("LZ4: several blocks, long literals, long and overlapping copies; what is damaged is refused", async () => {
  await ensurePackages(["lz4"]);
  const content = Buffer.concat([Buffer.alloc(9 << 20, "abc"), readFileSync(process.execPath).subarray(0, 1 << 20), Buffer.alloc(5000)]);
  const file = join(folder, "content");
  writeFileSync(file, content);
  const packed = execFileSync("lz4", ["-lc", file], { maxBuffer: 64 << 20 });
  expect(Buffer.from(unpackLz4(packed)).equals(content)).toBe(true);
  expect(() => unpackLz4(packed.subarray(0, -1))).toThrow("cut off");
  // A block of one literal and a copy from before the beginning.
  expect(() => unpackLz4(Uint8Array.of(2, 0x21, 0x4c, 0x18, 5, 0, 0, 0, 0x10, 0x61, 9, 0, 0))).toThrow("what is not there");
});
