/** Pseudo-terminals. Sources: pty(7), ioctl_tty(2), Linux include/uapi/asm-generic/ioctls.h. */
import { SYS } from "./arch.ts";
import { O_NOCTTY, O_RDWR } from "./abi/fcntl.ts";
import { check } from "./errors.ts";
import { Fd, fdNumber, type FdLike } from "./fd.ts";
import { ioctl, openAt, setCloseOnExec } from "./file.ts";
import { scratch } from "./memory.unsafe.ts";
import { syscall } from "./syscall.unsafe.ts";

const TCGETS = 0x5401;
const TCSETS = 0x5402;
const TIOCSCTTY = 0x540e;
const TIOCGWINSZ = 0x5413;
const TIOCSWINSZ = 0x5414;
const TIOCGPTN = 0x80045430;
const TIOCSPTLCK = 0x40045431;
const TIOCGPTPEER = 0x5441;
/** Size of the kernel's struct termios: four flag words, line, 19 control characters. */
const TERMIOS_SIZE = 36;
const CONTROL_CHARACTERS = 17;
const VTIME = 5;
const VMIN = 6;

export interface WindowSize {
  readonly rows: number;
  readonly columns: number;
}

/** A new terminal pair. The slave is opened by the master (TIOCGPTPEER), so that no path of the container's is followed. */
export interface Pty {
  readonly master: Fd;
  readonly slave: Fd;
  /** Number N of /dev/pts/N. */
  readonly index: number;
}

/** @param ptmx directory and name of the ptmx device to use. */
export function openPty(dir: FdLike, ptmx: string): Pty {
  const master = openAt(dir, ptmx, O_RDWR | O_NOCTTY);
  using s = scratch();
  const word = s.reserve(4);
  ioctl(master, TIOCSPTLCK, word.address, "TIOCSPTLCK");
  ioctl(master, TIOCGPTN, word.address, "TIOCGPTN");
  // With O_CLOEXEC the kernel would show that in /proc/PID/fdinfo whether the descriptor still has it or not (Linux drivers/tty/pty.c, ptm_open_peer).
  const slave = new Fd(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY, "TIOCGPTPEER"));
  setCloseOnExec(slave, true);
  return { master, slave, index: word.view.getUint32(0, true) };
}

export function isTerminal(fd: FdLike): boolean {
  using s = scratch();
  return syscall(SYS.ioctl, fdNumber(fd), TCGETS, s.reserve(TERMIOS_SIZE).address) >= 0;
}

export function setControllingTerminal(fd: FdLike): void {
  ioctl(fd, TIOCSCTTY, 0, "TIOCSCTTY");
}

export function getWindowSize(fd: FdLike): WindowSize {
  using s = scratch();
  const size = s.reserve(8);
  ioctl(fd, TIOCGWINSZ, size.address, "TIOCGWINSZ");
  return { rows: size.view.getUint16(0, true), columns: size.view.getUint16(2, true) };
}

export function setWindowSize(fd: FdLike, { rows, columns }: WindowSize): void {
  using s = scratch();
  const size = s.reserve(8);
  size.view.setUint16(0, rows, true);
  size.view.setUint16(2, columns, true);
  ioctl(fd, TIOCSWINSZ, size.address, "TIOCSWINSZ");
}

/** The terminal's settings as an opaque copy, for `restoreTerminal`. */
export function saveTerminal(fd: FdLike): Uint8Array {
  using s = scratch();
  const termios = s.reserve(TERMIOS_SIZE);
  ioctl(fd, TCGETS, termios.address, "TCGETS");
  return termios.bytes.slice();
}

export function restoreTerminal(fd: FdLike, saved: Uint8Array): void {
  using s = scratch();
  check(syscall(SYS.ioctl, fdNumber(fd), TCSETS, s.copy(saved)), "TCSETS");
}

/** What cfmakeraw(3) does, on a saved copy. */
export function rawMode(saved: Uint8Array): Uint8Array {
  const raw = saved.slice();
  const view = new DataView(raw.buffer);
  const clear = (offset: number, bits: number) => view.setUint32(offset, view.getUint32(offset, true) & ~bits, true);
  clear(0, 0o2753); // IGNBRK BRKINT PARMRK ISTRIP INLCR IGNCR ICRNL IXON
  clear(4, 0o1); // OPOST
  clear(8, 0o460); // CSIZE PARENB
  view.setUint32(8, view.getUint32(8, true) | 0o60, true); // CS8
  clear(12, 0o100113); // ECHO ECHONL ICANON ISIG IEXTEN
  raw[CONTROL_CHARACTERS + VTIME] = 0;
  raw[CONTROL_CHARACTERS + VMIN] = 1;
  return raw;
}
