/** What is lent to a container, and how. */
import type { Fd } from "../linux/fd.ts";
import type { Ownership } from "./hostfs/ownership.ts";

/**
 * Who else changes the files. `exclusive`: nobody, while they are lent; the guest's kernel may believe what it has been told for hours.
 * `shared`: others do; the kernel believes for a moment only, and is told of changes.
 */
export type CachePolicy = "exclusive" | "shared";

/** How a directory, or one file, is lent. */
export interface Loan {
  /** O_PATH: a directory, or a single regular file. */
  readonly root: Fd;
  readonly readOnly: boolean;
  readonly cache: CachePolicy;
  readonly ownership: Ownership;
  /** For an exclusive one: the guest's kernel writes back when it likes. Many small writes cost less, creating and removing files more (0012). */
  readonly writeback?: boolean;
  /** Mounts that lie below the root are part of it. Left out: they cannot be entered (EXDEV). */
  readonly submounts?: boolean;
  /** False: no file has extended attributes. The kernel then does not ask for them, as it does before every program that it executes (0012). */
  readonly xattrs?: boolean;
}

export type Link = "device" | "socket";

/** A loan and the connection that asks for it. */
export interface Export extends Loan {
  /** /dev/fuse, opened and mounted by a process in the container's user namespace; or a socket to a VMM. */
  readonly fuse: Fd;
  /** Which of them: the device where left out. */
  readonly link?: Link;
}
