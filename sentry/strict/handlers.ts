/** From a call's name to what answers it. */
import { strictlyContinued, type StrictlyAnswered } from "../../policies/syscalls/trapped.ts";
import { CONTINUE } from "../platform/platform.ts";
import * as descriptors from "./calls/fcntl.ts";
import * as epolls from "./calls/epoll.ts";
import * as attributes from "./calls/xattr.ts";
import { eventfd, eventfd2 } from "./calls/eventfd.ts";
import { execveat, fchdir, mmap, pidfd_send_signal, waitid } from "./calls/lend.ts";
import { prlimit64, setrlimit } from "./calls/rlimit.ts";
import * as names from "./calls/names.ts";
import { creat, open, openat, openat2 } from "./calls/open.ts";
import { pipe, pipe2 } from "./calls/pipe.ts";
import { memfd_create } from "./calls/memfd.ts";
import { poll, ppoll, pselect6, select } from "./calls/poll.ts";
import { signalfd, signalfd4 } from "./calls/signalfd.ts";
import { timerfd_create, timerfd_gettime, timerfd_settime } from "./calls/timerfd.ts";
import { chroot } from "./calls/chroot.ts";
import * as connections from "./calls/connect.ts";
import { socket, socketpair } from "./calls/socket.ts";
import { recvfrom, recvmmsg, recvmsg } from "./calls/receive.ts";
import { sendmmsg, sendmsg, sendto } from "./calls/send.ts";
import { copy_file_range, sendfile, splice, tee, vmsplice } from "./calls/splice.ts";
import * as transfer from "./calls/read-write.ts";
import { inotify_add_watch, inotify_init, inotify_init1, inotify_rm_watch } from "./calls/inotify.ts";
import type { Handler } from "./strict.ts";

/** The sandbox's own kernel answers these under every policy (sentry/dispatch.ts). */
type Shared = "sync" | "sysinfo" | "uname";

const { fadvise64, fallocate, fcntl, fdatasync, flock, fsync, ftruncate, getdents64, ioctl, lseek, syncfs } = descriptors;
const { fgetxattr, flistxattr, fremovexattr, fsetxattr, getxattr, lgetxattr, listxattr, llistxattr, lremovexattr, lsetxattr, removexattr, setxattr } = attributes;
const { epoll_create, epoll_create1, epoll_ctl, epoll_pwait, epoll_pwait2, epoll_wait } = epolls;
const { access, chmod, chown, faccessat, faccessat2, fchmod, fchmodat, fchmodat2, fchown, fchownat, fstat, fstatfs, futimesat, getcwd, lchown, link, linkat, lstat, mkdir, mkdirat, mknod, mknodat } = names;
const { newfstatat, readlink, readlinkat, rename, renameat, renameat2, rmdir, stat, statfs, statx, symlink, symlinkat, truncate, unlink, unlinkat, utime, utimensat, utimes } = names;
const { accept, accept4, bind, connect, getpeername, getsockname, getsockopt, listen, setsockopt, shutdown } = connections;
const { pread64, preadv, preadv2, pwrite64, pwritev, pwritev2, read, readv, write, writev } = transfer;

const answered: Readonly<Record<Exclude<StrictlyAnswered, Shared>, Handler>> = {
  fgetxattr, flistxattr, fremovexattr, fsetxattr, getxattr, inotify_add_watch, inotify_init, inotify_init1, inotify_rm_watch, lgetxattr, listxattr, llistxattr, lremovexattr, lsetxattr,
  pidfd_send_signal, removexattr, setxattr, waitid,
  access, chmod, chown, creat, faccessat, faccessat2, fadvise64, fallocate, fchdir, fchmod, fchmodat, fchmodat2, fchown, fchownat, fcntl, fdatasync, flock, fstat, fstatfs, fsync,
  ftruncate, futimesat, getcwd, getdents64, ioctl, lchown, link, linkat, lseek, lstat, memfd_create, mkdir, mkdirat, mknod, mknodat, mmap, newfstatat, open, openat, openat2, pipe, pipe2, poll, ppoll,
  pread64, preadv, preadv2, pselect6, pwrite64, pwritev, pwritev2, read, readlink, readlinkat, readv, rename, renameat, renameat2, rmdir, select, sendfile, splice, stat, statfs, statx, tee, vmsplice,
  copy_file_range, epoll_create, epoll_create1, epoll_ctl, epoll_pwait, epoll_pwait2, epoll_wait, eventfd, eventfd2, signalfd, signalfd4, timerfd_create, timerfd_gettime, timerfd_settime,
  accept, accept4, bind, connect, getpeername, getsockname, getsockopt, listen, recvfrom, recvmmsg, recvmsg, sendmmsg, sendmsg, sendto, setsockopt, shutdown, socket, socketpair,
  symlink, symlinkat, syncfs, truncate, unlink, unlinkat, utime, utimensat, utimes, write, writev,
};

/** The caller may be somebody else afterwards. Source: credentials(7). */
const IDENTITY: ReadonlySet<string> = new Set(["capset", "execve", "execveat", "setfsgid", "setfsuid", "setgid", "setgroups", "setregid", "setresgid", "setresuid", "setreuid", "setuid"]);

const goOn: Handler = () => CONTINUE;

const becomeAndGoOn: Handler = (call, strict) => {
  strict.callers.becomes(call);
  return CONTINUE;
};

const continued = strictlyContinued.map((name) => [name, IDENTITY.has(name) ? becomeAndGoOn : goOn] as const);

export const strictHandlers: Readonly<Record<string, Handler>> = { ...Object.fromEntries(continued), ...answered, chroot, execveat, prlimit64, setrlimit };
