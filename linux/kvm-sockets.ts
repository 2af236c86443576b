/** What a loop that must not block needs of its sockets. Sources: shutdown(2), accept4(2). */
import { SYS } from "./arch.ts";
import { Fd, fdNumber, type FdLike } from "./fd.ts";
import { syscall } from "./syscall.unsafe.ts";

const SHUT_WR = 1;
const SOCK_CLOEXEC = 0o2000000;

/** Tells the other side that there is no more to come. @returns 0 or the negative errno: ENOTCONN where it has gone. */
export function shutdownWrite(fd: FdLike): number {
  return syscall(SYS.shutdown, fdNumber(fd), SHUT_WR);
}

/** The next connection of a non-blocking listener, or undefined: none, or one that was given up. Source: accept4(2). */
export function tryAccept(listener: FdLike): Fd | undefined {
  const result = syscall(SYS.accept4, fdNumber(listener), 0, 0, SOCK_CLOEXEC);
  return result < 0 ? undefined : new Fd(result);
}
