import { SYS } from "./arch.ts";
import { syscall } from "./syscall.unsafe.ts";

/**
 * A descriptor with one owner: `using fd = open(...)` closes it at the end of the scope, `release()` hands it on.
 * Descriptor 0 is a descriptor like any other.
 */
export class Fd implements Disposable {
  #number: number | undefined;

  constructor(number: number) {
    if (!Number.isInteger(number) || number < 0) throw new RangeError(`not a descriptor: ${number}`);
    this.#number = number;
    opened?.push(this);
  }

  /** The number, for a system call. @throws Error once closed or released. */
  get number(): number {
    if (this.#number === undefined) throw new Error("descriptor used after it was closed or released");
    return this.#number;
  }

  /** A path to the open file, valid in this process while it is open and procfs is mounted. Source: proc(5). */
  get procPath(): string {
    return `/proc/self/fd/${this.number}`;
  }

  /** Gives up ownership and returns the number. */
  release(): number {
    const number = this.number;
    this.#number = undefined;
    return number;
  }

  /** Closes it; a second call does nothing. close(2) is never repeated: after EINTR the number is free already. */
  close(): void {
    if (this.#number !== undefined) syscall(SYS.close, this.#number);
    this.#number = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Those of the innermost `closingOnFailure`. */
let opened: Fd[] | undefined;

/**
 * Does `action`; where it throws, every descriptor that was opened meanwhile and still has its owner is closed: a process that goes on after a
 * failure is left with none. What `action` starts in the event loop is not seen.
 */
export function closingOnFailure<T>(action: () => T): T {
  const outer = opened;
  const own: Fd[] = (opened = []);
  try {
    const result = action();
    outer?.push(...own);
    return result;
  } catch (error) {
    for (const fd of own) fd.close();
    throw error;
  } finally {
    opened = outer;
  }
}

/** For a forked child, in which what its parent was doing never ends. */
export function forgetOpened(): void {
  opened = undefined;
}

/** What wrappers take: an owned descriptor or the bare number of one that somebody else owns. */
export type FdLike = Fd | number;

/** `AT_FDCWD`: relative to the current directory. Source: openat(2). */
export const AT_FDCWD = -100;

export function fdNumber(fd: FdLike): number {
  return typeof fd === "number" ? fd : fd.number;
}
