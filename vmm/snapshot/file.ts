/**
 * A snapshot's file:
 *
 *   0      magic, format version, length of the state, offset and size of memory, CRC-32 of the state     (one page)
 *   4096   the state: JSON
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
export const FORMAT_VERSION = 2;
const PAGE = 4096;
const CHECKSUM_OFFSET = 40;
const MAX_STATE = 64 << 20;
const CHUNK = 64 << 10;

export interface SnapshotFile {
  readonly state: unknown;
  readonly memoryOffset: number;
  readonly memorySize: number;
}

/** As of zlib, which with Node's modules for it costs a restore more than this does. Against damage: who can write to the file owns the guest anyway. */
function crc32(content: Uint8Array): number {
  let sum = 0xffff_ffff;
  for (let i = 0; i < content.length; i++) sum = (CRC_TABLE[(sum ^ (content[i] ?? 0)) & 0xff] ?? 0) ^ (sum >>> 8);
  return ~sum >>> 0;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let word = byte;
  for (let bit = 0; bit < 8; bit++) word = (word & 1) === 0 ? word >>> 1 : (word >>> 1) ^ 0xedb8_8320;
  return word;
});

/** Uint8Arrays become {"base64": ...}. */
export function encodeState(state: unknown): Buffer {
  return Buffer.from(JSON.stringify(state, (_key, value: unknown) => (value instanceof Uint8Array ? { base64: Buffer.from(value).toString("base64") } : value)));
}

export function decodeState(content: Uint8Array): unknown {
  return JSON.parse(Buffer.from(content).toString(), (_key, value: unknown) => {
    const isBytes = typeof value === "object" && value !== null && typeof (value as { base64?: unknown }).base64 === "string";
    return isBytes ? new Uint8Array(Buffer.from((value as { base64: string }).base64, "base64")) : value;
  });
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
  header.writeUInt32LE(crc32(content), CHECKSUM_OFFSET);
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
  if (length > MAX_STATE) throw new Error(`a snapshot with ${length} bytes of state`);
  const content = readAt(fd, PAGE, length);
  if (crc32(content) !== header.readUInt32LE(CHECKSUM_OFFSET)) throw new Error("the snapshot is damaged: its checksum is wrong");
  return { state: decodeState(content), memoryOffset: Number(header.readBigUInt64LE(16)), memorySize: Number(header.readBigUInt64LE(24)) };
}

function readAt(fd: FdLike, offset: number, size: number): Buffer {
  const buffer = Buffer.alloc(size);
  if (readSync(fdNumber(fd), buffer, 0, size, offset) !== size) throw new Error("the snapshot ends too early");
  return buffer;
}
