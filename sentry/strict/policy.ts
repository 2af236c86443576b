/**
 * The system calls of a sentry under `strict`: besides what it needs under any policy, what its guest's calls become. It makes them in the
 * guest's own namespaces, with the guest's ids, on files of the guest's. Everything else is EPERM.
 *
 * Loaded as compiled.ts has it: after a change run `node sentry/generate.ts`.
 */
import { ADD_DESCRIPTOR_COMMAND, NOTIFY_COMMANDS } from "../../linux/seccomp-notify.ts";
import { int, named, when } from "../../policies/syscalls/checks.ts";
import { compileAllowList } from "../../policies/syscalls/filter.ts";
import { denied, native, type Group } from "../../policies/syscalls/row.ts";
import { sentryCalls } from "../policy.ts";

const CLONE_NEWUSER = 0x1000_0000;
const TERMINAL = { TCGETS: 0x5401, TCSETS: 0x5402, TCSETSW: 0x5403, TCSETSF: 0x5404, TIOCGWINSZ: 0x5413, TIOCSWINSZ: 0x5414, FIONREAD: 0x541b };
const FCNTL = { F_GETFL: 3, F_SETFL: 4, F_ADD_SEALS: 1033, F_GET_SEALS: 1034 };
/** What is told apart here otherwise than under every policy. */
const REPLACED = new Set(["ioctl"]);

const own: readonly Group[] = [
  {
    reason: "Taking and answering calls, giving descriptors, and what of a terminal is asked by commands",
    names: "ioctl",
    cases: [named(1, { ...NOTIFY_COMMANDS, ...ADD_DESCRIPTOR_COMMAND }, native), named(1, TERMINAL, native)],
    outcome: denied("EPERM"),
  },
  {
    reason: "Into the guest's user namespace, which answers for its file systems; the sentry's rights over it are those it has over the guest",
    names: "setns",
    cases: [when("CLONE_NEWUSER", [int(1, CLONE_NEWUSER)], native)],
    outcome: denied("EPERM"),
  },
  { reason: "To the guest's root, and at its end back to the empty one", names: "chroot fchdir", outcome: native },
  { reason: "As the caller, when it asks for files", names: "setfsuid setfsgid setgroups capset umask", outcome: native },
  { reason: "The guest's tasks: their end, their descriptors, whether two are the same; SIGPIPE", names: "pidfd_open pidfd_getfd kcmp tgkill", outcome: native },
  { reason: "Placeholders, and when they are closed; when calls have waited for long enough", names: "pipe2 epoll_ctl epoll_wait timerfd_create timerfd_settime timerfd_gettime ppoll", outcome: native },
  {
    reason: "Files of the guest's mounts, by name",
    names: "newfstatat statx faccessat2 readlinkat mkdirat unlinkat renameat2 linkat symlinkat fchmodat2 fchownat utimensat",
    outcome: native,
  },
  { reason: "Open files of the guest's", names: "pwrite64 lseek getdents64 ftruncate fsync fdatasync fallocate flock fstatfs", outcome: native },
  { reason: "Files in memory that the guest asks for", names: "memfd_create", outcome: native },
  { reason: "Flags of open files, seals of files in memory", names: "fcntl", cases: [named(1, FCNTL, native)], outcome: denied("EPERM") },
];

export const strictSentryCalls: readonly Group[] = [...sentryCalls("notify").filter(({ names }) => !REPLACED.has(names)), ...own];

/** struct sock_filter[]; takes tens of milliseconds. */
export const compileStrictSentryFilter = (): Uint8Array => compileAllowList(strictSentryCalls, "EPERM");
