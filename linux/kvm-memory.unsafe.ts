/** Memory that is shared: with a guest, with KVM, or between the threads of this process. Source: mmap(2). */
import { SYS } from "./arch.ts";
import { check } from "./errors.ts";
import { fdNumber, type FdLike } from "./fd.ts";
import type { Block } from "./memory.unsafe.ts";
import { rawView, syscall } from "./syscall.unsafe.ts";

const PROT_READ = 1;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 0x1;
const MAP_PRIVATE = 0x2;
const MAP_NORESERVE = 0x4000;

function blockAt(address: number, size: number): Block {
  // SAFETY: the mapping is never undone: it lives as long as the process, which is one virtual machine.
  const buffer = rawView(address, size);
  return { address, size, bytes: new Uint8Array(buffer), view: new DataView(buffer) };
}

/** How a file's content is seen: shared with everybody, copied when it is written to, or read only. */
export type Sharing = "shared" | "copy-on-write" | "read-only";

const MODES: Record<Sharing, readonly [protection: number, flags: number]> = {
  shared: [PROT_READ_WRITE, MAP_SHARED],
  "copy-on-write": [PROT_READ_WRITE, MAP_PRIVATE | MAP_NORESERVE],
  "read-only": [PROT_READ, MAP_SHARED],
};

/** Maps `size` bytes of a file for the life of the process. @param offset a multiple of the page size. @throws SysError */
export function mapForever(fd: FdLike, size: number, sharing: Sharing = "shared", offset = 0): Block {
  const [protection, flags] = MODES[sharing];
  return blockAt(check(syscall(SYS.mmap, 0, size, protection, flags, fdNumber(fd), offset), "mmap"), size);
}

/** What another thread of this process has mapped with one of the functions above; threads share addresses, not objects. */
export function mappedElsewhere(address: number, size: number): Block {
  return blockAt(address, size);
}

const MADV_REMOVE = 9;

/** Frees the memory behind whole pages of a shared mapping of a memfd: a hole, which reads as zeroes. Source: madvise(2). */
export function discardPages(block: Block, offset: number, size: number): void {
  if (offset < 0 || size < 0 || offset + size > block.size) throw new RangeError("pages outside of their block");
  syscall(SYS.madvise, block.address + offset, size, MADV_REMOVE);
}

const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const ENXIO = 6;

/** The next range of a file that is no hole, from `offset` on. Source: lseek(2). @returns undefined where only a hole follows. */
export function nextData(fd: FdLike, offset: number): { readonly start: number; readonly end: number } | undefined {
  const start = syscall(SYS.lseek, fdNumber(fd), offset, SEEK_DATA);
  if (start === -ENXIO) return undefined;
  return { start: check(start, "lseek"), end: check(syscall(SYS.lseek, fdNumber(fd), start, SEEK_HOLE), "lseek") };
}
