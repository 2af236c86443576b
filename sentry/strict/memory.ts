/** Guest memory, of which nothing is looked at twice. */
import { EFAULT, ENAMETOOLONG, ESRCH } from "../../linux/abi/errno.ts";
import { permanentBlock, type Block } from "../../linux/memory.unsafe.ts";
import { readProcess } from "../../linux/process-vm.ts";
import { copyIn, copyOut } from "../memory.ts";
import type { Trapped } from "./trapped.ts";

export { copyIn, copyOut };

/** What is moved at once. */
export const BUFFER_SIZE = 1 << 20;
/** For data on their way. What lies in it holds until the next call. */
export const buffer: Block = permanentBlock(BUFFER_SIZE);
/** For structures. */
export const small: Block = permanentBlock(4096);

const PAGE = 4096;

/**
 * Copies a NUL-terminated string to `block`, from `offset` on.
 * @returns its length without the NUL, -EFAULT, -ESRCH, or -ENAMETOOLONG where there is no NUL among `limit` bytes.
 */
export function copyString(call: Trapped, address: number, block: Block, offset: number, limit: number): number {
  const length = peekString(call, address, block, offset, limit);
  return length < 0 || call.isWaiting() ? length : -ESRCH;
}

/**
 * The same for a call that changes nothing and whose answer is either its result alone or goes through `copyOut`: if the caller has gone and its memory was
 * somebody else's, the answer reaches nobody.
 */
export function peekString(call: Trapped, address: number, block: Block, offset: number, limit: number): number {
  for (let length = 0; length < limit; ) {
    const size = Math.min(PAGE - ((address + length) % PAGE), limit - length);
    if (readProcess(call.pid, address + length, block, size, offset + length) !== size) return -EFAULT;
    const nul = block.bytes.indexOf(0, offset + length);
    if (nul >= 0 && nul < offset + length + size) return nul - offset;
    length += size;
  }
  return -ENAMETOOLONG;
}

/** The block from `offset` on; its view is that of the whole. */
export function part(block: Block, offset: number): Block {
  return offset === 0 ? block : { address: block.address + offset, size: block.size - offset, bytes: block.bytes.subarray(offset), view: block.view };
}

/** An array of struct iovec. @returns their addresses and sizes, or the negative errno. */
export function copyVectors(call: Trapped, address: number, count: number): (readonly [address: number, size: number])[] | number {
  const IOV_MAX = 1024;
  const EINVAL = 22;
  if (count < 0 || count > IOV_MAX) return -EINVAL;
  const result = count === 0 ? 0 : copyIn(call, address, buffer, count * 16);
  if (result < 0) return result;
  return Array.from({ length: count }, (_, i) => [wide(buffer, i * 16), wide(buffer, i * 16 + 8)] as const);
}

/** Copies what the vectors hold, from `from` bytes on, to the start of `buffer`. @param most bytes. @returns how much, or the negative errno. */
export function gather(call: Trapped, vectors: readonly (readonly [address: number, size: number])[], from: number, most = BUFFER_SIZE): number {
  let count = 0;
  let skip = from;
  for (const [address, size] of vectors) {
    const taken = Math.min(size - skip, most - count);
    if (taken > 0) {
      const copied = copyIn(call, address + skip, part(buffer, count), taken);
      if (copied < 0) return count > 0 ? count : copied;
      count += taken;
    }
    skip = Math.max(skip - size, 0);
  }
  return count;
}

/** 64 bits; exact below 2^53. */
export const wide = ({ view }: Block, offset: number): number => view.getUint32(offset, true) + view.getUint32(offset + 4, true) * 0x1_0000_0000;

/** The same, signed. */
export const signed = ({ view }: Block, offset: number): number => Number(view.getBigInt64(offset, true));
