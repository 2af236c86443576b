/**
 * What the FUSE server asks of a file system. One implementation a connection; `hostfs/` lends a directory, `synthetic.ts` makes a tree up.
 *
 * Every function returns 0 or a count, or the negative errno; none throws for what a guest can cause. Node ids and handles are numbers that
 * the guest sends: an implementation looks them up and answers -ENOENT, -ESTALE or -EBADF for those it has not given out. Names have been
 * checked: not empty, no slash, neither `.` nor `..`, at most 255 bytes. Results go into objects that the server owns and uses again.
 *
 * An operation that is missing is answered ENOSYS. The kernel then stops asking for it: for OPEN and OPENDIR that means that files can be
 * opened without a request, and for FLUSH, FSYNC, GETXATTR and the like that they do nothing.
 */
import type { CString } from "../../linux/c-string.ts";
import type { Block } from "../../linux/memory.unsafe.ts";
import type { TimeSpec } from "../../linux/at.ts";

export { ROOT_NODE } from "./abi.ts";

/** In place of a handle, where the kernel has sent none. */
export const NO_HANDLE = -1;

/** What stat(2) tells, without the device. Times are seconds and nanoseconds; inode numbers two halves, since they need all 64 bits. */
export class Attributes {
  inodeLow = 0;
  inodeHigh = 0;
  size = 0;
  /** Of 512 bytes. */
  blocks = 0;
  accessSeconds = 0;
  accessNanoseconds = 0;
  modifySeconds = 0;
  modifyNanoseconds = 0;
  changeSeconds = 0;
  changeNanoseconds = 0;
  /** 0, 0 where it is not known. */
  birthSeconds = 0;
  birthNanoseconds = 0;
  /** `S_IF*` and permission bits. */
  mode = 0;
  nlink = 1;
  /** As the guest is to see it. */
  uid = 0;
  gid = 0;
  rdevMajor = 0;
  rdevMinor = 0;
  blockSize = 4096;
}

/** An answer with attributes, and for how many milliseconds the kernel may believe it. */
export class AttributesReply {
  readonly attributes = new Attributes();
  validMs = 0;
}

/** The answer to a name. `node` 0 says that there is no such name, for `entryMs`. Each answer with a node is one reference for `forget`. */
export class Entry {
  node = 0;
  generation = 0;
  entryMs = 0;
  attributesMs = 0;
  readonly attributes = new Attributes();
}

/** What `open` gives. */
export class Opened {
  handle = 0;
  /** What the kernel has cached of the file stays valid. */
  keepCache = false;
  /** The kernel may cache the directory's listing. */
  cacheDirectory = false;
  /** Reads and writes go past the kernel's cache. */
  directIo = false;
}

/** Who asks, by the ids of the mount's user namespace. */
export class Caller {
  uid = 0;
  gid = 0;
  pid = 0;
}

/** SETATTR. `valid` holds `FATTR` bits, which say what of the rest is meant. */
export class Change {
  valid = 0;
  handle = NO_HANDLE;
  mode = 0;
  uid = 0;
  gid = 0;
  size = 0;
  readonly access: TimeSpec = { seconds: 0, nanoseconds: 0 };
  readonly modify: TimeSpec = { seconds: 0, nanoseconds: 0 };
}

export class FileSystemStatistics {
  blocks = 0;
  blocksFree = 0;
  blocksAvailable = 0;
  files = 0;
  filesFree = 0;
  blockSize = 4096;
  fragmentSize = 4096;
  nameLength = 255;
}

/** A lock of fcntl(2): `end` is the last byte, or 2^53 - 1 for the end of the file. */
export class Lock {
  /** Two halves of the owner's 64-bit number. */
  ownerLow = 0;
  ownerHigh = 0;
  start = 0;
  end = 0;
  /** F_RDLCK (0), F_WRLCK (1), F_UNLCK (2). */
  type = 2;
  pid = 0;
  /** flock(2) instead of fcntl(2). */
  flock = false;
}

/**
 * Takes a directory's entries. For each: ask `fits`; where `plus`, look the entry up into `entry` (`node` 0: no attributes this time);
 * then `add`. Offsets are what a later call continues behind, any 64 bits but 0.
 */
export interface DirectorySink {
  readonly plus: boolean;
  readonly entry: Entry;
  fits(nameLength: number): boolean;
  /** @param type `DT_*` of readdir(3), which is `S_IF*` >> 12. */
  add(inodeLow: number, inodeHigh: number, type: number, offsetLow: number, offsetHigh: number, from: Block, at: number, length: number): void;
  /** The same with a name as text. */
  addText(inode: number, type: number, offset: number, name: string): void;
}

/** How the connection is set up; false or absent is the cautious choice. */
export interface Features {
  /** What changes something is answered EROFS, before the file system is asked. */
  readonly readOnly?: boolean;
  /** The kernel writes cached data back when it likes, and keeps size and mtime itself: for files that nobody else changes. */
  readonly writeback?: boolean;
  /** `open` truncates where O_TRUNC says so; without it the kernel sends SETATTR. Not for those that are not asked to open. */
  readonly truncatesOnOpen?: boolean;
  /** READDIRPLUS where the kernel guesses that attributes follow. */
  readonly readdirPlus?: boolean;
  /** fcntl(2) locks are ours, not the kernel's own. */
  readonly posixLocks?: boolean;
  readonly flockLocks?: boolean;
  /** The kernel drops a file's cached data when size or mtime differ; without it only when it is told. */
  readonly autoInvalidate?: boolean;
  /** `write`, `open` and `setAttributes` clear set-id bits when they are told to; the kernel need not ask before every write. */
  readonly killsPrivileges?: boolean;
}

/** What the kernel is told of changes that it has not asked for. */
export interface ChangeSink {
  /** Attributes, and with them contents whose time has changed. */
  attributesChanged(node: number): void;
  /** Some name somewhere: every one is looked up anew. */
  namesChanged(): void;
}

/** Where a file system learns that others have changed it. */
export interface Changes {
  /** Becomes readable. */
  readonly fd: number;
  take(sink: ChangeSink): void;
  /** Is called when a request that changes something has been answered. */
  discard(): void;
}

export interface FileSystem {
  readonly features: Features;
  readonly changes?: Changes | undefined;

  /** What a connection that goes on elsewhere needs to know: JSON. */
  save?(): unknown;
  /** The same, before anything else. @throws Error */
  restore?(state: unknown): void;

  lookup(parent: number, name: CString, out: Entry): number;
  /** The kernel gives `count` references back. */
  forget(node: number, count: number): void;
  getAttributes(node: number, handle: number, out: AttributesReply): number;
  statistics(node: number, out: FileSystemStatistics): number;

  /** @returns the target's length. */
  readLink?(node: number, into: Block, at: number, size: number): number;
  setAttributes?(node: number, change: Change, caller: Caller, out: AttributesReply): number;
  makeNode?(parent: number, name: CString, mode: number, caller: Caller, out: Entry): number;
  makeDirectory?(parent: number, name: CString, mode: number, caller: Caller, out: Entry): number;
  symlink?(parent: number, name: CString, target: CString, caller: Caller, out: Entry): number;
  link?(node: number, parent: number, name: CString, out: Entry): number;
  unlink?(parent: number, name: CString): number;
  removeDirectory?(parent: number, name: CString): number;
  /** @param flags `RENAME_*`. */
  rename?(parent: number, name: CString, newParent: number, newName: CString, flags: number): number;

  /** @param flags of open(2), without O_CREAT and O_EXCL. @param kill set-id bits go if it truncates. */
  open?(node: number, flags: number, kill: boolean, out: Opened): number;
  create?(parent: number, name: CString, flags: number, mode: number, caller: Caller, out: Entry, opened: Opened): number;
  /** @returns the bytes put at `into`, fewer than `size` at the end of the file only. `handle` is 0 where OPEN is not asked. */
  read?(node: number, handle: number, position: number, into: Block, at: number, size: number): number;
  write?(node: number, handle: number, position: number, from: Block, at: number, size: number, kill: boolean): number;
  flush?(node: number, handle: number, lock: Lock): number;
  release?(node: number, handle: number, lock: Lock): number;
  sync?(node: number, handle: number, dataOnly: boolean): number;
  allocate?(node: number, handle: number, mode: number, position: number, size: number): number;
  /** SEEK_DATA and SEEK_HOLE. @returns the position. */
  seek?(node: number, handle: number, position: number, whence: number): number;
  copyRange?(node: number, handle: number, position: number, toNode: number, toHandle: number, toPosition: number, size: number): number;

  openDirectory?(node: number, out: Opened): number;
  readDirectory(node: number, handle: number, offsetLow: number, offsetHigh: number, sink: DirectorySink): number;
  releaseDirectory?(node: number, handle: number): number;
  syncDirectory?(node: number, handle: number): number;

  /** @param size 0 asks for the length. @returns the length; -ERANGE where it does not fit. */
  getXattr?(node: number, name: CString, into: Block, at: number, size: number): number;
  listXattr?(node: number, into: Block, at: number, size: number): number;
  setXattr?(node: number, name: CString, from: Block, at: number, size: number, flags: number): number;
  removeXattr?(node: number, name: CString): number;

  getLock?(node: number, handle: number, lock: Lock): number;
  /** Takes or gives back. @returns -EAGAIN where somebody else holds it. */
  setLock?(node: number, handle: number, lock: Lock): number;

  syncFileSystem?(node: number): number;
  /** The connection has ended: close everything. */
  destroy?(): void;
}
