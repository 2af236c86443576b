/** struct stat of what is no file. Source: Linux arch/x86/include/uapi/asm/stat.h. */
import type { Block } from "../../../linux/memory.unsafe.ts";

const SIZE = 144;
const OFFSET = { dev: 0, ino: 8, nlink: 16, mode: 24, blockSize: 56 } as const;
/** A device number that no file system of the guest's has. */
const DEVICE = 0xff;

let inodes = 0;
/** A number for one. */
export const nextInode = (): number => ++inodes;

/** Owned by the guest's root. @returns 0. */
export function putStat({ bytes, view }: Block, { mode, inode }: { readonly mode: number; readonly inode: number }): number {
  bytes.fill(0, 0, SIZE);
  view.setUint32(OFFSET.dev, DEVICE, true);
  view.setUint32(OFFSET.ino, inode, true);
  view.setUint32(OFFSET.nlink, 1, true);
  view.setUint32(OFFSET.mode, mode, true);
  view.setUint32(OFFSET.blockSize, 4096, true);
  return 0;
}
