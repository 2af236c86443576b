/**
 * Paths of /proc/self/fd, without allocation: the way to open again what an O_PATH descriptor refers to, and to the calls that refuse such
 * descriptors. The links are followed to the open file itself, no name is resolved. Source: proc_pid_fd(5).
 */
import { CString } from "./c-string.ts";
import { permanentBlock } from "./memory.unsafe.ts";
import { O_CLOEXEC } from "./abi/fcntl.ts";
import { SYS } from "./arch.ts";
import { retrying } from "./syscall.unsafe.ts";

const AT_FDCWD = -100;
const PREFIX = "/proc/self/fd/";
const LENGTH = PREFIX.length + 12;

export class FdLink {
  readonly #block = permanentBlock(LENGTH);
  readonly #path = new CString(this.#block);

  constructor() {
    this.#block.bytes.set(Buffer.from(PREFIX));
  }

  /** The path of the link; it is valid until the next call. */
  of(fd: number): CString {
    const { bytes } = this.#block;
    let digits = 1;
    for (let rest = fd; rest >= 10; rest = Math.trunc(rest / 10)) digits++;
    for (let i = digits - 1, rest = fd; i >= 0; i--, rest = Math.trunc(rest / 10)) bytes[PREFIX.length + i] = 0x30 + (rest % 10);
    bytes[PREFIX.length + digits] = 0;
    this.#path.point(this.#block, 0, LENGTH);
    return this.#path;
  }

  /**
   * Opens what `fd` refers to once more, close-on-exec. Preconditions: the caller knows that it is a regular file or a directory: opening
   * anything else may block or do something.
   * @returns the new descriptor or the negative errno.
   */
  reopen(fd: number, flags: number): number {
    return retrying(SYS.openat, AT_FDCWD, this.of(fd).address, flags | O_CLOEXEC, 0);
  }
}
