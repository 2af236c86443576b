/**
 * Calls that the kernel has to do with a file of its own: mapping it, entering it as a directory, executing it. The file takes the placeholder's
 * place in the caller's table, and the kernel goes on. It need not be put back: the next call that uses the number finds a file that is no
 * placeholder, and takes it in again (Descriptors.file), with the position and locks that it has, since it is the same open file.
 */
import { EBADF, EINVAL, ENODEV, ENOTDIR } from "../../../linux/abi/errno.ts";
import { AT_EMPTY_PATH, O_NOCTTY, O_NONBLOCK, O_PATH, O_RDONLY, S_IFDIR, S_IFMT } from "../../../linux/abi/fcntl.ts";
import { Fd } from "../../../linux/fd.ts";
import { madeBy } from "../../../linux/made-by.ts";
import { CONTINUE } from "../../platform/platform.ts";
import { HostFile, HostStream } from "../objects/files.ts";
import type { Handler, Strict } from "../strict.ts";
import type { Trapped } from "../trapped.ts";

/** @param isFit whether this call can be made with such a file; else `errno`. */
function lend(call: Trapped, strict: Strict, number: number, isFit: (file: HostFile) => boolean, errno: number): number {
  const found = strict.descriptors.find(call, number);
  // One that is not open is the kernel's to refuse; one that cannot be looked at is that of a process which enters by exec, still the runtime's.
  if (found.kind !== "ours") return CONTINUE;
  const file = found.description;
  if (!(file instanceof HostFile) || !isFit(file)) return errno;
  const closes = strict.procfs.isClosedOnExec(call, number);
  if ((file.flags & O_PATH) !== 0) return lendOpened(call, strict, file, number, closes);
  file.isLent = true;
  const result = call.replaceDescriptor(file.fd, number, closes);
  return result < 0 ? result : CONTINUE;
}

/** The kernel gives nobody a descriptor of O_PATH: it becomes an ordinary one, where the caller may read what it stands for. */
function lendOpened(call: Trapped, strict: Strict, { fd, desk }: HostFile, number: number, closes: boolean): number {
  strict.callers.asCaller(call);
  madeBy(desk?.maker);
  const opened = strict.procfs.reopen(fd, O_RDONLY | O_NOCTTY | O_NONBLOCK);
  if (opened < 0) return opened;
  using readable = new Fd(opened);
  const result = call.replaceDescriptor(readable, number, closes);
  return result < 0 ? result : CONTINUE;
}

/** For what the kernel is to do in the caller's own name: memory that a write takes is the caller's. */
export const lendToWrite = (call: Trapped, strict: Strict): number => lend(call, strict, call.int(0), () => true, -EBADF);

/** The same for a copy out of a regular file. @param from and @param to numbers of the caller's. */
export function lendToCopy(call: Trapped, strict: Strict, from: number, to: number): number {
  const result = lend(call, strict, from, (file) => file.isRegular, -EINVAL);
  return result === CONTINUE ? lend(call, strict, to, () => true, -EBADF) : result;
}

export const mmap: Handler = (call, strict) => lend(call, strict, call.int(4), (file) => file.isRegular, -ENODEV);

export const fchdir: Handler = (call, strict) => {
  const result = lend(call, strict, call.int(0), ({ mode }) => (mode & S_IFMT) === S_IFDIR, -ENOTDIR);
  if (result === CONTINUE) strict.callers.moves(call);
  return result;
};

/** A descriptor of a process is the kernel's to use, as which /proc/PID serves as well. */
const lendProcess: Handler = (call, strict) => lend(call, strict, call.int(0), (file) => file instanceof HostStream || (file.mode & S_IFMT) === S_IFDIR, -EBADF);

export const pidfd_send_signal = lendProcess;

/** Of P_PIDFD; the filter leaves other kinds to the kernel. */
export const waitid: Handler = (call, strict) => lend(call, strict, call.int(1), (file) => file instanceof HostStream, -EBADF);

/** With a name it is the kernel's to find, below what the descriptor stands for. */
export const execveat: Handler = (call, strict) => {
  strict.callers.becomes(call);
  const at = call.int(0);
  if (at < 0 || !strict.namespaces.hasEntered) return CONTINUE;
  const isFile = (call.int(4) & AT_EMPTY_PATH) !== 0;
  return lend(call, strict, at, (file) => isFile || (file.mode & S_IFMT) === S_IFDIR, -ENOTDIR);
};
