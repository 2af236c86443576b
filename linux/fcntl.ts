/** fcntl(2) whose argument is a number. */
import { F_GETFL, F_SETFL, O_NONBLOCK } from "./abi/fcntl.ts";
import { SYS } from "./arch.ts";
import { check } from "./errors.ts";
import { fdNumber, type FdLike } from "./fd.ts";
import { syscall } from "./syscall.unsafe.ts";

/** @param command `F_*`. @throws SysError */
export function fcntl(fd: FdLike, command: number, argument: number): number {
  return check(syscall(SYS.fcntl, fdNumber(fd), command, argument), "fcntl");
}

/** From now on, a call that would have to wait fails with EAGAIN. It holds for everybody who shares the open file. @throws SysError */
export function setNonBlocking(fd: FdLike): void {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL, 0) | O_NONBLOCK);
}
