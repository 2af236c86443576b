/** A request as it lies in its buffer, read field by field; nothing in it is believed. */
import { EINVAL, ENAMETOOLONG } from "../../linux/abi/errno.ts";
import type { CString } from "../../linux/c-string.ts";
import type { Block } from "../../linux/memory.unsafe.ts";
import { IN_HEADER } from "./abi.ts";

const WORD = 0x1_0000_0000;
const NAME_MAX = 255;
/** PATH_MAX, with the NUL. */
const TARGET_MAX = 4096;
const SLASH = 0x2f;
const DOT = 0x2e;

/** Of `payload` and the offsets behind it: from the end of the header. */
export class Request {
  readonly block: Block;
  #end = 0;

  constructor(block: Block) {
    this.block = block;
  }

  /** Takes the first `length` bytes of the block for a request. @returns false where they are no request. */
  begin(length: number): boolean {
    this.#end = length;
    return length >= IN_HEADER.size && length <= this.block.size && this.block.view.getUint32(IN_HEADER.len, true) === length;
  }

  /** The message, to be restored later. */
  copy(): Uint8Array {
    return this.block.bytes.slice(0, this.#end);
  }

  restore(message: Uint8Array): void {
    this.block.bytes.set(message);
    this.begin(message.length);
  }

  get opcode(): number { return this.block.view.getUint32(IN_HEADER.opcode, true); }
  get uniqueLow(): number { return this.block.view.getUint32(IN_HEADER.unique, true); }
  get uniqueHigh(): number { return this.block.view.getUint32(IN_HEADER.unique + 4, true); }
  get node(): number { return this.#wideAt(IN_HEADER.nodeid); }
  get uid(): number { return this.block.view.getUint32(IN_HEADER.uid, true); }
  get gid(): number { return this.block.view.getUint32(IN_HEADER.gid, true); }
  get pid(): number { return this.block.view.getUint32(IN_HEADER.pid, true); }

  /** Bytes behind the header. */
  get payload(): number { return this.#end - IN_HEADER.size; }

  /** @throws RangeError past the end: the dispatcher has compared `payload` with the operation's size. */
  u32(offset: number): number {
    this.#within(offset, 4);
    return this.block.view.getUint32(IN_HEADER.size + offset, true);
  }

  /** 64 bits, unsigned; above 2^53 only about right, which is enough to be refused. */
  wide(offset: number): number {
    this.#within(offset, 8);
    return this.#wideAt(IN_HEADER.size + offset);
  }

  /** 64 bits, signed. */
  signed(offset: number): number {
    this.#within(offset, 8);
    const at = IN_HEADER.size + offset;
    return this.block.view.getUint32(at, true) + this.block.view.getInt32(at + 4, true) * WORD;
  }

  /** Where the payload's byte `offset` lies in the block. */
  position(offset: number): number {
    return IN_HEADER.size + offset;
  }

  /**
   * Points `name` at the directory entry's name at `offset`.
   * @returns the offset behind its NUL, or the negative errno for what cannot be one.
   */
  name(offset: number, name: CString): number {
    const length = name.point(this.block, IN_HEADER.size + offset, this.#end);
    if (length <= 0) return -EINVAL;
    if (length > NAME_MAX) return -ENAMETOOLONG;
    if (name.byteAt(0) === DOT && (length === 1 || (length === 2 && name.byteAt(1) === DOT))) return -EINVAL;
    for (let i = 0; i < length; i++) if (name.byteAt(i) === SLASH) return -EINVAL;
    return offset + length + 1;
  }

  /** The same for any text: an attribute's name, a link's target. */
  text(offset: number, text: CString): number {
    const length = text.point(this.block, IN_HEADER.size + offset, this.#end);
    if (length <= 0) return -EINVAL;
    return length < TARGET_MAX ? offset + length + 1 : -ENAMETOOLONG;
  }

  #within(offset: number, size: number): void {
    if (offset < 0 || offset + size > this.payload) throw new RangeError("past the request's end");
  }

  #wideAt(at: number): number {
    return this.block.view.getUint32(at, true) + this.block.view.getUint32(at + 4, true) * WORD;
  }
}
