// The snapshot's file: what comes back, what is refused, and that a copy does not reach the original.
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { createGuestMemory, restoreGuestMemory } from "../../../vmm/memory.ts";
import { decodeState, encodeState, readSnapshot, writeSnapshot } from "../../../vmm/snapshot/file.ts";

const folder = mkdtempSync(join(tmpdir(), "tssandbox-vmm-snapshot-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SIZE = 16 << 20;
const state = { numbers: [1, 2], bytes: Uint8Array.of(0, 255), nested: { text: "x" } };

function saved(name: string): string {
  const path = join(folder, name);
  const memory = createGuestMemory(SIZE);
  memory.write(5 << 20, Buffer.from("content"));
  memory.write(SIZE - 1, Uint8Array.of(7));
  const fd = openSync(path, "wx");
  writeSnapshot(fd, state, memory);
  closeSync(fd);
  return path;
}

function read(path: string) {
  const fd = openSync(path, "r");
  try {
    return readSnapshot(fd);
  } finally {
    closeSync(fd);
  }
}

test("state and memory come back; zeroes take no room", () => {
  const path = saved("good");
  const snapshot = read(path);
  expect(snapshot.state).toEqual(state);
  const memory = restoreGuestMemory(openSync(path, "r"), snapshot.memorySize, snapshot.memoryOffset);
  expect(Buffer.from(memory.slice(5 << 20, 8) ?? []).toString()).toBe("content\0");
  expect(memory.slice(SIZE - 1, 1)?.[0]).toBe(7);
  expect(statSync(path).blocks * 512).toBeLessThan(SIZE / 8);
});

test("what one copy writes, the file and the next copy do not have", () => {
  const path = saved("shared");
  const { memorySize, memoryOffset } = read(path);
  const [first, second] = [1, 2].map(() => restoreGuestMemory(openSync(path, "r"), memorySize, memoryOffset));
  const before = readFileSync(path);
  first?.write(5 << 20, Buffer.from("changed"));
  expect(Buffer.from(second?.slice(5 << 20, 7) ?? []).toString()).toBe("content");
  expect(readFileSync(path).equals(before)).toBe(true);
});

test.for([
  ["a bit of the state", 4100, "the snapshot is damaged: its checksum is wrong"],
  ["a bit of the checksum", 41, "the snapshot is damaged: its checksum is wrong"],
  ["a bit of the magic", 0, "the file is no snapshot, or one that was not finished"],
  ["a bit of the version", 8, /^a snapshot of format \d+; this program reads 3$/],
  ["the length of the state", 15, /^a snapshot with \d+ bytes of state$/],
] as const)("%s is noticed", ([name, offset, message]) => {
  const path = saved(name.replaceAll(" ", "-"));
  const content = readFileSync(path);
  content[offset] = (content[offset] ?? 0) ^ 0x40;
  writeFileSync(path, content);
  expect(() => read(path)).toThrow(message);
});

test("a file that ends too early is refused", () => {
  const path = saved("short");
  writeFileSync(path, readFileSync(path).subarray(0, 4110));
  expect(() => read(path)).toThrow("ends too early");
  writeFileSync(path, "");
  expect(() => read(path)).toThrow("ends too early");
});

test("bytes in a state keep their values on the way", () => {
  expect(decodeState(encodeState(state))).toEqual(state);
});

test("memory of huge pages that the pool has not is refused when it is asked for, not when it is used", () => {
  expect(() => createGuestMemory(2 ** 40, { hugePages: true })).toThrow(/huge pages of 2 MiB are to be free/);
});
