/**
 * A snapshot's file:
 *
 *   0      magic, format version, length of the state, offset and size of memory, checksum of the state     (one page)
 *   4096   the state: the length of its JSON in four bytes, that, and the bytes that it refers to by {"bytes": [offset, length]}
 *   ...    memory as it was, holes where it was all zeroes; page-aligned, so that it can be mapped
 *
 * The state's checksum is verified at every restore. Memory is mapped copy-on-write, not read, so its checksum would cost more than the
 * restore; whoever can write to the file owns the guest.
 */
import { ftruncateSync, readSync, writeSync } from "node:fs";
import type { FdLike } from "../../linux/fd.ts";
import { fdNumber } from "../../linux/fd.ts";
import type { GuestMemory } from "../memory.ts";

const MAGIC = "TSSBSNAP";
/** Raise it with every change to the state that an older restore would misunderstand. */
export const FORMAT_VERSION = 3;
const PAGE = 4096;
const CHECKSUM_OFFSET = 40;
const WORD = 4;
const MAX_STATE = 64 << 20;
const CHUNK = 64 << 10;

export interface SnapshotFile {
  readonly state: unknown;
  readonly memoryOffset: number;
  readonly memorySize: number;
}

/**
 * Over words, not bytes, and without a table: at a restore nothing is compiled yet, and a CRC took a twentieth of it. Each step can be undone, so that one
 * changed word is always noticed. Against damage: who can write to the file owns the guest anyway.
 */
function checksum(content: Uint8Array): number {
  const words = new Uint32Array(content.buffer, content.byteOffset, content.length / WORD);
  let sum = content.length;
  for (let i = 0; i < words.length; i++) sum = Math.imul((sum << 13) | (sum >>> 19), 0x9e37_79b1) ^ (words[i] ?? 0);
  return sum >>> 0;
}

const padded = (size: number) => Math.ceil(size / WORD) * WORD;

/** JSON, and its Uint8Arrays behind it as they are. @returns whole words */
export function encodeState(state: unknown): Uint8Array<ArrayBuffer> {
  const blobs: Uint8Array[] = [];
  let end = 0;
  const json = Buffer.from(JSON.stringify(state, (_key, value: unknown) => {
    if (!(value instanceof Uint8Array)) return value;
    blobs.push(value);
    end += value.length;
    return { bytes: [end - value.length, value.length] };
  }));
  const content = new Uint8Array(padded(WORD + json.length + end));
  new DataView(content.buffer).setUint32(0, json.length, true);
  content.set(json, WORD);
  let at = WORD + json.length;
  for (const blob of blobs) {
    content.set(blob, at);
    at += blob.length;
  }
  return content;
}

/** @param content what `encodeState` made. The bytes in what is returned are parts of it. @throws Error where it is something else */
export function decodeState(content: Uint8Array): unknown {
  const length = new DataView(content.buffer, content.byteOffset).getUint32(0, true);
  const blobs = new Uint8Array(content.buffer, content.byteOffset).subarray(WORD + length);
  return withBytes(JSON.parse(Buffer.from(content.subarray(WORD, WORD + length)).toString()), blobs);
}

/** Not by JSON.parse's own reviver, which is called for each number as well. */
function withBytes(value: unknown, blobs: Uint8Array): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((element) => withBytes(element, blobs));
  const { bytes } = value as { bytes?: unknown };
  if (Array.isArray(bytes)) return blobs.subarray(Number(bytes[0]), Number(bytes[0]) + Number(bytes[1]));
  for (const [key, member] of Object.entries(value)) if (typeof member === "object") (value as Record<string, unknown>)[key] = withBytes(member, blobs);
  return value;
}

/** Writes a snapshot into an empty file. No vCPU may run meanwhile. */
export function writeSnapshot(fd: FdLike, state: unknown, memory: GuestMemory): void {
  const target = fdNumber(fd);
  const content = encodeState(state);
  const memoryOffset = Math.ceil((PAGE + content.length) / PAGE) * PAGE;
  const header = Buffer.alloc(PAGE);
  header.write(MAGIC, 0, "latin1");
  header.writeUInt32LE(FORMAT_VERSION, 8);
  header.writeUInt32LE(content.length, 12);
  header.writeBigUInt64LE(BigInt(memoryOffset), 16);
  header.writeBigUInt64LE(BigInt(memory.size), 24);
  header.writeUInt32LE(checksum(content), CHECKSUM_OFFSET);
  ftruncateSync(target, memoryOffset + memory.size);
  for (const region of memory.regions) {
    for (const part of memory.usedParts(region)) {
      const at = part.offset;
      writeSparse(target, region.block.bytes.subarray(at, at + part.size), memoryOffset + region.offset + at);
    }
  }
  writeAllAt(target, content, PAGE);
  // Last: a file without it is no snapshot.
  writeAllAt(target, header, 0);
}

/** Leaves a hole for every chunk that is all zeroes. */
function writeSparse(target: number, bytes: Uint8Array, targetOffset: number): void {
  const zeroes = Buffer.alloc(CHUNK);
  for (let at = 0; at < bytes.length; at += CHUNK) {
    const chunk = bytes.subarray(at, at + CHUNK);
    if (zeroes.compare(chunk, 0, chunk.length, 0, chunk.length) !== 0) writeAllAt(target, chunk, targetOffset + at);
  }
}

function writeAllAt(fd: number, content: Uint8Array, offset: number): void {
  for (let done = 0; done < content.length; ) done += writeSync(fd, content, done, content.length - done, offset + done);
}

/** @throws Error in words where it is no snapshot, of another version, or damaged. */
export function readSnapshot(fd: FdLike): SnapshotFile {
  const header = readAt(fd, 0, PAGE);
  if (header.toString("latin1", 0, MAGIC.length) !== MAGIC) throw new Error("the file is no snapshot, or one that was not finished");
  const version = header.readUInt32LE(8);
  if (version !== FORMAT_VERSION) throw new Error(`a snapshot of format ${version}; this program reads ${FORMAT_VERSION}`);
  const length = header.readUInt32LE(12);
  if (length > MAX_STATE || length % WORD !== 0) throw new Error(`a snapshot with ${length} bytes of state`);
  const content = readAt(fd, PAGE, length);
  if (checksum(content) !== header.readUInt32LE(CHECKSUM_OFFSET)) throw new Error("the snapshot is damaged: its checksum is wrong");
  return { state: decodeState(content), memoryOffset: Number(header.readBigUInt64LE(16)), memorySize: Number(header.readBigUInt64LE(24)) };
}

function readAt(fd: FdLike, offset: number, size: number): Buffer {
  // Of its own, so that it begins at a word.
  const buffer = Buffer.from(new ArrayBuffer(size));
  if (readSync(fdNumber(fd), buffer, 0, size, offset) !== size) throw new Error("the snapshot ends too early");
  return buffer;
}
