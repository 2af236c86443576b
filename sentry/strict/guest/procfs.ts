/** The procfs of the sentry's own pid namespace: by its links the sentry comes to directories of the guest's tasks, and once more to what it has open. Source: proc(5). */
import { EACCES, ENOENT, ESRCH } from "../../../linux/abi/errno.ts";
import { O_CLOEXEC, O_DIRECTORY, O_PATH } from "../../../linux/abi/fcntl.ts";
import { isErrno } from "../../../linux/errors.ts";
import type { Fd, FdLike } from "../../../linux/fd.ts";
import { fileSystemMagic, openAt, read } from "../../../linux/file.ts";
import { permanentBlock, scratch, type Addr, type Block } from "../../../linux/memory.unsafe.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import type { Trapped } from "../trapped.ts";
import type { Volumes } from "../volumes/volumes.ts";
import type { Callers } from "./callers.ts";
import type { Namespaces } from "./namespaces.ts";

const PROC_SUPER_MAGIC = 0x9fa0;

export class Procfs {
  readonly fd: Fd;
  readonly #namespaces: Namespaces;
  readonly #callers: Callers;
  readonly #volumes: Volumes;
  readonly #path = permanentBlock(32);
  readonly #devices = new Map<number, boolean>();

  constructor(fd: Fd, namespaces: Namespaces, callers: Callers, volumes: Volumes) {
    this.fd = fd;
    this.#namespaces = namespaces;
    this.#callers = callers;
    this.#volumes = volumes;
  }

  /** The caller's working directory; to be closed. */
  openDirectory(call: Trapped): number {
    using s = scratch();
    return kernel.open(this.fd.number, s.cstr(`${call.pid}/cwd`), O_PATH | O_DIRECTORY, 0, 0);
  }

  /** Its path. @returns its length, or the negative errno. */
  directoryOf(call: Trapped, into: Block): number {
    this.#namespaces.enter(call.pid);
    return this.#readLink(`${call.pid}/cwd`, into);
  }

  /** The path of a file of ours. */
  nameOf({ fd }: { readonly fd: Pick<Fd, "number"> }, into: Block): number {
    return this.#readLink(`self/fd/${fd.number}`, into);
  }

  /** As whoever we are, since becoming somebody else takes three calls; with our own rights where that is refused. */
  #readLink(path: string, into: Block): number {
    using s = scratch();
    const address = s.cstr(path);
    const result = kernel.readLink(this.fd.number, address, into.address, 4096);
    if (result !== -EACCES) return result;
    this.#callers.asSentry();
    return kernel.readLink(this.fd.number, address, into.address, 4096);
  }

  /** A path of an open file of ours, for calls that take no descriptor: from the working directory, which is our own procfs. */
  pathOf(fd: number): Addr {
    const text = `self/fd/${fd}\0`;
    for (let i = 0; i < text.length; i++) this.#path.bytes[i] = text.charCodeAt(i);
    return this.#path.address;
  }

  /** Another open file of the same inode, as the current identity. */
  reopen(fd: FdLike & Fd, flags: number): number {
    using s = scratch();
    return kernel.open(this.fd.number, s.cstr(`self/fd/${fd.number}`), flags, 0, 0);
  }

  /** Another name for a file of ours, as the current identity. */
  linkOpened({ fd }: { readonly fd: Fd }, dir: number, path: Addr): number {
    const AT_SYMLINK_FOLLOW = 0x400;
    using s = scratch();
    return kernel.link(this.fd.number, s.cstr(`self/fd/${fd.number}`), dir, path, AT_SYMLINK_FOLLOW);
  }

  /** Whether a file of ours lies in a procfs, be it another than this. */
  isProc(fd: number, device: number): boolean {
    let known = this.#devices.get(device);
    if (known === undefined && this.#volumes.of(fd) !== undefined) return false;
    if (known === undefined) this.#devices.set(device, (known = fileSystemMagic(fd) === PROC_SUPER_MAGIC));
    return known;
  }

  /** Of a descriptor of the caller's. Source: proc_pid_fdinfo(5). */
  isClosedOnExec(call: Trapped, number: number): boolean {
    try {
      this.#callers.asSentry();
      using info = openAt(this.fd, `${call.pid}/fdinfo/${number}`, 0);
      const flags = /^flags:\t(\d+)$/m.exec(Buffer.from(read(info, 512)).toString("latin1"))?.[1] ?? "0";
      return (Number.parseInt(flags, 8) & O_CLOEXEC) !== 0;
    } catch (error) {
      // Who may not be looked into, its program being unreadable, leaves nothing to what it executes.
      if (isErrno(error, EACCES)) return true;
      if (isErrno(error, ENOENT, ESRCH)) return false;
      throw error;
    }
  }
}
