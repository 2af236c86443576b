/** A reply, written field by field. Offsets are from the end of the header. */
import type { Block } from "../../linux/memory.unsafe.ts";
import { ATTR, ATTR_OUT, ENTRY_OUT, OPEN_OUT, FOPEN, OUT_HEADER } from "./abi.ts";
import type { Attributes, AttributesReply, Entry, Opened } from "./file-system.ts";

const WORD = 0x1_0000_0000;

export class Reply {
  readonly block: Block;
  #capacity = 0;

  constructor(block: Block) {
    this.block = block;
  }

  /** @param capacity how long the whole reply may be. */
  begin(capacity: number): void {
    this.#capacity = Math.min(capacity, this.block.size);
  }

  /** Bytes that fit behind the header. */
  get room(): number {
    return this.#capacity - OUT_HEADER.size;
  }

  position(offset: number): number {
    return OUT_HEADER.size + offset;
  }

  /** The header. @returns the whole length. */
  finish(uniqueLow: number, uniqueHigh: number, error: number, payload: number): number {
    const { view } = this.block;
    const length = OUT_HEADER.size + payload;
    view.setUint32(OUT_HEADER.len, length, true);
    view.setInt32(OUT_HEADER.error, error, true);
    view.setUint32(OUT_HEADER.unique, uniqueLow, true);
    view.setUint32(OUT_HEADER.unique + 4, uniqueHigh, true);
    return length;
  }

  u16(offset: number, value: number): void {
    this.block.view.setUint16(OUT_HEADER.size + offset, value, true);
  }

  u32(offset: number, value: number): void {
    this.block.view.setUint32(OUT_HEADER.size + offset, value, true);
  }

  /** 64 bits; negative numbers as two's complement. */
  wide(offset: number, value: number): void {
    const high = Math.floor(value / WORD);
    this.block.view.setUint32(OUT_HEADER.size + offset, value - high * WORD, true);
    this.block.view.setInt32(OUT_HEADER.size + offset + 4, high, true);
  }

  zero(offset: number, size: number): void {
    this.block.bytes.fill(0, OUT_HEADER.size + offset, OUT_HEADER.size + offset + size);
  }

  attributes(offset: number, from: Attributes): void {
    this.u32(offset + ATTR.ino, from.inodeLow);
    this.u32(offset + ATTR.ino + 4, from.inodeHigh);
    this.wide(offset + ATTR.size_, from.size);
    this.wide(offset + ATTR.blocks, from.blocks);
    this.wide(offset + ATTR.atime, from.accessSeconds);
    this.wide(offset + ATTR.mtime, from.modifySeconds);
    this.wide(offset + ATTR.ctime, from.changeSeconds);
    this.u32(offset + ATTR.atimensec, from.accessNanoseconds);
    this.u32(offset + ATTR.mtimensec, from.modifyNanoseconds);
    this.u32(offset + ATTR.ctimensec, from.changeNanoseconds);
    this.u32(offset + ATTR.mode, from.mode);
    this.u32(offset + ATTR.nlink, from.nlink);
    this.u32(offset + ATTR.uid, from.uid);
    this.u32(offset + ATTR.gid, from.gid);
    this.u32(offset + ATTR.rdev, encodeDevice(from.rdevMajor, from.rdevMinor));
    this.u32(offset + ATTR.blksize, from.blockSize);
    this.u32(offset + ATTR.flags, 0);
  }

  /** @returns the size. */
  attributesReply(from: AttributesReply): number {
    this.wide(ATTR_OUT.attr_valid, Math.floor(from.validMs / 1000));
    this.u32(ATTR_OUT.attr_valid_nsec, (from.validMs % 1000) * 1_000_000);
    this.u32(ATTR_OUT.attr_valid_nsec + 4, 0);
    this.attributes(ATTR_OUT.attr, from.attributes);
    return ATTR_OUT.size;
  }

  /** @returns the size. */
  entry(offset: number, from: Entry): number {
    this.wide(offset + ENTRY_OUT.nodeid, from.node);
    this.wide(offset + ENTRY_OUT.generation, from.generation);
    this.wide(offset + ENTRY_OUT.entry_valid, Math.floor(from.entryMs / 1000));
    this.wide(offset + ENTRY_OUT.attr_valid, Math.floor(from.attributesMs / 1000));
    this.u32(offset + ENTRY_OUT.entry_valid_nsec, (from.entryMs % 1000) * 1_000_000);
    this.u32(offset + ENTRY_OUT.attr_valid_nsec, (from.attributesMs % 1000) * 1_000_000);
    this.attributes(offset + ENTRY_OUT.attr, from.attributes);
    return ENTRY_OUT.size;
  }

  /** @returns the size. */
  opened(offset: number, from: Opened): number {
    this.wide(offset + OPEN_OUT.fh, from.handle);
    const flags = (from.keepCache ? FOPEN.KEEP_CACHE : 0) | (from.cacheDirectory ? FOPEN.CACHE_DIR : 0) | (from.directIo ? FOPEN.DIRECT_IO : 0);
    this.u32(offset + OPEN_OUT.open_flags, flags);
    this.u32(offset + OPEN_OUT.backing_id, 0);
    return OPEN_OUT.size;
  }
}

/** new_encode_dev() of Linux include/linux/kdev_t.h. */
export function encodeDevice(major: number, minor: number): number {
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}
