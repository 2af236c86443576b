/**
 * Terminals: their data and settings pass through the sentry; whose terminal one is, and which process group is in its foreground, is between the
 * caller and the kernel, which then finds the terminal itself under the caller's number. Job control is ours where we read, write and set in the
 * caller's place: the kernel sees the sentry do it, which is in no session of the guest's. Sources: ioctl_tty(2), credentials(7), Linux drivers/tty/tty_jobctrl.c.
 */
import { EIO, ENOTTY, ENXIO, EPERM } from "../../../linux/abi/errno.ts";
import { O_CLOEXEC, O_NOCTTY, O_NONBLOCK, S_IFCHR, S_IFMT } from "../../../linux/abi/fcntl.ts";
import { SIGNALS } from "../../../linux/abi/signal.ts";
import { Fd } from "../../../linux/fd.ts";
import { statAt } from "../../../linux/file.ts";
import { scratch } from "../../../linux/memory.unsafe.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import { kill } from "../../../linux/process.ts";
import type { HostStream } from "../objects/files.ts";
import { copyIn, copyOut, small } from "../memory.ts";
import type { Strict } from "../strict.ts";
import type { Job } from "../tasks/tasks.ts";
import { WAITS, type Trapped } from "../trapped.ts";

const AT_FDCWD = -100;
const TCGETS = 0x5401;
const TIOCGPTPEER = 0x5441;
/** In `c_lflag` of struct termios: background processes do not write. */
const TOSTOP = 0o400;
const LOCAL_MODES = 12;

/** Commands that are passed on, with what they read and write: bytes at an address, or nothing but the argument itself. */
type Command = { readonly size: number; readonly writes: boolean; /** As tcsetattr(3): not from the background. */ readonly sets?: boolean } | "value";

const COMMANDS: ReadonlyMap<number, Command> = new Map<number, Command>([
  [TCGETS, { size: 36, writes: false }],
  [0x5402, { size: 36, writes: true, sets: true }], // TCSETS
  [0x5403, { size: 36, writes: true, sets: true }], // TCSETSW
  [0x5404, { size: 36, writes: true, sets: true }], // TCSETSF
  [0x802c_542a, { size: 44, writes: false }], // TCGETS2
  [0x402c_542b, { size: 44, writes: true, sets: true }], // TCSETS2
  [0x402c_542c, { size: 44, writes: true, sets: true }], // TCSETSW2
  [0x402c_542d, { size: 44, writes: true, sets: true }], // TCSETSF2
  [0x5413, { size: 8, writes: false }], // TIOCGWINSZ
  [0x5414, { size: 8, writes: true }], // TIOCSWINSZ
  [0x541b, { size: 4, writes: false }], // FIONREAD
  [0x5411, { size: 4, writes: false }], // TIOCOUTQ
  [0x5424, { size: 4, writes: false }], // TIOCGETD
  [0x5420, { size: 4, writes: true }], // TIOCPKT
  [0x8004_5438, { size: 4, writes: false }], // TIOCGPKT
  [0x8004_5430, { size: 4, writes: false }], // TIOCGPTN
  [0x4004_5431, { size: 4, writes: true }], // TIOCSPTLCK
  [0x8004_5439, { size: 4, writes: false }], // TIOCGPTLCK
  [0x5409, "value"], // TCSBRK
  [0x5425, "value"], // TCSBRKP
  [0x540a, "value"], // TCXONC
  [0x540b, "value"], // TCFLSH
  [0x540c, "value"], // TIOCEXCL
  [0x540d, "value"], // TIOCNXCL
]);

/** About the caller's session: TIOCSCTTY, TIOCGPGRP, TIOCSPGRP, TIOCNOTTY, TIOCGSID. */
const SESSION: ReadonlySet<number> = new Set([0x540e, 0x540f, 0x5410, 0x5422, 0x5429]);
/** TIOCSTI, TIOCLINUX, TIOCCONS, TIOCSETD, TIOCVHANGUP. */
const REFUSED: ReadonlySet<number> = new Set([0x5412, 0x541c, 0x541d, 0x5423, 0x5437]);

export function controlTerminal(call: Trapped, strict: Strict, file: HostStream): number {
  const command = call.int(1) >>> 0;
  if (SESSION.has(command)) return isCharacterDevice(file) ? strict.descriptors.lendFor(call, file, call.int(0), { fd: file.fd }) : -ENOTTY;
  if (REFUSED.has(command)) return isCharacterDevice(file) ? -EPERM : -ENOTTY;
  if (command === TIOCGPTPEER) return openPeer(call, strict, file);
  const known = COMMANDS.get(command);
  if (known === undefined) return -ENOTTY;
  if (known === "value") return kernel.control(file.fd.number, command, call.int(2));
  const refused = known.sets === true ? inBackground(call, strict, file, SIGNALS.SIGTTOU) : 0;
  if (refused !== 0) return refused;
  const copied = known.writes ? copyIn(call, call.arg(2), small, known.size) : 0;
  const result = copied < 0 ? copied : kernel.control(file.fd.number, command, small.address);
  return result < 0 || known.writes ? result : copyOut(call, call.arg(2), small, known.size);
}

const isCharacterDevice = ({ mode }: HostStream): boolean => (mode & S_IFMT) === S_IFCHR;

/** The other end of a pseudo-terminal. */
function openPeer(call: Trapped, strict: Strict, file: HostStream): number {
  const flags = call.int(2);
  const opened = kernel.control(file.fd.number, TIOCGPTPEER, (flags & ~O_CLOEXEC) | O_NOCTTY | O_NONBLOCK);
  if (opened < 0) return opened;
  const fd = new Fd(opened);
  return strict.descriptors.give(call, strict.streams.make(fd, flags & ~(O_NOCTTY | O_CLOEXEC), statAt(fd).mode), (flags & O_CLOEXEC) !== 0);
}

/** What /dev/tty means to the caller. @returns a descriptor or the negative errno. */
export function openControlling(call: Trapped, strict: Strict, flags: number): number {
  const terminal = strict.callers.jobOf(call.pid)?.terminal ?? 0;
  if (terminal === 0) return -ENXIO;
  strict.callers.asSentry();
  const [major, minor] = [(terminal >> 8) & 0xfff, (terminal & 0xff) | ((terminal >> 12) & 0xfff00)];
  using s = scratch();
  const opened = kernel.open(AT_FDCWD, s.cstr(`/dev/pts/${minor + (major - FIRST_PTY) * 256}`), flags, 0, 0);
  if (opened < 0) return -ENXIO;
  if (deviceOf(opened) === terminal) return opened;
  kernel.close(opened);
  return -ENXIO;
}

/** The first of the majors of pseudo-terminals' slaves. Source: Linux Documentation/admin-guide/devices.txt. */
const FIRST_PTY = 136;

/** As proc_pid_stat(5) has it: `tty_nr`. */
function deviceOf(fd: number): number {
  const { rdev } = statAt({ number: fd } as Fd);
  return (rdev.minor & 0xff) | (rdev.major << 8) | ((rdev.minor & ~0xff) << 12);
}

/** Whether an open file is /dev/tty, which is the sentry's terminal and not the caller's. */
export function isOwnTerminal(fd: number): boolean {
  const { mode, rdev } = statAt({ number: fd } as Fd);
  return (mode & S_IFMT) === S_IFCHR && rdev.major === 5 && rdev.minor === 0;
}

/** Before data are read from or written to it. @returns 0 where they may be; else what the handler is to return. */
export function mayRead(call: Trapped, strict: Strict, file: HostStream): number {
  return isCharacterDevice(file) ? inBackground(call, strict, file, SIGNALS.SIGTTIN) : 0;
}

export function mayWrite(call: Trapped, strict: Strict, file: HostStream): number {
  if (!isCharacterDevice(file) || kernel.control(file.fd.number, TCGETS, small.address) < 0) return 0;
  return (small.view.getUint32(LOCAL_MODES, true) & TOSTOP) === 0 ? 0 : inBackground(call, strict, file, SIGNALS.SIGTTOU);
}

/** Stops the caller's process group where the terminal is its own and another group is in the foreground. */
function inBackground(call: Trapped, strict: Strict, file: HostStream, signal: number): number {
  const job = strict.callers.jobOf(call.pid);
  if (job === undefined || job.terminal === 0 || job.group === job.foreground || job.foreground <= 0 || deviceOf(file.fd.number) !== job.terminal) return 0;
  if (strict.tasks.isDeaf(call.pid, signal)) return signal === SIGNALS.SIGTTIN ? -EIO : 0;
  if (isOrphaned(strict, job)) return -EIO;
  strict.callers.asSentry();
  kill(-job.group, signal);
  // It stops, and makes the call again when it goes on.
  strict.waiting.waitFor(call, [], 0, Infinity);
  return WAITS;
}

/** Nobody would have it go on: no process of the session's other groups is a parent in this one. Source: setpgid(2), "orphaned". */
function isOrphaned(strict: Strict, { group, session, parent }: Job): boolean {
  for (let at = parent, left = 64; at > 1 && left > 0; left--) {
    const job = strict.callers.jobOf(at);
    if (job === undefined || job.session !== session) return true;
    if (job.group !== group) return false;
    at = job.parent;
  }
  return true;
}
