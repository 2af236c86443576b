/** Gathers what stage and init need, before the fork: everything that can be refused is refused here, while nothing has been made. */
import { existsSync, readFileSync } from "node:fs";
import process from "node:process";
import { ENOENT } from "../../linux/abi/errno.ts";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { inStep, isErrno, SysError } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { isOnProcfs, open, readLinkAt } from "../../linux/file.ts";
import { connectUnix } from "../../linux/socket.ts";
import type { ConsoleTarget, ProcessLaunch, SeccompLaunch } from "../init/launch.ts";
import type { LinuxSeccomp, Process } from "../spec/config.ts";
import { ConfigError } from "../spec/report.ts";
import type { Logger } from "../log.ts";
import { prepareSeccomp } from "./seccomp.ts";
import { refuseDirectories } from "../sandbox/streams.ts";

/** What a caller knows of it; `preserveFds` without those of socket activation. */
export interface ProcessOptions extends Omit<ProcessLaunch, "listenFds" | "filters" | "hostProc"> {
  readonly seccomp: LinuxSeccomp | undefined;
  /** The sentry's filter. */
  readonly trap: SeccompLaunch | undefined;
  /** The container's state, told its process's pid. */
  readonly stateOf: (pid: number) => object;
  readonly log: Logger;
}

/** @throws SysError, ConfigError, Error with a line for the user. */
export function prepareLaunch(options: ProcessOptions): ProcessLaunch {
  return inStep("process", () => gatherLaunch(options));
}

function gatherLaunch({ seccomp, trap, stateOf, log, ...known }: ProcessOptions): ProcessLaunch {
  refuseUnavailableLabels(known.process);
  const listenFds = activationFds();
  const preserveFds = listenFds + known.preserveFds;
  checkPreserved(preserveFds);
  if (trap !== undefined) refuseDirectories(preserveFds);
  const configured = inStep("seccomp listener", () => prepareSeccomp(seccomp, stateOf, log));
  return { ...known, preserveFds, listenFds, filters: stack(trap, configured), hostProc: openHostProc() };
}

/** The sentry's first: a configured one may refuse seccomp(2). The kernel has but one listener for them all. Source: seccomp(2), EBUSY. */
function stack(trap: SeccompLaunch | undefined, configured: SeccompLaunch | undefined): SeccompLaunch[] {
  if (trap !== undefined && configured?.listener !== undefined) throw new ConfigError("config.json", "linux.seccomp", "SCMP_ACT_NOTIFY cannot be used in a sandbox, whose sentry is the listener; use --mode namespace");
  return [trap, configured].filter((filter) => filter !== undefined);
}

/** Closes this process's copies of what was opened for the child. */
export function closeProcessLaunch({ hostProc, join, console, filters, joining }: ProcessLaunch): void {
  for (const fd of [hostProc, ...joining.tasks, joining.birthplace, ...join.map((namespace) => namespace.fd), console?.socket, ...filters.flatMap(({ listener, gate }) => [listener?.socket, gate?.socket, gate?.strace?.fd])]) fd?.close();
}

function openHostProc(): Fd {
  const fd = open("/proc", fcntl.O_PATH | fcntl.O_DIRECTORY);
  if (!isOnProcfs(fd)) throw new SysError({ syscall: "open", errno: 0, path: "/proc", hint: "it is not a procfs" });
  return fd;
}

/** Connects to the console socket of the caller, or explains why the combination of flags cannot be. */
export function openConsole(terminal: boolean, path: string | undefined, detached: boolean): ConsoleTarget | undefined {
  if (path !== undefined && !terminal) throw new Error("--console-socket is given, but process.terminal is false");
  if (!terminal) return undefined;
  if (path !== undefined) return { socket: connectUnix(path) };
  if (detached) throw new Error("cannot allocate a terminal for a detached container without --console-socket");
  return undefined;
}

/** Sockets that a service manager handed to the runtime are meant for the container. Source: sd_listen_fds(3). */
function activationFds(): number {
  if (process.env["LISTEN_PID"] !== String(process.pid)) return 0;
  const count = Number(process.env["LISTEN_FDS"] ?? 0);
  return Number.isInteger(count) && count > 0 ? count : 0;
}

/** What Node opens for itself takes the numbers that the caller left free: a caller who promised too many would hand those on. */
const NODES_OWN = /^anon_inode:\[(io_uring|eventpoll)\]$/;

function checkPreserved(count: number): void {
  using proc = open("/proc/self/fd", fcntl.O_PATH | fcntl.O_DIRECTORY);
  for (let fd = 3; fd < 3 + count; fd++) {
    if (NODES_OWN.test(linkOf(proc, fd))) throw new Error(`--preserve-fds: descriptor ${fd} was not passed to the runtime`);
  }
}

function linkOf(proc: Fd, fd: number): string {
  try {
    return readLinkAt(proc, String(fd));
  } catch (error) {
    if (isErrno(error, ENOENT)) throw new Error(`--preserve-fds: descriptor ${fd} was not passed to the runtime`, { cause: error });
    throw error;
  }
}

/** A label that nothing enforces would be a promise broken in silence: refused, as runc does, not ignored, as crun does. */
function refuseUnavailableLabels({ apparmorProfile, selinuxLabel }: Process): void {
  if (apparmorProfile && !appArmorEnabled()) throw new Error(`process.apparmorProfile: ${JSON.stringify(apparmorProfile)} is set, but AppArmor is not enabled on this host`);
  refuseWithoutSelinux("process.selinuxLabel", selinuxLabel);
}

/** @throws Error naming `field` where a label is given and nothing would apply it. */
export function refuseWithoutSelinux(field: string, label: string | undefined): void {
  if (label && !existsSync("/sys/fs/selinux/enforce")) throw new Error(`${field}: ${JSON.stringify(label)} is set, but SELinux is not enabled on this host`);
}

function appArmorEnabled(): boolean {
  const path = "/sys/module/apparmor/parameters/enabled";
  return existsSync(path) && readFileSync(path, "utf8").startsWith("Y");
}
