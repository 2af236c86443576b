/** What the sentry answers; by itself, since the table takes milliseconds to set up. */

/** The calls that trap under `balanced`, for some arguments at least: the sentry has a handler for each. */
export const trappedSyscalls = ["ptrace", "sync", "sysinfo", "uname"] as const;

export type TrappedSyscall = (typeof trappedSyscalls)[number];

/** Those that trap under `strict` and that the kernel goes on with, with nothing to be looked at but what the sentry remembers of the caller. */
export const strictlyContinued = [
  "capget", "capset", "chdir", "chroot", "execve", "execveat", "getcpu", "getgroups", "getitimer", "getpgid", "getpgrp", "getpriority", "getresgid", "getresuid", "getrlimit", "getrusage",
  "getsid", "ioprio_get", "ioprio_set", "mincore", "mlock", "mlock2", "mlockall", "msgctl", "msgget", "msgrcv", "msgsnd", "munlock", "munlockall", "personality", "pidfd_open", "pkey_alloc", "pkey_free", "pkey_mprotect", "prlimit64", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "sched_get_priority_max", "sched_get_priority_min", "sched_getparam", "sched_getscheduler",
  "sched_rr_get_interval", "sched_setaffinity", "sched_setparam", "sched_setscheduler", "seccomp", "semctl", "semget", "semop", "semtimedop", "setfsgid", "setfsuid", "setgid", "setgroups", "setpgid", "setpriority", "setregid",
  "setresgid", "setresuid", "setreuid", "setrlimit", "setsid", "setuid", "shmat", "shmctl", "shmdt", "shmget", "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime", "timer_settime", "times", "tkill",
  "umask",
] as const;

/** Those that trap under `strict` and that the sentry answers, or does something about before the kernel goes on. */
export const strictlyAnswered = [
  "accept", "accept4", "access", "bind", "chmod", "chown", "connect", "copy_file_range", "creat", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait", "eventfd", "eventfd2", "faccessat", "faccessat2", "fadvise64", "fallocate", "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchownat", "fcntl",
  "fdatasync", "flock", "fstat", "fstatfs", "fsync", "ftruncate", "futimesat", "getcwd", "getdents64", "getpeername", "getsockname", "getsockopt", "ioctl", "lchown", "link", "linkat", "listen", "lseek", "lstat", "memfd_create", "mkdir", "mkdirat", "mknod", "mknodat",
  "fgetxattr", "flistxattr", "fremovexattr", "fsetxattr", "getxattr", "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch", "lgetxattr", "listxattr", "llistxattr",
  "lremovexattr", "lsetxattr", "pidfd_send_signal", "removexattr", "setxattr", "waitid",
  "mmap", "newfstatat", "open", "openat", "openat2", "pipe", "pipe2", "poll", "ppoll", "pread64", "preadv", "preadv2", "pselect6", "pwrite64", "pwritev", "pwritev2", "read",
  "readlink", "readlinkat", "readv", "recvfrom", "recvmmsg", "recvmsg", "rename", "renameat", "renameat2", "rmdir", "select", "sendfile", "sendmmsg", "sendmsg", "sendto", "setsockopt", "shutdown", "signalfd", "signalfd4", "socket", "socketpair", "splice", "stat", "statfs", "statx", "symlink", "symlinkat", "sync", "syncfs",
  "sysinfo", "tee", "timerfd_create", "timerfd_gettime", "timerfd_settime", "truncate", "uname", "unlink", "unlinkat", "utime", "utimensat", "utimes", "vmsplice", "write", "writev",
] as const;

export type StrictlyAnswered = (typeof strictlyAnswered)[number];

export const strictlyTrapped = [...strictlyAnswered, ...strictlyContinued] as const;

export type StrictlyTrapped = (typeof strictlyTrapped)[number];
