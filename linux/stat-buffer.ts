/** statx(2) into a buffer that is used again and again: fields are read where the kernel wrote them. Source: statx(2). */
import { SYS } from "./arch.ts";
import { AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW } from "./abi/fcntl.ts";
import { STATX_BASIC, STATX_SIZE } from "./abi/statx.ts";
import type { CString } from "./c-string.ts";
import { fdNumber, type FdLike } from "./fd.ts";
import { permanentBlock } from "./memory.unsafe.ts";
import { syscall } from "./syscall.unsafe.ts";

const STATX_BTIME = 0x800;
const WORD = 0x1_0000_0000;
const empty = permanentBlock(8);

export class StatBuffer {
  readonly #block = permanentBlock(STATX_SIZE);
  readonly view: DataView = this.#block.view;

  /** What the descriptor itself refers to, O_PATH included. @returns 0 or the negative errno. */
  ofFd(fd: FdLike): number {
    return syscall(SYS.statx, fdNumber(fd), empty.address, AT_EMPTY_PATH, STATX_BASIC | STATX_BTIME, this.#block.address);
  }

  /** The entry `name` of a directory, a symbolic link not followed. @returns 0 or the negative errno. */
  ofEntry(dir: FdLike, name: CString): number {
    return syscall(SYS.statx, fdNumber(dir), name.address, AT_SYMLINK_NOFOLLOW, STATX_BASIC | STATX_BTIME, this.#block.address);
  }

  get mask(): number { return this.view.getUint32(0, true); }
  get blockSize(): number { return this.view.getUint32(0x04, true); }
  get nlink(): number { return this.view.getUint32(0x10, true); }
  get uid(): number { return this.view.getUint32(0x14, true); }
  get gid(): number { return this.view.getUint32(0x18, true); }
  get mode(): number { return this.view.getUint16(0x1c, true); }
  get inodeLow(): number { return this.view.getUint32(0x20, true); }
  get inodeHigh(): number { return this.view.getUint32(0x24, true); }
  get size(): number { return this.#wide(0x28); }
  get blocks(): number { return this.#wide(0x30); }
  get accessSeconds(): number { return this.#signed(0x40); }
  get accessNanoseconds(): number { return this.view.getUint32(0x48, true); }
  get birthSeconds(): number { return this.#signed(0x50); }
  get birthNanoseconds(): number { return this.view.getUint32(0x58, true); }
  get changeSeconds(): number { return this.#signed(0x60); }
  get changeNanoseconds(): number { return this.view.getUint32(0x68, true); }
  get modifySeconds(): number { return this.#signed(0x70); }
  get modifyNanoseconds(): number { return this.view.getUint32(0x78, true); }
  get rdevMajor(): number { return this.view.getUint32(0x80, true); }
  get rdevMinor(): number { return this.view.getUint32(0x84, true); }
  get deviceMajor(): number { return this.view.getUint32(0x88, true); }
  get deviceMinor(): number { return this.view.getUint32(0x8c, true); }

  #wide(offset: number): number {
    return this.view.getUint32(offset, true) + this.view.getUint32(offset + 4, true) * WORD;
  }

  #signed(offset: number): number {
    return this.view.getUint32(offset, true) + this.view.getInt32(offset + 4, true) * WORD;
  }
}
