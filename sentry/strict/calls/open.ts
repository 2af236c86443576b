/** open(2) and its kin. */
import { EACCES, EFAULT, EINVAL, ELOOP, ENOENT, ENXIO } from "../../../linux/abi/errno.ts";
import { E2BIG } from "../../../linux/abi/errno.ts";
import * as fcntl from "../../../linux/abi/fcntl.ts";
import { Fd } from "../../../linux/fd.ts";
import { STATX_SIZE } from "../../../linux/abi/statx.ts";
import { permanentBlock } from "../../../linux/memory.unsafe.ts";
import { statAt } from "../../../linux/file.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import type { Description } from "../objects/description.ts";
import { HostFile } from "../objects/files.ts";
import { isWritableFifo, openFifo, OpeningFifo } from "./fifo.ts";
import { copyIn, copyString, peekString, small } from "../memory.ts";
import { name } from "../paths.ts";
import type { Handler, Strict } from "../strict.ts";
import { isOwnTerminal, openControlling } from "./terminals.ts";
import type { Trapped } from "../trapped.ts";

const AT_FDCWD = -100;
const O_TMPFILE = 0o20200000;
/** Those that concern opening alone: F_GETFL does not tell of them. */
const CREATION = fcntl.O_CREAT | fcntl.O_EXCL | fcntl.O_NOCTTY | fcntl.O_TRUNC | fcntl.O_CLOEXEC;
/** Those by which opening changes something. */
const CHANGING = fcntl.O_CREAT | fcntl.O_TRUNC | (O_TMPFILE & ~fcntl.O_DIRECTORY);
/** What openat2(2), by which we open, takes; open(2) ignores the rest. Source: Linux include/linux/fcntl.h, fs/open.c. */
const KNOWN = 0o27777703 & ~fcntl.O_CLOEXEC & ~fcntl.O_PATH;
const WITH_PATH = fcntl.O_PATH | fcntl.O_DIRECTORY | fcntl.O_NOFOLLOW;
const O_LARGEFILE = 0o100000;
/** Links to open files are followed by us (paths.ts), and never by the kernel: behind them are placeholders. */
const OWN_LINKS = fcntl.RESOLVE_NO_MAGICLINKS;

export const open: Handler = (call, strict) => openAt(call, strict, AT_FDCWD, call.arg(0), call.int(1), call.int(2), 0);
export const openat: Handler = (call, strict) => openAt(call, strict, call.int(0), call.arg(1), call.int(2), call.int(3), 0);
export const creat: Handler = (call, strict) => openAt(call, strict, AT_FDCWD, call.arg(0), fcntl.O_CREAT | fcntl.O_WRONLY | fcntl.O_TRUNC, call.int(1), 0);

/** struct open_how. */
const HOW_SIZE = 24;

export const openat2: Handler = (call, strict) => {
  const size = call.arg(3);
  if (size < HOW_SIZE) return -EINVAL;
  if (size > HOW_SIZE) return -E2BIG;
  const copied = copyIn(call, call.arg(2), small, HOW_SIZE);
  if (copied < 0) return copied;
  const { view } = small;
  if (view.getUint32(4, true) !== 0 || view.getUint32(12, true) !== 0 || view.getUint32(20, true) !== 0) return -EINVAL;
  return openAt(call, strict, call.int(0), call.arg(1), view.getUint32(0, true), view.getUint32(8, true), view.getUint32(16, true));
};

/** A device of a terminal must not become ours by being opened. */
function openAt(call: Trapped, strict: Strict, at: number, path: number, flags: number, mode: number, resolve: number): number {
  if (strict.waiting.held instanceof OpeningFifo) return strict.waiting.held.resume(call, strict, flags);
  if (path === 0) return -EFAULT;
  const copied = name.copy(call, strict, at, path, 0, (flags & CHANGING) === 0 ? peekString : copyString);
  return copied < 0 ? copied : openCopied(call, strict, flags, mode, resolve);
}

/** What `name` has. */
function openCopied(call: Trapped, strict: Strict, flags: number, mode: number, resolve: number): number {
  const known = name.file;
  if ((known !== undefined || name.isMagic) && (resolve & (OWN_LINKS | fcntl.RESOLVE_NO_SYMLINKS)) !== 0) return -ELOOP;
  if (known !== undefined && !(known instanceof HostFile)) return strict.descriptors.give(call, known, (flags & fcntl.O_CLOEXEC) !== 0);
  const makes = (flags & fcntl.O_CREAT) !== 0 || (flags & O_TMPFILE) === O_TMPFILE;
  if (makes) kernel.setMask(strict.surroundings.mask(call.pid));
  strict.callers.asCaller(call);
  const wanted = (flags & fcntl.O_PATH) === 0 ? (flags & KNOWN) | fcntl.O_NOCTTY | fcntl.O_NONBLOCK : flags & WITH_PATH;
  const opened = known === undefined ? openName(strict, call, wanted, makes ? mode & 0o7777 : 0, resolve) : strict.procfs.reopen(known.fd, wanted);
  const isElsewhere = (opened === -ENOENT || opened === -ELOOP) && known === undefined && (flags & fcntl.O_NOFOLLOW) === 0 && name.follow(call, strict);
  if (isElsewhere) return openCopied(call, strict, flags, mode, resolve);
  const isFifo = opened === -ENXIO && known === undefined && (flags & fcntl.O_ACCMODE) === fcntl.O_WRONLY;
  if (opened === -ENXIO && known === undefined && isNameOfTerminal(strict, call, resolve)) return giveControlling(call, strict, flags);
  if (isFifo) return openUnread(call, strict, flags, resolve);
  if (opened < 0) return opened;
  const fd = new Fd(opened);
  if (known !== undefined || name.isMagic) lookAt(opened);
  const type = looked.view.getUint16(STATX.mode, true);
  if ((type & fcntl.S_IFMT) === fcntl.S_IFCHR && (flags & fcntl.O_PATH) === 0 && isOwnTerminal(fd.number)) {
    fd.close();
    return giveControlling(call, strict, flags);
  }
  if ((type & fcntl.S_IFMT) === fcntl.S_IFIFO && (flags & fcntl.O_PATH) === 0) return openNode(call, strict, fd, flags);
  const file = describe(strict, fd, flags, type);
  if (file instanceof HostFile) {
    file.opener = strict.callers.task(call)?.leader;
    file.desk = strict.volumes.ofDevice(looked.view.getUint32(STATX.major, true), looked.view.getUint32(STATX.minor, true));
  }
  if (typeof file === "number") {
    fd.close();
    return file;
  }
  return strict.descriptors.give(call, file, (flags & fcntl.O_CLOEXEC) !== 0);
}

/** struct statx: mode, and major and minor of the file system's device. */
const STATX = { mode: 0x1c, major: 0x88, minor: 0x8c, type: 1 | 2 } as const;
const looked = permanentBlock(STATX_SIZE);

/** Type and device of an open file, into `looked`. @returns its device. */
function lookAt(fd: number): number {
  kernel.statx(fd, kernel.EMPTY_PATH, fcntl.AT_EMPTY_PATH | fcntl.AT_STATX_DONT_SYNC, STATX.type, looked.address);
  return looked.view.getUint32(STATX.major, true) * 0x10_0000 + looked.view.getUint32(STATX.minor, true);
}

/** The kernel refuses to open a named pipe that nobody reads, before anybody can wait for a reader: without opening it, it is looked at. */
function openUnread(call: Trapped, strict: Strict, flags: number, resolve: number): number {
  const node = openName(strict, call, fcntl.O_PATH | (flags & fcntl.O_NOFOLLOW), 0, resolve);
  if (node < 0) return node;
  if (isWritableFifo(node)) return openFifo(call, strict, new Fd(node), flags, (flags & ~CREATION) | O_LARGEFILE);
  kernel.close(node);
  return -ENXIO;
}

function isNameOfTerminal(strict: Strict, call: Trapped, resolve: number): boolean {
  const node = openName(strict, call, fcntl.O_PATH, 0, resolve);
  if (node < 0) return false;
  const result = isOwnTerminal(node);
  kernel.close(node);
  return result;
}

function giveControlling(call: Trapped, strict: Strict, flags: number): number {
  const opened = openControlling(call, strict, (flags & KNOWN) | fcntl.O_NOCTTY | fcntl.O_NONBLOCK);
  if (opened < 0) return opened;
  const fd = new Fd(opened);
  return strict.descriptors.give(call, strict.streams.make(fd, (flags & ~CREATION) | O_LARGEFILE, statAt(fd).mode), (flags & fcntl.O_CLOEXEC) !== 0);
}

/** The kernel's pipe is of no use; what stays is its name. */
function openNode(call: Trapped, strict: Strict, fd: Fd, flags: number): number {
  using pipe = fd;
  const node = strict.procfs.reopen(pipe, fcntl.O_PATH);
  return node < 0 ? node : openFifo(call, strict, new Fd(node), flags, (flags & ~CREATION) | O_LARGEFILE);
}

/** The kernel resolves; a relative name starts in the working directory, to which a link of /proc leads. */
function openName(strict: Strict, call: Trapped, flags: number, mode: number, resolve: number): number {
  if (name.isMagic) return openBehindLink(strict, call, flags, mode, resolve);
  name.startInDirectory(call, strict, true);
  const isApart = name.isBelowDirectory && name.dir === strict.procfs.fd.number;
  const directory = isApart ? strict.procfs.openDirectory(call) : undefined;
  if (directory !== undefined && directory < 0) return directory;
  const result = kernel.open(directory ?? name.dir, name.ownPath, flags, mode, resolve | OWN_LINKS);
  const isRefused = result >= 0 && strict.procfs.isProc(result, lookAt(result)) && !mayOpen(strict, call, directory ?? name.dir, flags);
  if (directory !== undefined) kernel.close(directory);
  if (isRefused) kernel.close(result);
  return isRefused ? -EACCES : result;
}

/** The kernel follows links to other tasks' files for whom it lets look into them: the caller, not us. */
function openBehindLink(strict: Strict, call: Trapped, flags: number, mode: number, resolve: number): number {
  strict.callers.asCallerAlone(call);
  const result = kernel.open(name.dir, name.path, flags, mode, resolve);
  strict.callers.asCaller(call);
  return result;
}

/** What a file of /proc tells of another task is that task's own and its tracers': the sentry may trace every task, the caller may not. */
function mayOpen(strict: Strict, call: Trapped, directory: number, flags: number): boolean {
  if (!strict.callers.asCallerAlone(call)) return true;
  const again = kernel.open(directory, name.ownPath, flags & ~CREATION, 0, OWN_LINKS);
  strict.callers.asCaller(call);
  if (again >= 0) kernel.close(again);
  return again >= 0;
}

/** What an open file is to the guest. */
function describe(strict: Strict, fd: Fd, flags: number, mode: number): Description | number {
  const kept = (flags & ~CREATION) | O_LARGEFILE;
  if ((flags & fcntl.O_PATH) !== 0) return new HostFile(fd, kept, mode);
  switch (mode & fcntl.S_IFMT) {
    case fcntl.S_IFREG:
    case fcntl.S_IFDIR:
      return new HostFile(fd, kept, mode);
    case fcntl.S_IFCHR:
      return strict.streams.make(fd, kept, mode);
    default:
      return -ENXIO;
  }
}
