/**
 * What a guest really has in its descriptor table: one end of a pipe for each of its open file descriptions. Nothing can be done with it, for
 * every call that would use it traps, but what concerns the number alone: dup, close, close-on-exec, fork. The table stays the kernel's.
 *
 *   guest's descriptors ---> read end === pipe === write end <--- the sentry, which the kernel tells (EPOLLERR) when the last one is closed
 *
 * Where a call must wait in the kernel itself (calls/poll.ts), a byte in the pipe makes the guest's end readable. To wait until it is writable takes a socket in the pipe's
 * place, with more under way in it than it may have.
 *
 * Which description a descriptor stands for is asked of the kernel as well: the pipe's inode number, through /proc/TASK/fd/NUMBER.
 */
import { AT_EMPTY_PATH, AT_STATX_DONT_SYNC, O_NONBLOCK, O_RDONLY } from "../../../linux/abi/fcntl.ts";
import { EACCES, EBADF } from "../../../linux/abi/errno.ts";
import { POLLIN, POLLOUT } from "../../../linux/abi/poll.ts";
import { SOCK_NONBLOCK, SOCK_STREAM } from "../../../linux/abi/socket.ts";
import { STATX_SIZE } from "../../../linux/abi/statx.ts";
import type { Epoll } from "../../../linux/epoll.ts";
import { fdNumber, type Fd } from "../../../linux/fd.ts";
import { openAt, pipe } from "../../../linux/file.ts";
import { permanentBlock, scratch, type Block } from "../../../linux/memory.unsafe.ts";
import { EMPTY_PATH, read, statx, write } from "../../../linux/on-behalf.ts";
import { socketPair } from "../../../linux/socket.ts";
import type { Description } from "../objects/description.ts";

const STATX_INO = 0x100;
const INODE_LOW = 0x20;
const INODE_HIGH = 0x24;
const DEVICE_MINOR = 0x8c;
const DEVICE_MAJOR = 0x88;
/** More than a quarter of what a socket may have under way (net.core.wmem_default), from which on it is not writable. Source: Linux net/unix/af_unix.c, unix_writable. */
const FULL = 65_536;
/** `4194304/fd/2147483647`. */
const LONGEST = 32;

interface Placeholder {
  readonly description: Description;
  /** See `#key`. */
  readonly inode: number;
  /** Our end. */
  readonly watch: Fd;
  /** A socket, which can be full. */
  readonly isTwoWay: boolean;
  /** POLL*: what the guest's end has been made. */
  marked: number;
}

/** What a descriptor that is no placeholder refers to. */
export type Found = { readonly kind: "ours"; readonly description: Description } | { readonly kind: "foreign" } | { readonly kind: "none"; readonly errno: number };

export class Placeholders {
  readonly #proc: Fd;
  readonly #epoll: Epoll;
  readonly #byInode = new Map<number, Placeholder>();
  readonly #byWatch = new Map<number, Placeholder>();
  /** One, mostly: opening /proc/self/fd/NUMBER of a pipe makes a second. */
  readonly #byDescription = new Map<Description, Placeholder[]>();
  readonly #path = permanentBlock(LONGEST);
  readonly #statx = permanentBlock(STATX_SIZE);
  /** Zeros. */
  #filling: Block | undefined;

  constructor(proc: Fd, epoll: Epoll) {
    this.#proc = proc;
    this.#epoll = epoll;
  }

  /** @returns what is to be given to the guest, and then closed here: if the guest has no copy by then, the description is closed. @throws SysError EMFILE, ENOSPC */
  create(description: Description): Fd {
    const [given, watch] = pipe();
    try {
      this.#epoll.add(watch, 0);
    } catch (error) {
      for (const fd of [given, watch]) fd.close();
      throw error;
    }
    this.#keep(description, watch, watch);
    return given;
  }

  /** As `create`; neither readable nor writable for the kernel until `mark`. @throws SysError EMFILE, ENFILE */
  createTwoWay(description: Description): Fd {
    const [given, watch] = socketPair(SOCK_STREAM | SOCK_NONBLOCK);
    try {
      this.#epoll.add(watch, 0);
    } catch (error) {
      for (const fd of [given, watch]) fd.close();
      throw error;
    }
    this.#filling ??= permanentBlock(FULL);
    write(given.number, this.#filling.address, FULL);
    this.#keep(description, given, watch, true);
    return given;
  }

  isTwoWay(description: Description): boolean {
    return this.#byDescription.get(description)?.some(({ isTwoWay }) => isTwoWay) ?? false;
  }

  /** As `create`, of a socket that a task of the guest's has made. @param end a copy of it. @param watch what it is connected with. */
  adopt(description: Description, end: Fd, watch: Fd): void {
    this.#epoll.add(watch, 0);
    this.#keep(description, end, watch);
  }

  #keep(description: Description, named: Fd, watch: Fd, isTwoWay = false): void {
    statx(named.number, EMPTY_PATH, AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, this.#statx.address);
    const placeholder = { description, inode: this.#key, watch, isTwoWay, marked: 0 };
    const others = this.#byDescription.get(description);
    if (others === undefined) this.#byDescription.set(description, [placeholder]);
    else others.push(placeholder);
    this.#byInode.set(placeholder.inode, placeholder);
    this.#byWatch.set(watch.number, placeholder);
  }

  /** Whether there is one for it. */
  has(description: Description): boolean {
    return this.#byDescription.has(description);
  }

  /** What descriptor `number` of a task is. @param asSentry called where we must ask again with our own rights. */
  find(task: number, number: number, asSentry: () => void): Found {
    let result = this.#stat(task, number);
    if (result === -EACCES) {
      asSentry();
      result = this.#stat(task, number);
    }
    if (result < 0) return { kind: "none", errno: EBADF };
    const { view } = this.#statx;
    const known = view.getUint32(DEVICE_MAJOR, true) === 0 ? this.#byInode.get(this.#key) : undefined;
    return known === undefined ? { kind: "foreign" } : { kind: "ours", description: known.description };
  }

  /** Of what was looked at last: the file system, pipes' or sockets', which has no device of its own, and the number of the inode in it, of 32 bits. */
  get #key(): number {
    const { view } = this.#statx;
    return view.getUint32(INODE_HIGH, true) === 0 ? view.getUint32(INODE_LOW, true) + view.getUint32(DEVICE_MINOR, true) * 0x1_0000_0000 : NaN;
  }

  /** What `find` has found last, as `inodeOf` has it. */
  get lastInode(): string {
    const { view } = this.#statx;
    return `${view.getUint32(DEVICE_MAJOR, true)}:${view.getUint32(DEVICE_MINOR, true)}:${view.getBigUint64(INODE_LOW, true)}`;
  }

  #stat(task: number, number: number): number {
    const { bytes, address } = this.#path;
    const text = `${task}/fd/${number}\0`;
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return statx(fdNumber(this.#proc), address, AT_STATX_DONT_SYNC, STATX_INO, this.#statx.address);
  }

  isOurs(watch: number): boolean {
    return this.#byWatch.has(watch);
  }

  /** The kernel has told of a descriptor of ours. @returns the description whose last descriptor is gone, if it was that. */
  ended(watch: number): Description | undefined {
    const placeholder = this.#byWatch.get(watch);
    if (placeholder === undefined) return undefined;
    this.#byWatch.delete(watch);
    this.#byInode.delete(placeholder.inode);
    placeholder.watch.close();
    const { description } = placeholder;
    const others = this.#byDescription.get(description)?.filter((other) => other !== placeholder) ?? [];
    if (others.length > 0) this.#byDescription.set(description, others);
    else this.#byDescription.delete(description);
    return others.length > 0 ? undefined : description;
  }

  /** Makes the guest's ends readable (POLLIN) for the kernel, or writable (POLLOUT) where they can be. */
  mark(description: Description, events: number): void {
    for (const placeholder of this.#byDescription.get(description) ?? []) {
      const isNew = (event: number) => (events & event & ~placeholder.marked) !== 0;
      if (isNew(POLLIN)) write(placeholder.watch.number, this.#path.address, 1);
      if (placeholder.isTwoWay && isNew(POLLOUT)) drain(placeholder.watch);
      placeholder.marked |= events;
    }
  }

  /** Takes it back. Preconditions: none is two-way. */
  unmark(description: Description): void {
    for (const placeholder of this.#byDescription.get(description) ?? []) {
      if ((placeholder.marked & POLLIN) !== 0) {
        using reader = openAt(this.#proc, `self/fd/${placeholder.watch.number}`, O_RDONLY | O_NONBLOCK);
        read(reader.number, this.#path.address, 1);
      }
      placeholder.marked = 0;
    }
  }
}

/** Until the other end is writable. */
function drain(fd: Fd): void {
  using s = scratch();
  const into = s.reserve(4096);
  for (let size = 1; size > 0; ) size = read(fd.number, into.address, into.size);
}
