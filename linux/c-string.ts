/** A NUL-terminated string that lies in a block: a name as it came from outside, handed to the kernel without a copy. */
import type { Addr, Block } from "./memory.unsafe.ts";

/** Re-pointed rather than made anew on hot paths. Its block outlives it. */
export class CString {
  #block: Block;
  #offset = 0;
  #length = 0;

  constructor(block: Block) {
    this.#block = block;
  }

  /**
   * Points it at the string that starts at `offset` and whose NUL lies before `end`.
   * @returns its length in bytes without the NUL, or -1 where there is no NUL; then it is empty.
   */
  point(block: Block, offset: number, end: number): number {
    const nul = offset >= 0 && end <= block.size ? block.bytes.indexOf(0, offset) : -1;
    const found = nul !== -1 && nul < end;
    this.#block = block;
    this.#offset = found ? offset : block.size;
    this.#length = found ? nul - offset : 0;
    return found ? this.#length : -1;
  }

  /** Where the kernel reads it. @throws Error where `point` found none. */
  get address(): Addr {
    if (this.#offset >= this.#block.size) throw new Error("no string here");
    return this.#block.address + this.#offset;
  }

  /** Bytes without the NUL. */
  get length(): number {
    return this.#length;
  }

  byteAt(index: number): number {
    return index < this.#length ? (this.#block.bytes[this.#offset + index] ?? 0) : 0;
  }

  /** Each byte as one character: loses nothing, whatever the encoding. */
  latin1(): string {
    let text = "";
    for (let i = 0; i < this.#length; i++) text += String.fromCharCode(this.#block.bytes[this.#offset + i] ?? 0);
    return text;
  }

  /** Decoded as UTF-8. */
  text(): string {
    return Buffer.from(this.#block.bytes.subarray(this.#offset, this.#offset + this.#length)).toString("utf8");
  }

  startsWith(ascii: string): boolean {
    if (ascii.length > this.#length) return false;
    for (let i = 0; i < ascii.length; i++) if (this.byteAt(i) !== ascii.charCodeAt(i)) return false;
    return true;
  }

  equals(ascii: string): boolean {
    return ascii.length === this.#length && this.startsWith(ascii);
  }
}

/** A string of one byte a character (see `latin1`) at the start of `block`, cut to what fits. */
export function putCString(block: Block, latin1: string): void {
  const length = Math.min(latin1.length, block.size - 1);
  for (let i = 0; i < length; i++) block.bytes[i] = latin1.charCodeAt(i);
  block.bytes[length] = 0;
}
