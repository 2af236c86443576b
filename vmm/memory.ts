/**
 * Guest memory as the devices see it. Every address and length that comes from the guest is checked here, against what is mapped; whoever
 * reads a field twice may get two values, because the guest runs meanwhile: read once, check, use the copy.
 */
import type { FdLike } from "../linux/fd.ts";
import { discardPages, mapForever, mapGuestForever, mapHugeForever } from "../linux/kvm-memory.unsafe.ts";
import type { Block } from "../linux/memory.unsafe.ts";
import { memoryRanges } from "./layout.ts";

export interface MemoryRegion {
  /** Guest-physical, in bytes. */
  readonly start: number;
  readonly size: number;
  /** The same memory in this process. */
  readonly block: Block;
  /** Where it begins, when all of memory is one sequence: in a snapshot. */
  readonly offset: number;
}

export class GuestMemory {
  readonly regions: readonly MemoryRegion[];
  readonly size: number;

  constructor(regions: readonly MemoryRegion[]) {
    this.regions = regions;
    this.size = regions.reduce((sum, region) => sum + region.size, 0);
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

/**
 * New memory of `size` bytes, a multiple of 2 MiB. @param hugePages from the host's pool: all of it, or the call fails.
 * @throws SysError
 */
export function createGuestMemory(size: number, hugePages = false): GuestMemory {
  if (size <= 0 || size % (2 << 20) !== 0) throw new RangeError(`guest memory of ${size} bytes: not a multiple of 2 MiB`);
  return layOut(size, (length) => (hugePages ? mapHugeForever(length) : mapGuestForever(length)));
}

/** The content of a file from `start` on as guest memory. What the guest writes is its own copy: the file stays as it is. */
export function restoreGuestMemory(file: FdLike, size: number, start: number): GuestMemory {
  return layOut(size, (length, offset) => mapForever(file, length, "copy-on-write", start + offset));
}

function layOut(size: number, map: (length: number, offset: number) => Block): GuestMemory {
  let next = 0;
  return new GuestMemory(memoryRanges(size).map(({ start, size: length }) => {
    const offset = next;
    next += length;
    return { start, size: length, block: map(length, offset), offset };
  }));
}
