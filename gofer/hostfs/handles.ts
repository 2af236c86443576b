/** What OPEN and OPENDIR have given out. A handle is a small number from 1 on; 0 is what the kernel sends where it did not ask. */
import { tryClose } from "../../linux/data.ts";
import type { HostNode } from "./node.ts";

export class Handle {
  readonly fd: number;
  readonly node: HostNode;
  /** It was opened with. */
  readonly flags: number;
  /** Position of a directory's listing, two halves. */
  listLow = 0;
  listHigh = 0;

  constructor(fd: number, node: HostNode, flags: number) {
    this.fd = fd;
    this.node = node;
    this.flags = flags;
  }
}

export class HandleTable {
  readonly #handles: (Handle | undefined)[] = [undefined];
  readonly #free: number[] = [];
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Owns `fd` from now on. @returns the handle, or 0 where there are too many; `fd` is closed then. */
  add(fd: number, node: HostNode, flags: number): number {
    const number = this.#free.pop() ?? this.#handles.length;
    if (number > this.#limit) {
      tryClose(fd);
      return 0;
    }
    this.#handles[number] = new Handle(fd, node, flags);
    return number;
  }

  /** Undefined for a number that was not given out for this node. */
  get(number: number, node: HostNode): Handle | undefined {
    const handle = this.#handles[number];
    return handle?.node === node ? handle : undefined;
  }

  *all(): Iterable<readonly [number: number, handle: Handle]> {
    for (const [number, handle] of this.#handles.entries()) if (handle !== undefined) yield [number, handle];
  }

  /** One of another table's, by its number. Preconditions: the table is new; `closeGaps` follows. @throws RangeError for one that cannot be */
  restore(number: number, handle: Handle): void {
    if (!Number.isSafeInteger(number) || number < 1 || number > this.#limit || this.#handles[number] !== undefined) throw new RangeError(`handle ${number} cannot be restored`);
    this.#handles[number] = handle;
  }

  closeGaps(): void {
    for (let number = 1; number < this.#handles.length; number++) if (this.#handles[number] === undefined) this.#free.push(number);
  }

  /** @returns false where there is no such handle. */
  close(number: number): boolean {
    const handle = this.#handles[number];
    if (handle === undefined) return false;
    tryClose(handle.fd);
    this.#handles[number] = undefined;
    this.#free.push(number);
    return true;
  }

  clear(): void {
    for (let number = 1; number < this.#handles.length; number++) this.close(number);
  }
}
