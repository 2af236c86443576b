// The default seccomp profile of namespace mode: what a container may ask of the host's kernel. Everything not listed is
// refused with EPERM, and what is newer than all of it with ENOSYS, so that libc falls back.
//
// In strength it equals docker's default (moby/profiles, seccomp/default.json, as of June 2026), from which the names are
// taken as facts, and where it departs from it, it is stricter; each place says so.
import type { OciSeccomp, OciSeccompArg, OciSyscall } from "seccomp-bpf-ts";

export interface ProfileRow {
  readonly reason: string;
  /** Names separated by blanks. */
  readonly names: string;
  /** The row applies when one of these holds; absent: whatever the arguments. */
  readonly when?: readonly OciSeccompArg[];
  /** Refused with this errno, instead of allowed. */
  readonly errno?: number;
  /** Only for containers that have one of these capabilities. */
  readonly capabilities?: readonly string[];
  /** Only for containers that do not have this one. */
  readonly unless?: string;
}

const ENOSYS = 38;

// int-sized arguments are compared by their low 32 bits, as the kernel ignores the high ones: a comparison of all 64
// could be passed by with a bit that nobody looks at.
const low32 = (index: number, mask: number, valueTwo: number): OciSeccompArg => ({
  index,
  op: "SCMP_CMP_MASKED_EQ",
  value: mask,
  valueTwo,
});

const equals = (index: number, value: number): OciSeccompArg => ({ index, op: "SCMP_CMP_EQ", value });

// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. (CLONE_NEWTIME is not for clone, see clone(2).)
const CLONE_NAMESPACES = 0x0002_0000 | 0x0200_0000 | 0x0400_0000 | 0x0800_0000 | 0x1000_0000 | 0x2000_0000 | 0x4000_0000;

// All families below 64 but AF_ALG (38) and AF_VSOCK (40): the numbers around them as aligned blocks.
const harmlessFamilies: readonly OciSeccompArg[] = [
  low32(0, 0xffff_ffe0, 0),
  low32(0, 0xffff_fffc, 32),
  low32(0, 0xffff_fffe, 36),
  low32(0, 0xffff_ffff, 39),
  low32(0, 0xffff_ffff, 41),
  low32(0, 0xffff_fffe, 42),
  low32(0, 0xffff_fffc, 44),
  low32(0, 0xffff_fff0, 48),
];

// All of socketcall(2)'s calls (1-20) but SYS_SOCKET (1).
const socketcallsOnSockets: readonly OciSeccompArg[] = [
  low32(0, 0xffff_fffe, 2),
  low32(0, 0xffff_fffc, 4),
  low32(0, 0xffff_fff8, 8),
  low32(0, 0xffff_fff0, 16),
];

// PER_LINUX, PER_LINUX32, UNAME26, both, and the query.
const personas = [0x0000, 0x0008, 0x20000, 0x20008, 0xffff_ffff].map((value) => equals(0, value));

const everyContainer: readonly ProfileRow[] = [
  {
    reason: "Files by name: what can be reached is bounded by the mount namespace, and by ids and modes in it",
    names:
      "access chdir chmod chown chown32 creat faccessat faccessat2 fchmodat fchmodat2 fchownat futimesat getcwd " +
      "getxattr getxattrat lchown lchown32 lgetxattr link linkat listxattr listxattrat llistxattr lremovexattr " +
      "lsetxattr lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open openat openat2 readlink " +
      "readlinkat removexattr removexattrat rename renameat renameat2 rmdir setxattr setxattrat stat stat64 statfs " +
      "statfs64 statx symlink symlinkat truncate truncate64 unlink unlinkat utime utimensat utimensat_time64 utimes " +
      "fstatat64 umask listmount statmount inotify_add_watch inotify_init inotify_init1 inotify_rm_watch " +
      "fanotify_mark",
  },
  {
    reason: "Open files: what a descriptor permits was decided when it was opened",
    names:
      "_llseek close close_range copy_file_range dup dup2 dup3 fadvise64 fadvise64_64 fallocate fchdir fchmod fchown " +
      "fchown32 fcntl fcntl64 fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstat64 fstatfs " +
      "fstatfs64 fsync ftruncate ftruncate64 getdents getdents64 ioctl lseek pipe pipe2 pread64 preadv preadv2 " +
      "pwrite64 pwritev pwritev2 read readahead readv sendfile sendfile64 splice sync sync_file_range syncfs tee " +
      "vmsplice write writev cachestat",
  },
  {
    reason: "Waiting for descriptors, and asynchronous I/O of the older kind (io_uring is left out: its operations are no system calls, no filter sees them)",
    names:
      "_newselect epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait " +
      "epoll_wait_old eventfd eventfd2 io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup " +
      "io_submit poll ppoll ppoll_time64 pselect6 pselect6_time64 select signalfd signalfd4 timerfd_create " +
      "timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64",
  },
  {
    reason: "Memory of the process itself",
    names:
      "brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2 " +
      "mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease " +
      "remap_file_pages",
  },
  {
    reason: "Processes and threads: the pid namespace bounds which can be named (clone: see its rows)",
    names:
      "execve execveat exit exit_group fork get_robust_list get_thread_area getcpu getpgid getpgrp getpid getppid " +
      "getpriority getsid gettid ioprio_get ioprio_set kill pause pidfd_open pidfd_send_signal prctl rseq " +
      "set_robust_list set_thread_area set_tid_address setpgid setpriority setsid tgkill tkill vfork wait4 waitid " +
      "waitpid futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake uretprobe",
  },
  {
    reason: "Tracing is bounded by the pid namespace and by equal ids; kernels before 4.8 let a tracer pass by seccomp, and are below our floor",
    names: "process_vm_readv process_vm_writev ptrace",
  },
  {
    reason: "Signals",
    names:
      "restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend " +
      "rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack sigprocmask sigreturn",
  },
  {
    reason: "Scheduling and limits: lowering is everybody's right, raising needs capabilities",
    names:
      "getrlimit getrusage prlimit64 sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr " +
      "sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity " +
      "sched_setattr sched_setparam sched_setscheduler sched_yield setrlimit times ugetrlimit",
  },
  {
    reason: "Identity: what may be changed is bounded by the capability sets and the user namespace",
    names:
      "capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32 " +
      "getresuid getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups " +
      "setgroups32 setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32",
  },
  {
    reason: "Time: reading, sleeping, timers (adjtimex and clock_adjtime only read without CAP_SYS_TIME)",
    names:
      "adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 " +
      "clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create " +
      "timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64",
  },
  {
    reason: "Sockets that exist: the network namespace bounds what they reach",
    names:
      "accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 " +
      "recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketpair",
  },
  {
    reason:
      "New sockets: AF_VSOCK reaches the hypervisor past every namespace, AF_ALG the kernel's crypto modules. " +
      "Stricter than docker, whose comparison of 64 bits lets a family through that has a bit set above 32",
    names: "socket",
    when: harmlessFamilies,
  },
  {
    reason:
      "The calls of 32-bit and s390 programs through socketcall(2), except making sockets, whose family lies in memory: " +
      "libc then uses socket(2). Stricter than docker, which allows it",
    names: "socketcall",
    when: socketcallsOnSockets,
  },
  { reason: "Making sockets, see above", names: "socketcall", when: [low32(0, 0xffff_ffff, 1)], errno: ENOSYS },
  {
    reason: "System V and POSIX IPC: bounded by the ipc namespace",
    names:
      "ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 " +
      "mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget",
  },
  {
    reason: "A process may confine itself further",
    names: "landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp",
  },
  { reason: "About the machine, without harm", names: "getrandom sysinfo uname" },
  {
    reason: "What single architectures need for threads, caches and their instruction sets",
    names:
      "arch_prctl modify_ldt arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2 " +
      "swapcontext riscv_flush_icache riscv_hwprobe s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr",
  },
  {
    reason: "Personas of 32-bit and old programs; ADDR_NO_RANDOMIZE and READ_IMPLIES_EXEC would weaken the process",
    names: "personality",
    when: personas,
  },
];

/** The argument with the flags: s390 has the first two the other way round (clone(2), "C library/kernel differences"). */
const cloneWithoutNamespaces = (index: number): ProfileRow => ({
  reason: "Processes and threads, but no namespaces: a new user namespace would open the kernel code meant for root",
  names: "clone",
  unless: "CAP_SYS_ADMIN",
  when: [{ index, op: "SCMP_CMP_MASKED_EQ", value: CLONE_NAMESPACES, valueTwo: 0 }],
});

const byCapability: readonly ProfileRow[] = [
  {
    reason: "clone3's flags lie in memory where no filter sees them; with ENOSYS libc falls back to clone",
    names: "clone3",
    unless: "CAP_SYS_ADMIN",
    errno: ENOSYS,
  },
  {
    reason: "Who administers the container's namespaces may make more of them, mount, and set names",
    names:
      "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr " +
      "lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl " +
      "quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare",
    capabilities: ["CAP_SYS_ADMIN"],
  },
  { reason: "Files by handle pass by directories' permissions", names: "open_by_handle_at", capabilities: ["CAP_DAC_READ_SEARCH"] },
  { reason: "Stops the machine, or the pid namespace", names: "reboot", capabilities: ["CAP_SYS_BOOT"] },
  { reason: "Another root directory", names: "chroot", capabilities: ["CAP_SYS_CHROOT"] },
  { reason: "Kernel modules", names: "delete_module finit_module init_module", capabilities: ["CAP_SYS_MODULE"] },
  { reason: "Process accounting", names: "acct", capabilities: ["CAP_SYS_PACCT"] },
  {
    reason: "Looking into and acting on other processes",
    names: "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
    capabilities: ["CAP_SYS_PTRACE"],
  },
  { reason: "I/O ports", names: "ioperm iopl", capabilities: ["CAP_SYS_RAWIO"] },
  { reason: "Setting clocks", names: "clock_settime clock_settime64 settimeofday stime", capabilities: ["CAP_SYS_TIME"] },
  { reason: "Hanging up terminals", names: "vhangup", capabilities: ["CAP_SYS_TTY_CONFIG"] },
  {
    reason: "Placing memory on nodes",
    names: "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    capabilities: ["CAP_SYS_NICE"],
  },
  { reason: "The kernel's log", names: "syslog", capabilities: ["CAP_SYSLOG"] },
  { reason: "BPF programs", names: "bpf", capabilities: ["CAP_BPF"] },
  { reason: "Performance counters", names: "perf_event_open", capabilities: ["CAP_PERFMON"] },
];

/** First the machine's own architecture, then the 32-bit one it also runs. Without x32, which docker includes. */
const architectures = {
  x86_64: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
  aarch64: ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
  riscv64: ["SCMP_ARCH_RISCV64"],
  loongarch64: ["SCMP_ARCH_LOONGARCH64"],
  ppc64le: ["SCMP_ARCH_PPC64LE"],
  s390x: ["SCMP_ARCH_S390X", "SCMP_ARCH_S390"],
} as const;

export type ProfileArch = keyof typeof architectures;

/** The rows that apply to a container with these effective capabilities (names such as CAP_SYS_ADMIN). */
export function profileRows(capabilities: Iterable<string>, arch: ProfileArch = "x86_64"): ProfileRow[] {
  const has = new Set(capabilities);
  const clone = cloneWithoutNamespaces(arch === "s390x" ? 1 : 0);
  return [...everyContainer, clone, ...byCapability].filter(
    (row) => (row.capabilities?.some((name) => has.has(name)) ?? true) && !(row.unless !== undefined && has.has(row.unless)),
  );
}

// Alternatives are rules of their own: within a rule, comparisons are combined.
function toSyscalls({ names, when, errno }: ProfileRow): OciSyscall[] {
  const outcome = errno === undefined ? { action: "SCMP_ACT_ALLOW" } : { action: "SCMP_ACT_ERRNO", errnoRet: errno };
  const call: OciSyscall = { names: names.split(" "), ...outcome };
  return when === undefined ? [call] : when.map((arg) => ({ ...call, args: [arg] }));
}

/**
 * The profile as config.json's linux.seccomp.
 *
 * @param capabilities the container's effective set; it decides which calls are allowed beyond everybody's.
 */
export function defaultProfile(capabilities: Iterable<string>, arch: ProfileArch = "x86_64"): OciSeccomp {
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: 1,
    architectures: architectures[arch],
    syscalls: profileRows(capabilities, arch).flatMap(toSyscalls),
  };
}
