/**
 * Names, as the guest gives them. The sentry is in the guest's own mount namespace, with the same root, so that the kernel resolves them there:
 * mounts, symbolic links, `..` and permissions are as the guest's own would be. What differs is who asks: `/proc/self` is the sentry, and
 * /proc/TASK/fd/NUMBER would be a placeholder. Both are replaced by what the guest means.
 */
import { EBADF, EINVAL, ENOENT, ENOTDIR } from "../../linux/abi/errno.ts";
import { AT_EMPTY_PATH } from "../../linux/abi/fcntl.ts";
import { isMadeHere, madeBy } from "../../linux/made-by.ts";
import { permanentBlock, type Addr, type Block } from "../../linux/memory.unsafe.ts";
import { EMPTY_PATH, readLink } from "../../linux/on-behalf.ts";
import type { Description } from "./objects/description.ts";
import type { Desk } from "./volumes/errands.ts";
import { HostFile } from "./objects/files.ts";
import { copyString, small } from "./memory.ts";
import type { Strict } from "./strict.ts";
import type { Trapped } from "./trapped.ts";

const PATH_MAX = 4096;
/** For what comes before the guest's own text. */
const ROOM = 64;
const AT_FDCWD = -100;
const SLASH = 0x2f;
const LONGEST_LINK = 256;

/** Where a relative name starts. */
const base = permanentBlock(PATH_MAX + 8);
const textOf = ({ bytes }: Block, length: number, start = 0): string => Buffer.from(bytes.subarray(start, start + length)).toString("latin1");

/** A name that has been copied, as `dir` and `path` of a call of our own. Used again and again. */
export class Name {
  dir = AT_FDCWD;
  path: Addr = 0;
  /** In place of both: what the name means is an open file of the sentry's. */
  file: Description | undefined;
  /** Whether the path is relative to the working directory; then `ownPath` is without the way there. */
  isBelowDirectory = false;
  ownPath: Addr = 0;
  /** Whether it goes through a link of /proc that leads to a file of the guest's mounts, and which the kernel has to follow. */
  isMagic = false;
  readonly #block: Block = permanentBlock(ROOM + PATH_MAX + 8);

  /**
   * @param at the argument that has the directory's descriptor, or AT_FDCWD for calls without one; `address` the path's.
   * @param flags AT_EMPTY_PATH counts. @param copy peekString, for calls that it is made for.
   * @returns 0 or the negative errno.
   */
  copy(call: Trapped, strict: Strict, at: number, address: Addr, flags = 0, copy = copyString): number {
    const before = madeBy(undefined);
    const result = this.#copy(call, strict, at, address, flags, copy);
    const desk = result < 0 || strict.volumes.isEmpty ? undefined : this.#desk(call, strict);
    madeBy(desk === undefined ? before : desk.maker);
    return result;
  }

  /** Who asks for it: for the place that its text says. */
  #desk(call: Trapped, strict: Strict): Desk | undefined {
    // Only then it is known where volumes are.
    strict.callers.task(call);
    if (this.file !== undefined) return this.file instanceof HostFile ? this.file.desk : undefined;
    if (this.path === EMPTY_PATH) return strict.volumes.of(this.dir);
    // A desk's root is the guest's first.
    if (strict.namespaces.roots.isElsewhere) return undefined;
    if (this.dir === AT_FDCWD) return strict.volumes.at(this.text);
    const inBase = (length: number) => (length < 0 ? undefined : textOf(base, length));
    const start = this.dir === strict.procfs.fd.number ? strict.surroundings.path(call.pid, () => inBase(strict.procfs.directoryOf(call, base))) : inBase(strict.procfs.nameOf({ fd: { number: this.dir } }, base));
    return start === undefined ? undefined : strict.volumes.at(`${start}/${this.#ownText}`);
  }

  get #ownText(): string {
    const start = this.ownPath - this.#block.address;
    return textOf(this.#block, this.#block.bytes.indexOf(0, start) - start, start);
  }

  #copy(call: Trapped, strict: Strict, at: number, address: Addr, flags: number, copy: typeof copyString): number {
    this.file = undefined;
    this.isBelowDirectory = this.isMagic = false;
    this.ownPath = this.#block.address + ROOM;
    if (address === 0 && (flags & AT_EMPTY_PATH) !== 0) return this.#isDescriptor(call, strict, at);
    const length = copy(call, address, this.#block, ROOM, PATH_MAX);
    if (length < 0) return length;
    if (length === 0) return (flags & AT_EMPTY_PATH) === 0 ? -ENOENT : this.#isDescriptor(call, strict, at);
    if (this.#block.bytes[ROOM] === SLASH) return this.#absolute(call, strict, length);
    this.isBelowDirectory = at === AT_FDCWD;
    if (at === AT_FDCWD) return this.#prefix(strict.procfs.fd.number, `${call.pid}/cwd/`, ROOM);
    const directory = strict.descriptors.file(call, at);
    if (directory === undefined) return -EBADF;
    if (!(directory instanceof HostFile)) return -ENOTDIR;
    return this.#prefix(directory.fd.number, "", ROOM);
  }

  /** A name below the caller's working directory starts in that, where we have it open: for calls that take a descriptor. @param pays as `Surroundings.directory` has it. */
  startInDirectory(call: Trapped, strict: Strict, pays = false): void {
    if (!this.isBelowDirectory || !isMadeHere()) return;
    const directory = strict.surroundings.directory(call.pid, pays);
    if (directory === undefined) return;
    this.dir = directory.number;
    this.path = this.ownPath;
  }

  /** As `copy`, of a path that has been copied already. @param text without a NUL. */
  take(call: Trapped, strict: Strict, text: Uint8Array): number {
    this.file = undefined;
    this.isBelowDirectory = this.isMagic = false;
    this.ownPath = this.#block.address + ROOM;
    if (text.length === 0) return -ENOENT;
    this.#block.bytes.set(text, ROOM);
    this.#block.bytes[ROOM + text.length] = 0;
    if (text[0] === SLASH) return this.#absolute(call, strict, text.length);
    this.isBelowDirectory = true;
    return this.#prefix(strict.procfs.fd.number, `${call.pid}/cwd/`, ROOM);
  }

  /** An open file of the sentry's in its place: itself. @param flags of the call. @returns them, as the call then needs them. */
  orOpened(flags: number): number {
    if (!(this.file instanceof HostFile)) return flags;
    this.dir = this.file.fd.number;
    this.path = EMPTY_PATH;
    return flags | AT_EMPTY_PATH;
  }

  /** As text, for those who look at it. */
  get text(): string {
    const start = this.path - this.#block.address;
    return Buffer.from(this.#block.bytes.subarray(start, this.#block.bytes.indexOf(0, start))).toString("latin1");
  }

  /** A descriptor itself. The caller's working directory, too. */
  #isDescriptor(call: Trapped, strict: Strict, at: number): number {
    if (at === AT_FDCWD) {
      this.#block.bytes[ROOM] = 0;
      return this.#prefix(strict.procfs.fd.number, `${call.pid}/cwd`, ROOM);
    }
    this.file = strict.descriptors.file(call, at);
    if (this.file instanceof HostFile) {
      this.dir = this.file.fd.number;
      this.path = EMPTY_PATH;
      this.file = undefined;
      return 0;
    }
    return this.file === undefined ? -EBADF : 0;
  }

  #absolute(call: Trapped, strict: Strict, length: number): number {
    this.dir = AT_FDCWD;
    this.path = this.#block.address + ROOM;
    // The first bytes that matter: `/p` and `/d`.
    const second = this.#block.bytes[ROOM + 1];
    if (second !== 0x70 && second !== 0x64 && second !== SLASH && second !== 0x2e || !strict.namespaces.roots.hasProc) return 0;
    return this.#ownFiles(call, strict, length);
  }

  #ownFiles(call: Trapped, strict: Strict, length: number): number {
    // /proc/net is a link to self/net.
    const text = textOf(this.#block, length, ROOM).replace(/^(\/+(?:\.\/+)*proc\/+)(?=net\/)/, "$1self/");
    const process = /^\/+(?:\.\/+)*(?:proc\/+(self|thread-self|\d+)(?=\/|$)|dev\/+(?:(fd)|(stdin|stdout|stderr)$)(?=\/|$))/.exec(text);
    if (process === null) return 0;
    const [whole, proc, fd, stream] = process;
    const task = strict.callers.task(call);
    const isOwn = proc === undefined || !/^\d/.test(proc);
    const guestPid = isOwn ? (task?.guestPid ?? 0) : Number(proc);
    const rest = fd === undefined ? (stream === undefined ? text.slice(whole.length) : `/fd/${["stdin", "stdout", "stderr"].indexOf(stream)}`) : `/fd${text.slice(whole.length)}`;
    const descriptor = /^\/+fd\/+(\d+)\/*$/.exec(rest);
    if (descriptor !== null && guestPid === task?.guestPid) {
      this.file = strict.descriptors.file(call, Number(descriptor[1]));
      if (this.file === undefined) return -ENOENT;
    }
    const below = guestPid === task?.guestPid ? this.#belowDescriptor(call, strict, rest) : undefined;
    if (below !== undefined) return below;
    this.isMagic = /^\/+(?:task\/+\d+\/+)?(?:exe|cwd|root)(?=\/|$)/.test(rest);
    return this.#put(`/proc/${guestPid}${rest}`);
  }

  /** A name below a directory's descriptor, as /dev/fd/3/name. @returns the negative errno, undefined where it is none. */
  #belowDescriptor(call: Trapped, strict: Strict, rest: string): number | undefined {
    const [, number, below] = /^\/+fd\/+(\d+)\/+([^/].*)$/.exec(rest) ?? [];
    if (number === undefined || below === undefined) return undefined;
    const directory = strict.descriptors.file(call, Number(number));
    if (!(directory instanceof HostFile)) return -ENOENT;
    this.dir = directory.fd.number;
    return this.#put(below);
  }

  /**
   * Where the name is that of a symbolic link into /proc/self, as /etc/mtab, /proc/mounts and /dev/stdout mostly are, has it be what that leads to: the kernel
   * has found nothing there, because it has looked for us. Preconditions: the caller's identity. @returns whether it is worth another try.
   */
  follow(call: Trapped, strict: Strict): boolean {
    const length = readLink(this.dir, this.path, small.address, LONGEST_LINK);
    if (length <= 0) return false;
    const target = Buffer.from(small.bytes.subarray(0, length)).toString("latin1").replace(/^(?:\.\.\/+)+(?=proc\/)/, "/").replace(/^(?=self\/)/, /^\/+proc\/+[^/]+$/.test(this.text) ? "/proc/" : "");
    if (!/^\/+(?:proc\/+(?:self|thread-self)|dev\/+(?:fd|stdin|stdout|stderr))(?:\/|$)/.test(target)) return false;
    this.#block.bytes.set(Buffer.from(`${target}\0`, "latin1"), ROOM);
    this.isBelowDirectory = false;
    const found = this.#absolute(call, strict, target.length) === 0;
    strict.callers.asCaller(call);
    return found;
  }

  #put(text: string): number {
    if (text.length > PATH_MAX + ROOM - 1) return -EINVAL;
    this.#block.bytes.set(Buffer.from(`${text}\0`, "latin1"));
    this.path = this.ownPath = this.#block.address;
    return 0;
  }

  #prefix(dir: number, text: string, at: number): number {
    const start = at - text.length;
    for (let i = 0; i < text.length; i++) this.#block.bytes[start + i] = text.charCodeAt(i);
    this.dir = dir;
    this.path = this.#block.address + start;
    return 0;
  }
}

/** For calls with one name, and for the second of those with two. */
export const name = new Name();
export const secondName = new Name();
