/** What a loop that must not block needs of its sockets. Sources: fcntl(2), shutdown(2). */
import { F_GETFL, F_SETFL, O_NONBLOCK } from "./abi/fcntl.ts";
import { SYS } from "./arch.ts";
import { check } from "./errors.ts";
import { Fd, fdNumber, type FdLike } from "./fd.ts";
import { syscall } from "./syscall.unsafe.ts";

const SHUT_WR = 1;
const SOCK_CLOEXEC = 0o2000000;

/** From now on, a call that would have to wait fails with EAGAIN. It holds for everybody who shares the open file. */
export function setNonBlocking(fd: FdLike): void {
  const flags = check(syscall(SYS.fcntl, fdNumber(fd), F_GETFL), "fcntl", "F_GETFL");
  check(syscall(SYS.fcntl, fdNumber(fd), F_SETFL, flags | O_NONBLOCK), "fcntl", "F_SETFL");
}

/** Tells the other side that there is no more to come. @returns 0 or the negative errno: ENOTCONN where it has gone. */
export function shutdownWrite(fd: FdLike): number {
  return syscall(SYS.shutdown, fdNumber(fd), SHUT_WR);
}

/** The next connection of a non-blocking listener, or undefined: none, or one that was given up. Source: accept4(2). */
export function tryAccept(listener: FdLike): Fd | undefined {
  const result = syscall(SYS.accept4, fdNumber(listener), 0, 0, SOCK_CLOEXEC);
  return result < 0 ? undefined : new Fd(result);
}
