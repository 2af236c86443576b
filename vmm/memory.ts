/**
 * Guest memory as the devices see it. Every address and length that comes from the guest is checked here, against what is mapped; whoever
 * reads a field twice may get two values, because the guest runs meanwhile: read once, check, use the copy.
 */
import type { FdLike } from "../linux/fd.ts";
import { discardPages, mapForever, mapGuestForever, mapHugeForever } from "../linux/kvm-memory.unsafe.ts";
import type { Block } from "../linux/memory.unsafe.ts";
import { growthStart, memoryRanges, SECTION } from "./layout.ts";

export interface MemoryRegion {
  /** Guest-physical, in bytes. */
  readonly start: number;
  readonly size: number;
  /** The same memory in this process. */
  readonly block: Block;
  /** Where it begins, when all of memory is one sequence: in a snapshot. */
  readonly offset: number;
}

/** Memory that a running guest is given, and gives back (devices/mem.ts). */
export interface Growth {
  readonly region: MemoryRegion;
  /** For each block: 1 where the guest was given it. */
  readonly plugged: Uint8Array;
}

/** Bytes of a block: of the huge pages that memory is made of. */
export const GROWTH_BLOCK = 2 << 20;

export class GuestMemory {
  readonly regions: readonly MemoryRegion[];
  readonly growth: Growth | undefined;
  /** Of all regions. */
  readonly size: number;
  /** What the guest boots with. */
  readonly bootSize: number;

  /** @param growth a region behind the others. */
  constructor(regions: readonly MemoryRegion[], growth?: Growth) {
    this.regions = growth === undefined ? regions : [...regions, growth.region];
    this.growth = growth;
    this.bootSize = regions.reduce((sum, region) => sum + region.size, 0);
    this.size = this.bootSize + (growth?.region.size ?? 0);
  }

  /**
   * The bytes [address, address + length), or undefined where any of them is not guest memory.
   * @param address, length: any number a guest can make, up to 2^64; above 2^53 they are inexact, and outside.
   */
  slice(address: number, length: number): Uint8Array | undefined {
    for (const { start, size, block } of this.regions) {
      const offset = address - start;
      if (offset >= 0 && offset < size && length >= 0 && length <= size - offset) return block.bytes.subarray(offset, offset + length);
    }
    return undefined;
  }

  view(address: number, length: number): DataView | undefined {
    const bytes = this.slice(address, length);
    return bytes === undefined ? undefined : new DataView(bytes.buffer, bytes.byteOffset, length);
  }

  /** The guest-physical address of a part that `slice` gave. */
  addressOf(part: Uint8Array): number | undefined {
    const region = this.regions.find(({ block }) => block.bytes.buffer === part.buffer);
    return region === undefined ? undefined : region.start + (part.byteOffset - region.block.bytes.byteOffset);
  }

  /** Gives whole pages back to the host; see `discardPages` for how they read then. What is not memory is left alone. */
  discard(address: number, size: number): void {
    for (const { start, size: regionSize, block } of this.regions) {
      const offset = address - start;
      if (offset >= 0 && offset < regionSize && size <= regionSize - offset) discardPages(block, offset, size);
    }
  }

  /** Which parts of a region can have content: all of it, but for memory that the guest was not given. */
  usedParts({ start, size }: MemoryRegion): readonly { readonly offset: number; readonly size: number }[] {
    if (this.growth?.region.start !== start) return [{ offset: 0, size }];
    return [...this.growth.plugged].flatMap((plugged, i) => (plugged === 0 ? [] : [{ offset: i * GROWTH_BLOCK, size: GROWTH_BLOCK }]));
  }

  /** For what we put there ourselves. @throws RangeError outside of memory. */
  write(address: number, content: Uint8Array): void {
    const target = this.slice(address, content.length);
    if (target === undefined) throw new RangeError(`${content.length} bytes at 0x${address.toString(16)} are outside of guest memory`);
    target.set(content);
  }
}

/** An address or a length of 64 bits from its halves. Exact below 2^53, far outside of any memory above. */
export function join64(low: number, high: number): number {
  return (high >>> 0) * 2 ** 32 + (low >>> 0);
}

export interface MemoryOptions {
  /** From the host's pool: all of it, or the call fails. */
  readonly hugePages?: boolean;
  /** Bytes that the guest may be given while it runs; a multiple of a section. */
  readonly growth?: number;
}

/** New memory of `size` bytes, a multiple of 2 MiB. @throws SysError */
export function createGuestMemory(size: number, { hugePages = false, growth = 0 }: MemoryOptions = {}): GuestMemory {
  if (size <= 0 || size % (2 << 20) !== 0) throw new RangeError(`guest memory of ${size} bytes: not a multiple of 2 MiB`);
  return layOut(size, growth, (length) => (hugePages ? mapHugeForever(length) : mapGuestForever(length)));
}

/** The content of a file from `start` on as guest memory. What the guest writes is its own copy: the file stays as it is. */
export function restoreGuestMemory(file: FdLike, size: number, start: number, growth = 0): GuestMemory {
  return layOut(size, growth, (length, offset) => mapForever(file, length, "copy-on-write", start + offset));
}

function layOut(size: number, growth: number, map: (length: number, offset: number) => Block): GuestMemory {
  let next = 0;
  const region = (start: number, length: number): MemoryRegion => {
    const offset = next;
    next += length;
    return { start, size: length, block: map(length, offset), offset };
  };
  const regions = memoryRanges(size).map((range) => region(range.start, range.size));
  if (growth % SECTION !== 0) throw new RangeError(`room for ${growth} bytes more: not a multiple of ${SECTION}`);
  return new GuestMemory(regions, growth === 0 ? undefined : { region: region(growthStart(size), growth), plugged: new Uint8Array(growth / GROWTH_BLOCK) });
}
