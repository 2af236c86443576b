/** fcntl(2) whose argument is a number. */
import { SYS } from "./arch.ts";
import { check } from "./errors.ts";
import { fdNumber, type FdLike } from "./fd.ts";
import { syscall } from "./syscall.unsafe.ts";

/** @param command `F_*`. @throws SysError */
export function fcntl(fd: FdLike, command: number, argument: number): number {
  return check(syscall(SYS.fcntl, fdNumber(fd), command, argument), "fcntl");
}
