/**
 * The contents of open files, on a hot path: into and out of blocks, at offsets; results are counts or negative errnos. A range that is not
 * within its block is a bug of ours and throws. Sources: the man page named like each function.
 */
import { SYS } from "./arch.ts";
import { fdNumber, type FdLike } from "./fd.ts";
import { permanentBlock, type Addr, type Block } from "./memory.unsafe.ts";
import { retrying, syscall } from "./syscall.unsafe.ts";

const offsets = permanentBlock(16);
const STATFS_SIZE = 120;
const WORD = 0x1_0000_0000;

function within(block: Block, offset: number, size: number): Addr {
  if (offset < 0 || size < 0 || offset + size > block.size) throw new RangeError(`${offset}+${size} is not within ${block.size} bytes`);
  return block.address + offset;
}

/** read(2) without repeating it after a signal. */
export function tryRead(fd: FdLike, into: Block, offset: number, size: number): number {
  return syscall(SYS.read, fdNumber(fd), within(into, offset, size), size);
}

/** write(2) without repeating it after a signal. */
export function tryWrite(fd: FdLike, from: Block, offset: number, size: number): number {
  return syscall(SYS.write, fdNumber(fd), within(from, offset, size), size);
}

export function tryReadAt(fd: FdLike, into: Block, offset: number, size: number, position: number): number {
  return retrying(SYS.pread64, fdNumber(fd), within(into, offset, size), size, position);
}

export function tryWriteAt(fd: FdLike, from: Block, offset: number, size: number, position: number): number {
  return retrying(SYS.pwrite64, fdNumber(fd), within(from, offset, size), size, position);
}

export function tryListEntries(fd: FdLike, into: Block, offset: number, size: number): number {
  return syscall(SYS.getdents64, fdNumber(fd), within(into, offset, size), size);
}

/** lseek(2); `position` as two halves, since a directory's is any 64-bit value. @returns 0 or the negative errno. */
export function trySeekDirectory(fd: FdLike, low: number, high: number): number {
  const position = high === 0 ? low : BigInt.asIntN(64, (BigInt(high) << 32n) | BigInt(low));
  // The result of one beyond 2^53 comes as a bigint.
  return Math.min(Number(syscall(SYS.lseek, fdNumber(fd), position, 0)), 0);
}

/** @param whence SEEK_DATA (3), SEEK_HOLE (4) or another of lseek(2). */
export function trySeek(fd: FdLike, position: number, whence: number): number {
  return syscall(SYS.lseek, fdNumber(fd), position, whence);
}

export function tryTruncate(fd: FdLike, size: number): number {
  return retrying(SYS.ftruncate, fdNumber(fd), size);
}

/** @param dataOnly fdatasync(2). */
export function trySync(fd: FdLike, dataOnly: boolean): number {
  return retrying(dataOnly ? SYS.fdatasync : SYS.fsync, fdNumber(fd));
}

export function trySyncFileSystem(fd: FdLike): number {
  return retrying(SYS.syncfs, fdNumber(fd));
}

export function tryAllocate(fd: FdLike, mode: number, position: number, size: number): number {
  return retrying(SYS.fallocate, fdNumber(fd), mode, position, size);
}

export function tryCopyRange(from: FdLike, fromPosition: number, to: FdLike, toPosition: number, size: number): number {
  putOffset(0, fromPosition);
  putOffset(8, toPosition);
  return retrying(SYS.copy_file_range, fdNumber(from), offsets.address, fdNumber(to), offsets.address + 8, size, 0);
}

function putOffset(at: number, position: number): void {
  offsets.view.setUint32(at, position % WORD, true);
  offsets.view.setUint32(at + 4, Math.floor(position / WORD), true);
}

/** struct statfs; fields by offset, see statfs(2). */
export class FileSystemStat {
  readonly #block = permanentBlock(STATFS_SIZE);

  of(fd: FdLike): number {
    return syscall(SYS.fstatfs, fdNumber(fd), this.#block.address);
  }

  get blockSize(): number { return this.#field(8); }
  get blocks(): number { return this.#field(16); }
  get blocksFree(): number { return this.#field(24); }
  get blocksAvailable(): number { return this.#field(32); }
  get files(): number { return this.#field(40); }
  get filesFree(): number { return this.#field(48); }
  get nameLength(): number { return this.#field(64); }
  get fragmentSize(): number { return this.#field(72); }

  #field(offset: number): number {
    return this.#block.view.getUint32(offset, true) + this.#block.view.getUint32(offset + 4, true) * WORD;
  }
}

export function tryClose(fd: number): number {
  return syscall(SYS.close, fd);
}
