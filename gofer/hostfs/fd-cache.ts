/**
 * A bounded number of open descriptors: the least recently used is closed to make room. Its owner finds -1 in `fd`, and opens it again when
 * it needs it. Entries are the owners' own objects, linked with each other: nothing is allocated.
 */
import { tryClose } from "../../linux/data.ts";

export class CachedFd {
  /** -1 while closed. */
  fd = -1;
  newer: CachedFd | undefined = undefined;
  older: CachedFd | undefined = undefined;
  /** Not counted, never closed to make room. */
  pinned = false;
}

export class FdCache {
  readonly limit: number;
  #count = 0;
  #newest: CachedFd | undefined;
  #oldest: CachedFd | undefined;
  /** How often one was closed to make room. */
  evictions = 0;

  constructor(limit: number) {
    if (limit < 1) throw new RangeError("a cache of at least one descriptor");
    this.limit = limit;
  }

  /** Those that could be closed. */
  get count(): number {
    return this.#count;
  }

  /** Owns `fd` from now on, for `entry`, which has none. */
  put(entry: CachedFd, fd: number): void {
    entry.fd = fd;
    if (entry.pinned) return;
    this.#link(entry);
    if (this.#count > this.limit && this.#oldest !== undefined) {
      this.close(this.#oldest);
      this.evictions++;
    }
  }

  touch(entry: CachedFd): void {
    if (entry.pinned || entry === this.#newest || entry.fd < 0) return;
    this.#unlink(entry);
    this.#link(entry);
  }

  /** Takes it out of the count: it stays open until `close` or `unpin`. */
  pin(entry: CachedFd): void {
    if (entry.pinned) return;
    if (entry.fd >= 0) this.#unlink(entry);
    entry.pinned = true;
  }

  unpin(entry: CachedFd): void {
    if (!entry.pinned) return;
    entry.pinned = false;
    const { fd } = entry;
    if (fd >= 0) this.put(entry, fd);
  }

  close(entry: CachedFd): void {
    if (entry.fd < 0) return;
    if (!entry.pinned) this.#unlink(entry);
    tryClose(entry.fd);
    entry.fd = -1;
  }

  #link(entry: CachedFd): void {
    entry.older = this.#newest;
    entry.newer = undefined;
    if (this.#newest !== undefined) this.#newest.newer = entry;
    this.#newest = entry;
    this.#oldest ??= entry;
    this.#count++;
  }

  #unlink(entry: CachedFd): void {
    if (entry.newer === undefined) this.#newest = entry.older;
    else entry.newer.older = entry.older;
    if (entry.older === undefined) this.#oldest = entry.newer;
    else entry.older.newer = entry.newer;
    entry.newer = undefined;
    entry.older = undefined;
    this.#count--;
  }
}
