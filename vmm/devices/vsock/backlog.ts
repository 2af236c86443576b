/** Bytes that wait, in order, in one block: a guest that sends them one by one makes us keep no more than one that sends them at once. */
export class Backlog {
  readonly #limit: number;
  /** None while nothing waits. */
  #block: Buffer | undefined;
  #start = 0;
  #end = 0;

  /** @param limit bytes. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#end - this.#start;
  }

  get room(): number {
    return this.#limit - this.size;
  }

  /** What waits, until the next call. */
  get content(): Uint8Array {
    return this.#block?.subarray(this.#start, this.#end) ?? new Uint8Array(0);
  }

  /** Preconditions: there is room for it. */
  add(part: Uint8Array): void {
    const block = (this.#block ??= Buffer.allocUnsafeSlow(this.#limit));
    if (this.#end + part.length > this.#limit) this.#moveToStart(block);
    block.set(part, this.#end);
    this.#end += part.length;
  }

  #moveToStart(block: Buffer): void {
    block.copyWithin(0, this.#start, this.#end);
    this.#end -= this.#start;
    this.#start = 0;
  }

  /** The first `count` bytes are done with. */
  drop(count: number): void {
    this.#start += count;
    if (this.size > 0) return;
    [this.#start, this.#end] = [0, 0];
    this.#block = undefined;
  }
}
