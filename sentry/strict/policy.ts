/**
 * The system calls of a sentry under `strict`: besides what it needs under any policy, what its guest's calls become. It makes them in the
 * guest's own namespaces, with the guest's ids, on files of the guest's. Everything else is EPERM.
 *
 * Loaded as compiled.ts has it: after a change run `node sentry/generate.ts`.
 */
import * as pt from "../../linux/abi/ptrace.ts";
import { SIGNALS } from "../../linux/abi/signal.ts";
import { CLONE_NEW } from "../../linux/namespace.ts";
import { ADD_DESCRIPTOR_COMMAND, NOTIFY_COMMANDS } from "../../linux/seccomp-notify.ts";
import * as abi from "../../linux/abi/socket.ts";
import { SO_PEERCRED, SOL_SOCKET } from "../../linux/socket.ts";
import { levels, socketOptions } from "../../policies/syscalls/areas/socket-options.ts";
import { bits, int, named, when } from "../../policies/syscalls/checks.ts";
import { compileAllowList } from "../../policies/syscalls/filter.ts";
import type { PlatformName } from "../../policies/syscalls/names.ts";
import { denied, native, type Case, type Group } from "../../policies/syscalls/row.ts";
import { sentryCalls, tracing } from "../policy.ts";

const TERMINAL = {
  TCGETS: 0x5401, TCSETS: 0x5402, TCSETSW: 0x5403, TCSETSF: 0x5404, TCSBRK: 0x5409, TCXONC: 0x540a, TCFLSH: 0x540b, TIOCEXCL: 0x540c, TIOCNXCL: 0x540d, TIOCOUTQ: 0x5411, TIOCGWINSZ: 0x5413,
  TIOCSWINSZ: 0x5414, FIONREAD: 0x541b, TIOCPKT: 0x5420, TIOCGETD: 0x5424, TCSBRKP: 0x5425, TCGETS2: 0x802c_542a, TCSETS2: 0x402c_542b, TCSETSW2: 0x402c_542c, TCSETSF2: 0x402c_542d,
  TIOCGPTN: 0x8004_5430, TIOCSPTLCK: 0x4004_5431, TIOCGPKT: 0x8004_5438, TIOCGPTLCK: 0x8004_5439, TIOCGPTPEER: 0x5441,
};
const FCNTL = { F_GETFL: 3, F_SETFL: 4, F_OFD_GETLK: 36, F_OFD_SETLK: 37, F_ADD_SEALS: 1033, F_GET_SEALS: 1034 };
/** What is told apart here otherwise than under every policy. */
const REPLACED = new Set(["ioctl", "ptrace", "kill", "epoll_ctl", "getsockopt", "sched_getaffinity sched_setaffinity getcpu"]);

/** FIONREAD is TERMINAL's. */
const SOCKET = { TIOCOUTQ: 0x5411, SIOCATMARK: 0x8905, ...abi.INTERFACE_COMMANDS, SIOCGIFCONF: abi.SIOCGIFCONF };

/** As calls/socket.ts makes them. */
const NEW = abi.SOCK_CLOEXEC | abi.SOCK_NONBLOCK;
const PROTOCOL = { any: 0, icmp: 1, tcp: 6, udp: 17, icmp6: 58 } as const;
const kind = (family: number, type: number, protocol: number) => [int(0, family), int(1, type | NEW), int(2, protocol)];
const kinds = [abi.AF_INET, abi.AF_INET6].flatMap((family) => [
  kind(family, abi.SOCK_STREAM, PROTOCOL.any),
  kind(family, abi.SOCK_STREAM, PROTOCOL.tcp),
  ...[PROTOCOL.any, PROTOCOL.udp, family === abi.AF_INET ? PROTOCOL.icmp : PROTOCOL.icmp6].map((protocol) => kind(family, abi.SOCK_DGRAM, protocol)),
]);
const NEVER_WAITING = abi.MSG_DONTWAIT | abi.MSG_NOSIGNAL;

const options = Object.entries(levels).map(([level, number]) => named(2, socketOptions[level as keyof typeof levels], native, [int(1, number)]));
const STOPS = { SIGTTIN: SIGNALS.SIGTTIN, SIGTTOU: SIGNALS.SIGTTOU };
const REGISTERS = { PTRACE_GETREGS: pt.PTRACE_GETREGS, PTRACE_SETREGS: pt.PTRACE_SETREGS, PTRACE_GETSIGMASK: pt.PTRACE_GETSIGMASK, PTRACE_SETSIGMASK: pt.PTRACE_SETSIGMASK };

const sockets: readonly Group[] = [
  {
    reason: "Sockets for the guest, of the kinds that it may ask for; none of AF_UNIX, which would lead to names of the host",
    names: "socket",
    cases: [
      { what: "AF_INET, AF_INET6: TCP, UDP, echo requests", anyOf: kinds, outcome: native },
      { what: "AF_NETLINK: NETLINK_ROUTE", anyOf: [abi.SOCK_DGRAM, abi.SOCK_RAW].map((type) => kind(abi.AF_NETLINK, type, PROTOCOL.any)), outcome: native },
    ],
    outcome: denied("EPERM"),
  },
  { reason: "What is done with them, in the guest's network namespace", names: "bind connect listen getsockname getpeername shutdown", outcome: native },
  { reason: "Data, without ever waiting", names: "sendmsg", cases: [when("flags with MSG_DONTWAIT and MSG_NOSIGNAL", [bits(2, NEVER_WAITING, NEVER_WAITING)], native)], outcome: denied("EPERM") },
  { reason: "The options that the guest may set", names: "setsockopt", cases: options, outcome: denied("EPERM") },
];

const group = (names: string, reason: string, ...cases: readonly Case[]): Group => ({ names, reason, cases, outcome: denied("EPERM") });

/** What differs by platform: the same calls, with more or fewer arguments. */
function ofPlatform(platform: PlatformName): readonly Group[] {
  const isTracer = platform === "ptrace";
  const answering = isTracer ? [] : [named(1, { ...NOTIFY_COMMANDS, ...ADD_DESCRIPTOR_COMMAND }, native)];
  return [
    group("ioctl", "Taking and answering calls, giving descriptors, what of a terminal is asked by commands, and what is told about sockets and interfaces", ...answering, named(1, TERMINAL, native), named(1, SOCKET, native)),
    group("kill", "Stopping a process group that reads from its terminal in the background: over no process has it a right but its guest's", named(1, isTracer ? { ...STOPS, SIGKILL: SIGNALS.SIGKILL } : STOPS, native)),
    group("getsockopt", "The options that the guest may read, and who stands at a gate", ...options, ...(isTracer ? [when("SO_PEERCRED", [int(1, SOL_SOCKET), int(2, SO_PEERCRED)], native)] : [])),
    ...(isTracer ? [group("ptrace", "Following the guest's tasks, over which alone it has the right, and having them make calls in the place of their own", ...tracing(REGISTERS))] : []),
  ];
}

const own: readonly Group[] = [
  {
    reason: "Into the guest's user namespace, which answers for its file systems, its network namespace, where its sockets are, and its cgroup namespace, in whose words /proc tells; the sentry's rights over them are those it has over the guest",
    names: "setns",
    cases: [named(1, { CLONE_NEWUSER: CLONE_NEW.user, CLONE_NEWNET: CLONE_NEW.net, CLONE_NEWCGROUP: CLONE_NEW.cgroup }, native)],
    outcome: denied("EPERM"),
  },
  {
    reason: "Placeholders that can be full: two ends of a stream, which can be connected to nothing else",
    names: "socketpair",
    cases: [when("AF_UNIX, SOCK_STREAM", [int(0, abi.AF_UNIX), int(1, abi.SOCK_STREAM | NEW), int(2, 0)], native)],
    outcome: denied("EPERM"),
  },
  { reason: "To the guest's root, and at its end back to the empty one", names: "chroot fchdir", outcome: native },
  { reason: "As the caller, when it asks for files", names: "setfsuid setfsgid setgroups capset umask", outcome: native },
  { reason: "The guest's tasks: their end, their descriptors, whether two are the same; SIGPIPE", names: "pidfd_open pidfd_getfd kcmp tgkill", outcome: native },
  { reason: "Placeholders, and when they are closed; when calls have waited for long enough; what a guest's task reads its own signals by", names: "signalfd4 pipe2 epoll_ctl epoll_wait timerfd_create timerfd_settime timerfd_gettime ppoll epoll_create1", outcome: native },
  {
    reason: "Files of the guest's mounts, by name",
    names: "newfstatat statx faccessat2 readlinkat mkdirat unlinkat renameat2 linkat symlinkat fchmodat2 fchownat utimensat",
    outcome: native,
  },
  {
    reason: "Regular files, named pipes and sockets",
    names: "mknodat",
    cases: [{ what: "S_IFREG, S_IFIFO, S_IFSOCK", anyOf: [0, 0x8000, 0x1000, 0xc000].map((type) => [bits(2, 0xf000, type)]), outcome: native }],
    outcome: denied("EPERM"),
  },
  { reason: "Extended attributes and changes of the guest's files", names: "getxattr setxattr listxattr removexattr inotify_init1 inotify_add_watch inotify_rm_watch", outcome: native },
  { reason: "Open files of the guest's", names: "pwrite64 lseek getdents64 ftruncate fsync fdatasync fallocate flock fstatfs", outcome: native },
  { reason: "Files in memory that the guest asks for", names: "memfd_create", outcome: native },
  { reason: "Flags and locks of open files, seals of files in memory", names: "fcntl", cases: [named(1, FCNTL, native)], outcome: denied("EPERM") },
];

export const strictSentryCalls = (platform: PlatformName): readonly Group[] => [...sentryCalls(platform).filter(({ names }) => !REPLACED.has(names)), ...ofPlatform(platform), ...own, ...sockets];

/** struct sock_filter[]; takes tens of milliseconds. */
export const compileStrictSentryFilter = (platform: PlatformName): Uint8Array => compileAllowList(strictSentryCalls(platform), "EPERM");
