/**
 * What depends on the processor architecture, in one place: another architecture is another row here, not a rewrite.
 * Source: Linux arch/x86/entry/syscalls/syscall_64.tbl.
 */
import process from "node:process";

const X86_64 = {
  auditArch: 0xc000003e,
  /** `SCMP_ARCH_*` of the OCI specification. */
  ociName: "SCMP_ARCH_X86_64",
  sys: {
    read: 0, write: 1, close: 3, fstat: 5, poll: 7, lseek: 8, mmap: 9, mprotect: 10, munmap: 11, rt_sigaction: 13, rt_sigprocmask: 14,
    ioctl: 16, pread64: 17, sched_yield: 24, madvise: 28, dup: 32, pause: 34, getpid: 39, socket: 41, connect: 42, sendto: 44, recvfrom: 45, sendmsg: 46, recvmsg: 47,
    shutdown: 48, bind: 49, listen: 50, getsockname: 51, getpeername: 52, socketpair: 53, setsockopt: 54, getsockopt: 55, clone: 56, execve: 59, exit: 60, wait4: 61, kill: 62,
    uname: 63, fcntl: 72, flock: 73, ftruncate: 77, getcwd: 79, chdir: 80, fchdir: 81, umask: 95, getuid: 102, ptrace: 101, sysinfo: 99, getgid: 104, setuid: 105,
    setgid: 106, geteuid: 107, getegid: 108, setpgid: 109, getppid: 110, setsid: 112, setgroups: 116, setresuid: 117, setresgid: 119, setfsuid: 122,
    capget: 125, capset: 126, sigaltstack: 131, personality: 135, statfs: 137, fstatfs: 138, getpriority: 140, setpriority: 141,
    pivot_root: 155, prctl: 157, chroot: 161, mount: 165, umount2: 166, sethostname: 170, setdomainname: 171, gettid: 186,
    setxattr: 188, fsetxattr: 190, getxattr: 191, fgetxattr: 193, listxattr: 194, flistxattr: 196, removexattr: 197, fremovexattr: 199,
    sched_setaffinity: 203, sched_getaffinity: 204, getdents64: 217, clock_settime: 227, exit_group: 231, waitid: 247, add_key: 248, request_key: 249, keyctl: 250,
    ioprio_set: 251, ioprio_get: 252, getrandom: 318, openat: 257, mkdirat: 258, mknodat: 259, fchownat: 260, unlinkat: 263, renameat: 264,
    symlinkat: 266, readlinkat: 267, fchmodat: 268, ppoll: 271, unshare: 272, accept4: 288, signalfd4: 289, eventfd2: 290, dup3: 292, pipe2: 293,
    prlimit64: 302, setns: 308, getcpu: 309, process_vm_readv: 310, process_vm_writev: 311, sched_setattr: 314, sched_getattr: 315, renameat2: 316, seccomp: 317, memfd_create: 319, bpf: 321,
    execveat: 322, statx: 332, pidfd_send_signal: 424, open_tree: 428, move_mount: 429, fsopen: 430, fsconfig: 431, fsmount: 432,
    pidfd_open: 434, clone3: 435, close_range: 436, openat2: 437, pidfd_getfd: 438, faccessat2: 439, mount_setattr: 442,
    pwrite64: 18, fsync: 74, fdatasync: 75, fchmod: 91, inotify_add_watch: 254, inotify_rm_watch: 255, linkat: 265, utimensat: 280, fallocate: 285, inotify_init1: 294, syncfs: 306, copy_file_range: 326,
    epoll_create1: 291, epoll_ctl: 233, epoll_wait: 232, kcmp: 312, timerfd_create: 283, timerfd_settime: 286, timerfd_gettime: 287, setfsgid: 123, tgkill: 234, fchmodat2: 452, newfstatat: 262,
    fadvise64: 221, rt_sigtimedwait: 128, futex: 202,
    landlock_create_ruleset: 444, landlock_add_rule: 445, landlock_restrict_self: 446, set_mempolicy: 238, get_mempolicy: 239,
  },
} as const;

/** The row for the machine we run on. */
export type Arch = typeof X86_64;
export type SyscallName = keyof Arch["sys"];

const ARCHES: Partial<Record<NodeJS.Architecture, Arch>> = { x64: X86_64 };

/** @throws Error naming the architecture where there is no row for it. */
export function requireArch(name: NodeJS.Architecture = process.arch): Arch {
  const arch = ARCHES[name];
  if (arch === undefined) throw new Error(`tssandbox runs on x86-64 only so far; this machine is ${name}`);
  return arch;
}

export const ARCH: Arch = requireArch();
export const SYS: Arch["sys"] = ARCH.sys;
