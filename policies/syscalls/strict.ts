/**
 * The `strict` policy: paths, and the data of files, pipes and descriptors of other kinds, trap as well (decision 0041). What is not named here
 * is refused: as `balanced` refuses it where that does, else with ENOSYS.
 */
import { bits, int, named, when } from "./checks.ts";
import { continued, denied, emulated, native, outcomesOf, syscallClasses } from "./row.ts";
import type { Case, Group, SyscallRow } from "./row.ts";
import { rows } from "./table.ts";

const MAP_ANONYMOUS = 0x20;
const MAP_HUGETLB = 0x4_0000;
const MSG_NOSIGNAL = 0x4000;
const MSG_EOR = 0x80;
/** About the caller's session and its terminal. */
const SESSION = { TIOCSCTTY: 0x540e, TIOCGPGRP: 0x540f, TIOCSPGRP: 0x5410, TIOCNOTTY: 0x5422, TIOCGSID: 0x5429 };
const FCNTL = { F_DUPFD: 0, F_GETFD: 1, F_SETFD: 2, F_DUPFD_CLOEXEC: 1030 };

/** The cases that `balanced` has, which hold here as well. */
const casesOf = (name: string): readonly Case[] => rows.find((row) => row.name === name)?.cases ?? [];

const continuedOf = (name: string): readonly Case[] => casesOf(name).map((one) => (one.outcome.kind === "native" ? { ...one, outcome: continued } : one));

const emulatedOf = (name: string): readonly Case[] => casesOf(name).map((one) => (one.outcome.kind === "native" ? { ...one, outcome: emulated } : one));

const nativeGroups: readonly Group[] = [
  {
    reason: "Memory of the process itself, without a file: the kernel's page tables are the process's",
    names: "mmap",
    cases: [
      when("flags with MAP_HUGETLB", [bits(3, MAP_HUGETLB, MAP_HUGETLB)], denied("EINVAL")),
      when("flags with MAP_ANONYMOUS", [bits(3, MAP_ANONYMOUS, MAP_ANONYMOUS)], native),
    ],
    outcome: continued,
  },
  { reason: "Changes what the process has mapped", names: "munmap mprotect mremap brk msync membarrier", outcome: native },
  { reason: "Advice on own pages, without merging them", names: "madvise", cases: casesOf("madvise"), outcome: native },
  { reason: "Tasks, without namespaces of their own", names: "clone", cases: casesOf("clone"), outcome: native },
  { reason: "Tasks, their end, and waiting for it", names: "fork vfork exit exit_group wait4", outcome: native },
  {
    reason: "The end of tasks, and waiting for it; what stands for a process by descriptor takes its placeholder's place first",
    names: "waitid",
    cases: [named(0, { P_PIDFD: 3 }, continued)],
    outcome: native,
  },
  { reason: "Waiting on memory", names: "futex", cases: casesOf("futex"), outcome: native },
  { reason: "What libc needs for threads, about the calling one only", names: "set_tid_address set_robust_list rseq gettid getpid getppid sched_yield sched_getaffinity", outcome: native },
  { reason: "The bases of FS and GS", names: "arch_prctl", cases: casesOf("arch_prctl"), outcome: denied("EINVAL") },
  { reason: "By option, about the calling process", names: "prctl", cases: casesOf("prctl"), outcome: denied("EINVAL") },
  {
    reason: "Handlers and masks of the calling task, and signals to tasks in the own pid namespace",
    names: "rt_sigaction rt_sigprocmask rt_sigpending rt_sigtimedwait rt_sigsuspend rt_sigreturn sigaltstack pause restart_syscall kill tgkill",
    outcome: native,
  },
  { reason: "Clocks, sleeping, and the timer of the calling process", names: "clock_gettime clock_getres gettimeofday time clock_nanosleep nanosleep setitimer alarm", outcome: native },
  { reason: "Who the caller is, in its own user namespace", names: "getuid geteuid getgid getegid", outcome: native },
  { reason: "Numbers of descriptors: what they stand for is a placeholder, whose last close the sentry is told of", names: "close close_range dup dup2 dup3", outcome: native },
  {
    reason: "Numbers of descriptors natively; flags of what they stand for are the sentry's",
    names: "fcntl",
    cases: [named(1, FCNTL, native)],
    outcome: emulated,
  },
  {
    reason: "Messages of sockets; natively init's last ones, with a flag that is without effect otherwise: no guest has a socket of the kernel's",
    names: "sendmsg",
    cases: [when("flags MSG_NOSIGNAL with MSG_EOR", [int(2, MSG_NOSIGNAL | MSG_EOR)], native)],
    outcome: emulated,
  },
  { reason: "Random bytes", names: "getrandom", outcome: native },
  { reason: "The kernel asks no filter about them (since 6.14 and 6.18)", names: "uretprobe uprobe", outcome: native },
];

const continuedGroups: readonly Group[] = [
  { reason: "The name leads to a file of the guest's own mounts, whoever changes it meanwhile; the process's image is the kernel's work", names: "execve execveat", outcome: continued },
  { reason: "The kernel's working directory of a task is the one that the sentry resolves from", names: "chdir umask", outcome: continued },
  { reason: "Another root below the guest's own; the sentry looks up each caller's names from the root that the kernel says it has", names: "chroot", outcome: continued },
  { reason: "As poll and select; under another signal mask the kernel waits, for placeholders that the sentry makes readable", names: "ppoll pselect6", outcome: continued },
  { reason: "As chdir; the directory takes the placeholder's place for as long as the call lasts", names: "fchdir", outcome: continued },
  { reason: "Ids inside the guest's user namespace; the sentry asks anew for who the caller is", names: "setuid setreuid setresuid setgid setregid setresgid setgroups setfsuid setfsgid capset", outcome: continued },
  { reason: "About the calling process or those of its sandbox, and seldom", names: "getresuid getresgid getgroups capget getpgid getpgrp setpgid getsid setsid getpriority setpriority ioprio_get getrusage times prlimit64 getrlimit setrlimit getitimer getcpu tkill rt_sigqueueinfo rt_tgsigqueueinfo", outcome: continued },
  { reason: "Descriptors of tasks in the own pid namespace are the kernel's; in the call it finds it in its placeholder's place", names: "pidfd_open pidfd_send_signal", outcome: continued },
  { reason: "About the calling process or those of its sandbox, and seldom", names: "ioprio_set", cases: continuedOf("ioprio_set"), outcome: continued },
  { reason: "The guest may confine itself further", names: "seccomp", cases: continuedOf("seccomp"), outcome: denied("EINVAL") },
  { reason: "About memory of the process itself, and seldom", names: "mlock mlock2 munlock mlockall munlockall mincore pkey_alloc pkey_free pkey_mprotect", outcome: continued },
  {
    reason: "System V shared memory, which no descriptor stands for (PostgreSQL): the kernel's, as mapping is, bounded by the guest's ipc namespace",
    names: "shmget",
    cases: continuedOf("shmget"),
    outcome: continued,
  },
  { reason: "System V shared memory, which no descriptor stands for (PostgreSQL): the kernel's, as mapping is, bounded by the guest's ipc namespace", names: "shmat shmctl shmdt", outcome: continued },
  { reason: "System V semaphores and messages (PostgreSQL, fakeroot): bounded by the guest's ipc namespace", names: "semget semop semctl semtimedop msgget msgsnd msgrcv msgctl", outcome: continued },
  { reason: "Turning off the randomisation of own addresses, and asking", names: "personality", cases: continuedOf("personality"), outcome: denied("EPERM") },
  { reason: "Timers of the calling process", names: "timer_create timer_settime timer_gettime timer_getoverrun timer_delete", outcome: continued },
  { reason: "Within the cpuset", names: "sched_setaffinity sched_getscheduler sched_setscheduler sched_getparam sched_setparam sched_get_priority_max sched_get_priority_min sched_rr_get_interval", outcome: continued },
];

const emulatedGroups: readonly Group[] = [
  { reason: "The sandbox's own kernel name and version, memory and uptime", names: "uname sysinfo sync", outcome: emulated },
  {
    reason: "The sentry copies the path once, and looks it up in the guest's mounts with the caller's ids",
    names:
      "open openat openat2 creat stat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat mkdir mkdirat rmdir unlink unlinkat " +
      "rename renameat renameat2 link linkat symlink symlinkat chmod fchmodat fchmodat2 chown lchown fchownat utimensat utimes utime futimesat truncate statfs getcwd",
    outcome: emulated,
  },
  {
    reason: "The sentry finds what the name means, and asks by a descriptor of its own",
    names: "getxattr lgetxattr fgetxattr setxattr lsetxattr fsetxattr listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr",
    outcome: emulated,
  },
  { reason: "The sentry watches what the caller may read, with a descriptor of its own", names: "inotify_init inotify_init1 inotify_add_watch inotify_rm_watch", outcome: emulated },
  { reason: "As names: regular files, named pipes and sockets, no devices", names: "mknod", cases: casesOf("mknod"), outcome: emulated },
  { reason: "As names: regular files, named pipes and sockets, no devices", names: "mknodat", cases: casesOf("mknodat"), outcome: emulated },
  { reason: "Of an open file of the sentry's", names: "fstat fstatfs fchmod fchown ftruncate fsync fdatasync syncfs fallocate fadvise64 flock getdents64 lseek", outcome: emulated },
  { reason: "The sentry moves the data, by its own memory", names: "read write pread64 pwrite64 readv writev preadv pwritev preadv2 pwritev2 sendfile splice tee vmsplice copy_file_range", outcome: emulated },
  { reason: "The sentry's own object behind a placeholder", names: "pipe pipe2 eventfd eventfd2 signalfd signalfd4 timerfd_create timerfd_settime timerfd_gettime epoll_create epoll_create1 epoll_ctl", outcome: emulated },
  { reason: "The sentry knows what is ready, and answers then", names: "poll select epoll_wait epoll_pwait epoll_pwait2", outcome: emulated },
  { reason: "A file in memory, which is the sentry's until it is mapped", names: "memfd_create", cases: emulatedOf("memfd_create"), outcome: emulated },
  { reason: "Unix sockets are the sentry's own objects; of the others it has one in the guest's network namespace", names: "socket", cases: emulatedOf("socket"), outcome: denied("EAFNOSUPPORT") },
  { reason: "Two unix sockets, the sentry's own objects", names: "socketpair", cases: emulatedOf("socketpair"), outcome: denied("EAFNOSUPPORT") },
  { reason: "By level and option, as under balanced: the sentry's own for unix sockets, asked of its socket otherwise", names: "setsockopt getsockopt", cases: emulatedOf("setsockopt"), outcome: denied("ENOPROTOOPT") },
  { reason: "Names of unix sockets are looked up as paths are, or the sandbox's own; addresses are those of the guest's network namespace", names: "bind connect listen accept accept4 getsockname getpeername shutdown", outcome: emulated },
  { reason: "The sentry moves the data; descriptors in messages are copies of placeholders", names: "sendto recvfrom recvmsg sendmmsg recvmmsg", outcome: emulated },
  { reason: "By command: what the sentry knows for the kind of descriptor; ENOTTY otherwise. Whose terminal one is, the kernel says and sets, which finds the terminal in its placeholder's place", names: "ioctl", cases: [named(1, SESSION, continued)], outcome: emulated },
];

const deniedGroups: readonly Group[] = [
  { reason: "Would tell of, and change, calls that the sentry answers; debuggers do not work under this policy", names: "ptrace process_vm_readv process_vm_writev", outcome: denied("EPERM") },
];

const groups = new Map([...deniedGroups, ...nativeGroups, ...continuedGroups, ...emulatedGroups].flatMap((group) => group.names.split(" ").map((name) => [name, group])));

function strictRow({ nr, name, area, class: kind, cases, otherwise, reason }: SyscallRow): SyscallRow {
  const group = groups.get(name);
  if (group === undefined) {
    if (kind === "denied") return { nr, name, area, class: kind, cases, otherwise, reason };
    return { nr, name, area, class: "denied", cases: [], otherwise: denied("ENOSYS"), reason: "Not implemented in the sentry, and refused for that" };
  }
  const row = { nr, name, area, cases: group.cases ?? [], otherwise: group.outcome, reason: group.reason };
  const kinds = new Set(outcomesOf(row).map((outcome) => outcome.kind));
  return { ...row, class: syscallClasses.find((one) => kinds.has(one)) ?? row.otherwise.kind };
}

/** In the order of the numbers. */
export const strictRows: readonly SyscallRow[] = rows.map(strictRow);
