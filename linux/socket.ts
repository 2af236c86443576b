/** Unix sockets and the passing of descriptors over them. Sources: unix(7), sendmsg(2), cmsg(3). */
import { SYS } from "./arch.ts";
import { EINVAL, EMSGSIZE, ENAMETOOLONG, EPIPE } from "./abi/errno.ts";
import { check, SysError } from "./errors.ts";
import { Fd, fdNumber, type FdLike } from "./fd.ts";
import { scratch, type Scratch } from "./memory.unsafe.ts";
import { retrying, syscall } from "./syscall.unsafe.ts";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
export const SOCK_SEQPACKET = 5;
const SOCK_CLOEXEC = 0o2000000;
const SHUT_WR = 1;
export const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_NOSIGNAL = 0x4000;
/** Without effect here; a mark by which the filter of the policy `strict` lets init's last messages pass (policies/syscalls/strict.ts). */
const MSG_EOR = 0x80;
const MSG_CMSG_CLOEXEC = 0x40000000;
const MSG_CTRUNC = 0x8;
const MSG_TRUNC = 0x20;
const MSGHDR_SIZE = 56;
const MSGHDR_FLAGS_OFFSET = 48;
const CMSG_HEADER = 16;
/** Most descriptors in one message. */
export const MAX_FDS = 16;
const SUN_PATH_MAX = 107;
export const SO_PEERCRED = 17;
/** struct ucred: pid, uid, gid. */
const UCRED_SIZE = 12;

/** A connected pair that keeps message boundaries and shows the peer's end as an empty message. */
export function socketPair(type = SOCK_SEQPACKET): [Fd, Fd] {
  using s = scratch();
  const pair = s.reserve(8);
  check(syscall(SYS.socketpair, AF_UNIX, type | SOCK_CLOEXEC, 0, pair.address), "socketpair");
  return [new Fd(pair.view.getInt32(0, true)), new Fd(pair.view.getInt32(4, true))];
}

/**
 * struct sockaddr_un. @throws SysError ENAMETOOLONG over 107 bytes; EINVAL for an empty path or one with a NUL, by which the kernel would
 * take it for an abstract name, that anybody in the network namespace can claim.
 */
function unixAddress(s: Scratch, path: string): { address: number; size: number } {
  const length = Buffer.byteLength(path);
  if (path === "" || path.includes("\0")) throw new SysError({ syscall: "socket", errno: EINVAL, path: JSON.stringify(path) });
  if (length > SUN_PATH_MAX) throw new SysError({ syscall: "socket", errno: ENAMETOOLONG, path });
  const block = s.reserve(SUN_PATH_MAX + 3);
  block.view.setUint16(0, AF_UNIX, true);
  block.bytes.set(Buffer.from(path), 2);
  return { address: block.address, size: length + 3 };
}

function onUnixSocket(type: number, path: string, call: number, name: string): Fd {
  using s = scratch();
  const { address, size } = unixAddress(s, path);
  const fd = new Fd(check(syscall(SYS.socket, AF_UNIX, type | SOCK_CLOEXEC, 0), "socket"));
  const result = retrying(call, fd.number, address, size);
  if (result < 0) fd.close();
  check(result, name, path);
  return fd;
}

/** Connects to the socket at `path`, at most 107 bytes long. @throws SysError */
export function connectUnix(path: string, type = SOCK_STREAM): Fd {
  return onUnixSocket(type, path, SYS.connect, "connect");
}

/** A listening socket at `path`, which must not exist yet. */
export function listenUnix(path: string, type = SOCK_STREAM): Fd {
  const fd = onUnixSocket(type, path, SYS.bind, "bind");
  check(syscall(SYS.listen, fd.number, 16), "listen", path);
  return fd;
}

/** Waits for a connection. */
export function acceptUnix(listener: FdLike): Fd {
  return new Fd(check(retrying(SYS.accept4, fdNumber(listener), 0, 0, SOCK_CLOEXEC), "accept4"));
}

/** The next connection of a non-blocking listener, or undefined: none, or one that was given up. Source: accept4(2). */
export function tryAccept(listener: FdLike): Fd | undefined {
  const result = syscall(SYS.accept4, fdNumber(listener), 0, 0, SOCK_CLOEXEC);
  return result < 0 ? undefined : new Fd(result);
}

/** Tells the other side that there is no more to come. @returns 0 or the negative errno: ENOTCONN where it has gone. Source: shutdown(2). */
export function shutdownWrite(fd: FdLike): number {
  return syscall(SYS.shutdown, fdNumber(fd), SHUT_WR);
}

function messageHeader(s: Scratch, data: { address: number; size: number }, control: { address: number; size: number }) {
  const iov = s.reserve(16);
  iov.view.setBigUint64(0, BigInt(data.address), true);
  iov.view.setBigUint64(8, BigInt(data.size), true);
  const header = s.reserve(MSGHDR_SIZE);
  header.view.setBigUint64(16, BigInt(iov.address), true);
  header.view.setBigUint64(24, 1n, true);
  header.view.setBigUint64(32, BigInt(control.size === 0 ? 0 : control.address), true);
  header.view.setBigUint64(40, BigInt(control.size), true);
  return header;
}

/** Sends one message, with copies of at most 16 descriptors. @throws SysError EPIPE where the peer is gone; no SIGPIPE. */
export function sendMessage(socket: FdLike, data: Uint8Array, fds: readonly FdLike[] = [], flags = MSG_NOSIGNAL | MSG_EOR): void {
  if (fds.length > MAX_FDS) throw new RangeError(`${fds.length} descriptors in one message`);
  using s = scratch();
  const payload = s.reserve(data.length);
  payload.bytes.set(data);
  const control = s.reserve(fds.length === 0 ? 0 : CMSG_HEADER + ((4 * fds.length + 7) & ~7));
  if (fds.length > 0) {
    control.view.setBigUint64(0, BigInt(CMSG_HEADER + 4 * fds.length), true);
    control.view.setInt32(8, SOL_SOCKET, true);
    control.view.setInt32(12, SCM_RIGHTS, true);
    for (const [i, fd] of fds.entries()) control.view.setInt32(CMSG_HEADER + 4 * i, fdNumber(fd), true);
  }
  const header = messageHeader(s, payload, control);
  check(retrying(SYS.sendmsg, fdNumber(socket), header.address, flags), "sendmsg");
}

export interface Message {
  readonly data: Uint8Array;
  /** Owned by the receiver, close-on-exec. */
  readonly fds: readonly Fd[];
}

/**
 * Waits for one message of at most `limit` bytes and 16 descriptors.
 * @returns undefined where the peer has closed.
 * @throws SysError EMSGSIZE for a longer one or one with more descriptors; those that did arrive are closed.
 */
export function receiveMessage(socket: FdLike, limit = 65536): Message | undefined {
  using s = scratch();
  const payload = s.reserve(limit);
  const control = s.reserve(CMSG_HEADER + 4 * MAX_FDS);
  const header = messageHeader(s, payload, control);
  const length = check(retrying(SYS.recvmsg, fdNumber(socket), header.address, MSG_CMSG_CLOEXEC), "recvmsg");
  const fds = receivedFds(control.view, Number(header.view.getBigUint64(40, true)));
  if ((header.view.getUint32(MSGHDR_FLAGS_OFFSET, true) & (MSG_TRUNC | MSG_CTRUNC)) !== 0) {
    for (const fd of fds) fd.close();
    throw new SysError({ syscall: "recvmsg", errno: EMSGSIZE, hint: `more than ${limit} bytes or ${MAX_FDS} descriptors` });
  }
  return length === 0 && fds.length === 0 ? undefined : { data: payload.bytes.slice(0, length), fds };
}

/** The descriptors of the one control message that our sockets, without SO_PASSCRED and the like, can receive. */
function receivedFds(control: DataView, controlLength: number): Fd[] {
  const fds: Fd[] = [];
  const isRights = controlLength > CMSG_HEADER && control.getInt32(8, true) === SOL_SOCKET && control.getInt32(12, true) === SCM_RIGHTS;
  const end = isRights ? Number(control.getBigUint64(0, true)) : 0;
  for (let offset = CMSG_HEADER; offset + 4 <= end; offset += 4) fds.push(new Fd(control.getInt32(offset, true)));
  return fds;
}

/**
 * Who connected a socket, or made the pair that it is of: the process's id as the caller counts; 0 where it cannot be seen from here.
 * Source: unix(7), SO_PEERCRED.
 */
export function peerPid(socket: FdLike): number {
  using s = scratch();
  const credentials = s.reserve(UCRED_SIZE);
  const length = s.reserve(4);
  length.view.setUint32(0, UCRED_SIZE, true);
  check(syscall(SYS.getsockopt, fdNumber(socket), SOL_SOCKET, SO_PEERCRED, credentials.address, length.address), "getsockopt", "SO_PEERCRED");
  return credentials.view.getInt32(0, true);
}

/** Whether an error says that the other side is gone. */
export function isPeerGone(error: unknown): boolean {
  return error instanceof SysError && error.errno === EPIPE;
}
