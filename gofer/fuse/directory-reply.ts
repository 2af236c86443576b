/** The entries of READDIR and READDIRPLUS. Source: struct fuse_dirent, struct fuse_direntplus. */
import type { Block } from "../../linux/memory.unsafe.ts";
import { DIRENT, ENTRY_OUT } from "./abi.ts";
import { Entry, type DirectorySink } from "./file-system.ts";
import type { Reply } from "./reply.ts";

const NAME_MAX = 255;

export class DirectoryReply implements DirectorySink {
  plus = false;
  readonly entry = new Entry();
  readonly #reply: Reply;
  #size = 0;
  #limit = 0;

  constructor(reply: Reply) {
    this.#reply = reply;
  }

  /** @param limit bytes that the caller takes. */
  begin(plus: boolean, limit: number): void {
    this.plus = plus;
    this.#size = 0;
    this.#limit = Math.min(limit, this.#reply.room);
  }

  /** Bytes so far. */
  get size(): number {
    return this.#size;
  }

  #lengthOf(nameLength: number): number {
    return (this.plus ? ENTRY_OUT.size : 0) + ((DIRENT.name + nameLength + 7) & ~7);
  }

  fits(nameLength: number): boolean {
    return this.#size + this.#lengthOf(nameLength) <= this.#limit;
  }

  add(inodeLow: number, inodeHigh: number, type: number, offsetLow: number, offsetHigh: number, from: Block, at: number, length: number): void {
    const start = this.#begin(inodeLow, inodeHigh, type, offsetLow, offsetHigh, length);
    this.#reply.block.bytes.set(from.bytes.subarray(at, at + length), this.#reply.position(start + DIRENT.name));
  }

  addText(inode: number, type: number, offset: number, name: string): void {
    const bytes = Buffer.from(name);
    const start = this.#begin(inode % 0x1_0000_0000, Math.floor(inode / 0x1_0000_0000), type, offset, 0, bytes.length);
    this.#reply.block.bytes.set(bytes, this.#reply.position(start + DIRENT.name));
  }

  /** @returns where the dirent starts. */
  #begin(inodeLow: number, inodeHigh: number, type: number, offsetLow: number, offsetHigh: number, length: number): number {
    if (length > NAME_MAX || !this.fits(length)) throw new RangeError("does not fit: ask first");
    const start = this.#size + (this.plus ? this.#reply.entry(this.#size, this.entry) : 0);
    const end = this.#size + this.#lengthOf(length);
    this.#reply.zero(end - 8, 8);
    this.#reply.u32(start + DIRENT.ino, inodeLow);
    this.#reply.u32(start + DIRENT.ino + 4, inodeHigh);
    this.#reply.u32(start + DIRENT.off, offsetLow);
    this.#reply.u32(start + DIRENT.off + 4, offsetHigh);
    this.#reply.u32(start + DIRENT.namelen, length);
    this.#reply.u32(start + DIRENT.type, type);
    this.#size = end;
    return start;
  }
}
