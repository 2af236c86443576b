/** Process groups and the foreground of a terminal. Sources: setpgid(2), ioctl_tty(2). */
import { SYS } from "./arch.ts";
import { check } from "./errors.ts";
import type { FdLike } from "./fd.ts";
import { ioctl } from "./file.ts";
import { scratch } from "./memory.unsafe.ts";
import { syscall } from "./syscall.unsafe.ts";

const TIOCSPGRP = 0x5410;

/** Puts process `pid` (0: the caller) into group `group` (0: one of its own). @throws SysError EACCES where a child has executed already. */
export function setProcessGroup(pid: number, group: number): void {
  check(syscall(SYS.setpgid, pid, group), "setpgid");
}

/**
 * Makes a process group of this session the terminal's foreground.
 * Preconditions: SIGTTOU is blocked or ignored where the caller is not in the foreground itself.
 */
export function setForegroundGroup(terminal: FdLike, group: number): void {
  using s = scratch();
  const word = s.reserve(4);
  word.view.setInt32(0, group, true);
  ioctl(terminal, TIOCSPGRP, word.address, "TIOCSPGRP");
}
