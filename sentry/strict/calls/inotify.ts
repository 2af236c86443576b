/** inotify(7): the sentry watches for the guest, with a descriptor of its own for each of the guest's, what the caller may read. */
import { EBADF, EFAULT, EINVAL } from "../../../linux/abi/errno.ts";
import { O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_PATH, O_RDONLY } from "../../../linux/abi/fcntl.ts";
import { Fd } from "../../../linux/fd.ts";
import type { Block } from "../../../linux/memory.unsafe.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import { HostFile, HostStream } from "../objects/files.ts";
import { name } from "../paths.ts";
import type { Handler, Strict } from "../strict.ts";
import type { Trapped } from "../trapped.ts";

const AT_FDCWD = -100;
const IN_ONLYDIR = 0x0100_0000;
const IN_DONT_FOLLOW = 0x0200_0000;

class Watches extends HostStream {
  readonly #strict: Strict;

  constructor(strict: Strict, fd: Fd, flags: number) {
    super(fd, flags, 0o600, strict.epoll);
    this.#strict = strict;
  }

  /** What the guest has closed before is among what it reads. */
  override read(into: Block, size: number, position: number): number {
    this.#strict.noticeClosed();
    return super.read(into, size, position);
  }
}

function make(call: Trapped, strict: Strict, flags: number): number {
  if ((flags & ~(O_CLOEXEC | O_NONBLOCK)) !== 0) return -EINVAL;
  const made = kernel.makeWatcher(O_CLOEXEC | O_NONBLOCK);
  if (made < 0) return made;
  const watches = new Watches(strict, new Fd(made), O_RDONLY | (flags & O_NONBLOCK));
  strict.streams.add(watches);
  return strict.descriptors.give(call, watches, (flags & O_CLOEXEC) !== 0);
}

export const inotify_init: Handler = (call, strict) => make(call, strict, 0);
export const inotify_init1: Handler = (call, strict) => make(call, strict, call.int(0));

function find(call: Trapped, strict: Strict): Watches | number {
  const file = strict.descriptors.file(call, call.int(0));
  return file === undefined ? -EBADF : file instanceof Watches ? file : -EINVAL;
}

export const inotify_add_watch: Handler = (call, strict) => {
  const watches = find(call, strict);
  if (typeof watches === "number") return watches;
  if (call.arg(1) === 0) return -EFAULT;
  const taken = name.copy(call, strict, AT_FDCWD, call.arg(1));
  if (taken < 0) return taken;
  strict.callers.asCaller(call);
  const mask = call.int(2);
  if (name.file instanceof HostFile) return kernel.watch(watches.fd.number, strict.procfs.pathOf(name.file.fd.number), mask & ~IN_DONT_FOLLOW);
  const flags = O_PATH | ((mask & IN_DONT_FOLLOW) === 0 ? 0 : O_NOFOLLOW) | ((mask & IN_ONLYDIR) === 0 ? 0 : O_DIRECTORY);
  const fd = kernel.open(name.dir, name.path, flags, 0, 0);
  if (fd < 0) return fd;
  const result = kernel.watch(watches.fd.number, strict.procfs.pathOf(fd), mask & ~IN_DONT_FOLLOW);
  kernel.close(fd);
  return result;
};

export const inotify_rm_watch: Handler = (call, strict) => {
  const watches = find(call, strict);
  return typeof watches === "number" ? watches : kernel.unwatch(watches.fd.number, call.int(1));
};
