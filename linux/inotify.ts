/** inotify(7): what happens in directories, read into a block. */
import { SYS } from "./arch.ts";
import type { CString } from "./c-string.ts";
import { Fd } from "./fd.ts";
import { syscall } from "./syscall.unsafe.ts";

const IN_NONBLOCK = 0o4000;
const IN_CLOEXEC = 0o2000000;

export const IN = {
  MODIFY: 0x2, ATTRIB: 0x4, MOVED_FROM: 0x40, MOVED_TO: 0x80, CREATE: 0x100, DELETE: 0x200, Q_OVERFLOW: 0x4000, IGNORED: 0x8000,
  EXCL_UNLINK: 0x0400_0000,
} as const;
/** struct inotify_event. */
export const INOTIFY_EVENT = { wd: 0, mask: 4, length: 12, name: 16 } as const;

/** @returns undefined where the user has as many as are allowed. */
export function createInotify(): Fd | undefined {
  const result = syscall(SYS.inotify_init1, IN_NONBLOCK | IN_CLOEXEC);
  return result < 0 ? undefined : new Fd(result);
}

/** @returns the watch's number or the negative errno; ENOSPC for one more than is allowed. */
export function tryWatch(inotify: Fd, path: CString, mask: number): number {
  return syscall(SYS.inotify_add_watch, inotify.number, path.address, mask);
}

export function tryUnwatch(inotify: Fd, watch: number): number {
  return syscall(SYS.inotify_rm_watch, inotify.number, watch);
}
