/**
 * System calls made for another task: flags and modes are the other's, every pointer is one to our own copy. Results are values or negative
 * errnos; nothing is allocated. Sources: the man page named like each function.
 */
import { SYS } from "./arch.ts";
import { permanentBlock, type Addr } from "./memory.unsafe.ts";
import { syscall } from "./made-by.ts";
import { F_GETFL, F_SETFL, O_CLOEXEC } from "./abi/fcntl.ts";
import { OPEN_HOW_SIZE } from "./abi/openat2.ts";
import { POLLFD_SIZE } from "./abi/poll.ts";

const how = permanentBlock(OPEN_HOW_SIZE);
const empty = permanentBlock(8);

/** Of a path; `empty` where the descriptor itself is meant (AT_EMPTY_PATH). */
export const EMPTY_PATH: Addr = empty.address;

/** openat2(2), always close-on-exec. */
export function open(dir: number, path: Addr, flags: number, mode: number, resolve: number): number {
  how.view.setUint32(0, (flags | O_CLOEXEC) >>> 0, true);
  how.view.setUint32(8, mode, true);
  how.view.setUint32(16, resolve, true);
  return syscall(SYS.openat2, dir, path, how.address, OPEN_HOW_SIZE);
}

export const stat = (dir: number, path: Addr, buffer: Addr, flags: number): number => syscall(SYS.newfstatat, dir, path, buffer, flags);
export const statx = (dir: number, path: Addr, flags: number, mask: number, buffer: Addr): number => syscall(SYS.statx, dir, path, flags, mask, buffer);
export const access = (dir: number, path: Addr, mode: number, flags: number): number => syscall(SYS.faccessat2, dir, path, mode, flags);
export const readLink = (dir: number, path: Addr, buffer: Addr, size: number): number => syscall(SYS.readlinkat, dir, path, buffer, size);
export const makeDirectory = (dir: number, path: Addr, mode: number): number => syscall(SYS.mkdirat, dir, path, mode);
/** @param mode with the type: S_IFREG, S_IFIFO, S_IFSOCK. */
export const makeNode = (dir: number, path: Addr, mode: number): number => syscall(SYS.mknodat, dir, path, mode, 0);
export const unlink = (dir: number, path: Addr, flags: number): number => syscall(SYS.unlinkat, dir, path, flags);
export const rename = (from: number, path: Addr, to: number, target: Addr, flags: number): number => syscall(SYS.renameat2, from, path, to, target, flags);
export const link = (from: number, path: Addr, to: number, target: Addr, flags: number): number => syscall(SYS.linkat, from, path, to, target, flags);
export const symlink = (content: Addr, dir: number, path: Addr): number => syscall(SYS.symlinkat, content, dir, path);
export const changeMode = (dir: number, path: Addr, mode: number, flags: number): number => syscall(SYS.fchmodat2, dir, path, mode, flags);
export const changeOwner = (dir: number, path: Addr, uid: number, gid: number, flags: number): number => syscall(SYS.fchownat, dir, path, uid, gid, flags);
export const setTimes = (dir: number, path: Addr, times: Addr, flags: number): number => syscall(SYS.utimensat, dir, path, times, flags);
type AttributeCall = "getxattr" | "setxattr" | "listxattr" | "removexattr";
/** xattr(7), of what a path leads to. */
export const attribute = (call: AttributeCall, path: Addr, ...rest: number[]): number => syscall(SYS[call], path, ...rest);
export const makeWatcher = (flags: number): number => syscall(SYS.inotify_init1, flags);
export const watch = (fd: number, path: Addr, mask: number): number => syscall(SYS.inotify_add_watch, fd, path, mask);
export const unwatch = (fd: number, watch: number): number => syscall(SYS.inotify_rm_watch, fd, watch);
export const statFsOf = (fd: number, buffer: Addr): number => syscall(SYS.fstatfs, fd, buffer);
export const read = (fd: number, buffer: Addr, size: number): number => syscall(SYS.read, fd, buffer, size);
export const write = (fd: number, buffer: Addr, size: number): number => syscall(SYS.write, fd, buffer, size);
export const readAt = (fd: number, buffer: Addr, size: number, position: number): number => syscall(SYS.pread64, fd, buffer, size, position);
export const writeAt = (fd: number, buffer: Addr, size: number, position: number): number => syscall(SYS.pwrite64, fd, buffer, size, position);
/** @returns what may need all 64 bits: a directory's position is any number (koffi then gives a bigint), and one in /proc/PID/mem is negative. */
export const seek = (fd: number, position: number | bigint, whence: number): number | bigint => syscall(SYS.lseek, fd, position, whence);
export const listEntries = (fd: number, buffer: Addr, size: number): number => syscall(SYS.getdents64, fd, buffer, size);
export const resize = (fd: number, size: number): number => syscall(SYS.ftruncate, fd, size);
export const allocate = (fd: number, mode: number, position: number, size: number): number => syscall(SYS.fallocate, fd, mode, position, size);
export const sync = (fd: number, dataOnly: boolean): number => syscall(dataOnly ? SYS.fdatasync : SYS.fsync, fd);
export const lock = (fd: number, operation: number): number => syscall(SYS.flock, fd, operation);
/** @param command of fcntl(2), about a struct flock. */
export const lockRange = (fd: number, command: number, lock: Addr): number => syscall(SYS.fcntl, fd, command, lock);
export const control = (fd: number, request: number, argument: Addr): number => syscall(SYS.ioctl, fd, request, argument);
export const setMask = (mask: number): number => syscall(SYS.umask, mask);
/** A copy of another process's descriptor, close-on-exec. */
export const copyDescriptor = (pidfd: number, number: number): number => syscall(SYS.pidfd_getfd, pidfd, number, 0);
export const pidfd = (pid: number): number => syscall(SYS.pidfd_open, pid, 0);
/** Both must be in the caller's pid namespace. @returns whether both descriptors are of one open file. */
export function isSameFile(pid: number, number: number, other: number, otherNumber: number): boolean {
  const KCMP_FILE = 0;
  return syscall(SYS.kcmp, pid, other, KCMP_FILE, number, otherNumber) === 0;
}
export const close = (fd: number): number => syscall(SYS.close, fd);
export const getFlags = (fd: number): number => syscall(SYS.fcntl, fd, F_GETFL, 0);
export const setFlags = (fd: number, flags: number): number => syscall(SYS.fcntl, fd, F_SETFL, flags);
export const makeTimer = (clock: number, flags: number): number => syscall(SYS.timerfd_create, clock, flags);
export const setTimer = (fd: number, flags: number, value: Addr, old: Addr): number => syscall(SYS.timerfd_settime, fd, flags, value, old);
export const getTimer = (fd: number, value: Addr): number => syscall(SYS.timerfd_gettime, fd, value);
/** signalfd(2). @param fd -1 for a new one. @param mask 8 bytes. */
export const makeSignals = (fd: number, mask: Addr, flags: number): number => syscall(SYS.signalfd4, fd, mask, 8, flags);
export const makeEpoll = (flags: number): number => syscall(SYS.epoll_create1, flags);
/** @param event struct epoll_event. */
export const controlEpoll = (fd: number, operation: number, of: number, event: Addr): number => syscall(SYS.epoll_ctl, fd, operation, of, event);
/** What is ready, at once. */
export const lookAtEpoll = (fd: number, events: Addr, most: number): number => syscall(SYS.epoll_wait, fd, events, most, 0);
export const makeMemoryFile = (name: Addr, flags: number): number => syscall(SYS.memfd_create, name, flags);
export const seal = (fd: number, command: number, seals: number): number => syscall(SYS.fcntl, fd, command, seals);
export const makeSocket = (family: number, type: number, protocol: number): number => syscall(SYS.socket, family, type, protocol);
export const bind = (fd: number, address: Addr, size: number): number => syscall(SYS.bind, fd, address, size);
export const connect = (fd: number, address: Addr, size: number): number => syscall(SYS.connect, fd, address, size);
export const listen = (fd: number, backlog: number): number => syscall(SYS.listen, fd, backlog);
export const accept = (fd: number, flags: number): number => syscall(SYS.accept4, fd, 0, 0, flags);
/** @param size address of the address's room, and then of its size. */
export const localName = (fd: number, address: Addr, size: Addr): number => syscall(SYS.getsockname, fd, address, size);
export const peerName = (fd: number, address: Addr, size: Addr): number => syscall(SYS.getpeername, fd, address, size);
export const shutDown = (fd: number, how: number): number => syscall(SYS.shutdown, fd, how);
export const getOption = (fd: number, level: number, option: number, value: Addr, size: Addr): number => syscall(SYS.getsockopt, fd, level, option, value, size);
export const setOption = (fd: number, level: number, option: number, value: Addr, size: number): number => syscall(SYS.setsockopt, fd, level, option, value, size);
/** @param header of sendmsg(2): struct msghdr. */
export const send = (fd: number, header: Addr, flags: number): number => syscall(SYS.sendmsg, fd, header, flags);
export const receive = (fd: number, header: Addr, flags: number): number => syscall(SYS.recvmsg, fd, header, flags);

const polled = permanentBlock(POLLFD_SIZE);

/** What of `events` (POLL*) there is now, and POLLERR and POLLHUP. */
export function readiness(fd: number, events: number): number {
  polled.view.setInt32(0, fd, true);
  polled.view.setUint32(4, events, true);
  return syscall(SYS.poll, polled.address, 1, 0) > 0 ? polled.view.getUint16(6, true) : 0;
}
