/** Names of flags and constants, for strace. Sources: Linux include/uapi/asm-generic/fcntl.h, mman-common.h, linux/fcntl.h, sched.h, linux/net.h. */

type Names = Readonly<Record<string, number>>;

/** Of groups of bits. Where several bits make a name, it stands before those that it contains. */
const FLAGS = {
  open: {
    O_TMPFILE: 0o20200000, O_SYNC: 0o4010000, O_WRONLY: 1, O_RDWR: 2, O_CREAT: 0o100, O_EXCL: 0o200, O_NOCTTY: 0o400, O_TRUNC: 0o1000, O_APPEND: 0o2000,
    O_NONBLOCK: 0o4000, O_DSYNC: 0o10000, O_ASYNC: 0o20000, O_DIRECT: 0o40000, O_LARGEFILE: 0o100000, O_DIRECTORY: 0o200000, O_NOFOLLOW: 0o400000,
    O_NOATIME: 0o1000000, O_CLOEXEC: 0o2000000, O_PATH: 0o10000000,
  },
  fd: { O_NONBLOCK: 0o4000, O_CLOEXEC: 0o2000000 },
  at: { AT_SYMLINK_NOFOLLOW: 0x100, AT_REMOVEDIR: 0x200, AT_SYMLINK_FOLLOW: 0x400, AT_NO_AUTOMOUNT: 0x800, AT_EMPTY_PATH: 0x1000, AT_STATX_FORCE_SYNC: 0x2000, AT_STATX_DONT_SYNC: 0x4000 },
  access: { R_OK: 4, W_OK: 2, X_OK: 1 },
  prot: { PROT_READ: 1, PROT_WRITE: 2, PROT_EXEC: 4 },
  map: {
    MAP_SHARED_VALIDATE: 3, MAP_SHARED: 1, MAP_PRIVATE: 2, MAP_FIXED: 0x10, MAP_ANONYMOUS: 0x20, MAP_GROWSDOWN: 0x100, MAP_DENYWRITE: 0x800, MAP_LOCKED: 0x2000,
    MAP_NORESERVE: 0x4000, MAP_POPULATE: 0x8000, MAP_NONBLOCK: 0x10000, MAP_STACK: 0x20000, MAP_HUGETLB: 0x40000, MAP_FIXED_NOREPLACE: 0x100000,
  },
  clone: {
    CLONE_VM: 0x100, CLONE_FS: 0x200, CLONE_FILES: 0x400, CLONE_SIGHAND: 0x800, CLONE_PIDFD: 0x1000, CLONE_PTRACE: 0x2000, CLONE_VFORK: 0x4000, CLONE_PARENT: 0x8000,
    CLONE_THREAD: 0x10000, CLONE_NEWNS: 0x20000, CLONE_SYSVSEM: 0x40000, CLONE_SETTLS: 0x80000, CLONE_PARENT_SETTID: 0x100000, CLONE_CHILD_CLEARTID: 0x200000,
    CLONE_UNTRACED: 0x800000, CLONE_CHILD_SETTID: 0x1000000, CLONE_NEWCGROUP: 0x2000000, CLONE_NEWUTS: 0x4000000, CLONE_NEWIPC: 0x8000000,
    CLONE_NEWUSER: 0x10000000, CLONE_NEWPID: 0x20000000, CLONE_NEWNET: 0x40000000, CLONE_IO: 0x80000000, SIGCHLD: 17,
  },
  sock: { SOCK_SEQPACKET: 5, SOCK_RAW: 3, SOCK_DGRAM: 2, SOCK_STREAM: 1, SOCK_NONBLOCK: 0o4000, SOCK_CLOEXEC: 0o2000000 },
} as const satisfies Record<string, Names>;

/** What is said of none of the bits. */
const NONE: Partial<Record<string, string>> = { open: "O_RDONLY", access: "F_OK", prot: "PROT_NONE" };

const CONSTANTS = {
  seek: { SEEK_SET: 0, SEEK_CUR: 1, SEEK_END: 2, SEEK_DATA: 3, SEEK_HOLE: 4 },
  sigmask: { SIG_BLOCK: 0, SIG_UNBLOCK: 1, SIG_SETMASK: 2 },
  fcntl: {
    F_DUPFD: 0, F_GETFD: 1, F_SETFD: 2, F_GETFL: 3, F_SETFL: 4, F_GETLK: 5, F_SETLK: 6, F_SETLKW: 7, F_SETOWN: 8, F_GETOWN: 9, F_OFD_GETLK: 36, F_OFD_SETLK: 37,
    F_OFD_SETLKW: 38, F_DUPFD_CLOEXEC: 1030, F_SETPIPE_SZ: 1031, F_GETPIPE_SZ: 1032, F_ADD_SEALS: 1033, F_GET_SEALS: 1034,
  },
  ioctl: {
    TCGETS: 0x5401, TCSETS: 0x5402, TCSETSW: 0x5403, TCSETSF: 0x5404, TCSBRK: 0x5409, TCXONC: 0x540a, TCFLSH: 0x540b, TIOCSCTTY: 0x540e, TIOCGPGRP: 0x540f,
    TIOCSPGRP: 0x5410, TIOCSTI: 0x5412, TIOCGWINSZ: 0x5413, TIOCSWINSZ: 0x5414, FIONREAD: 0x541b, TIOCLINUX: 0x541c, FIONBIO: 0x5421, TIOCNOTTY: 0x5422,
    TIOCGSID: 0x5429, FIONCLEX: 0x5450, FIOCLEX: 0x5451, TIOCGPTN: 0x80045430, TIOCSPTLCK: 0x40045431, TIOCGPTPEER: 0x5441,
  },
  prctl: {
    PR_SET_PDEATHSIG: 1, PR_GET_PDEATHSIG: 2, PR_GET_DUMPABLE: 3, PR_SET_DUMPABLE: 4, PR_SET_NAME: 15, PR_GET_NAME: 16, PR_GET_SECCOMP: 21, PR_SET_SECCOMP: 22,
    PR_CAPBSET_READ: 23, PR_CAPBSET_DROP: 24, PR_SET_CHILD_SUBREAPER: 36, PR_SET_NO_NEW_PRIVS: 38, PR_GET_NO_NEW_PRIVS: 39, PR_CAP_AMBIENT: 47, PR_SET_VMA: 0x53564d41,
  },
  arch: { ARCH_SET_GS: 0x1001, ARCH_SET_FS: 0x1002, ARCH_GET_FS: 0x1003, ARCH_GET_GS: 0x1004 },
  epoll: { EPOLL_CTL_ADD: 1, EPOLL_CTL_DEL: 2, EPOLL_CTL_MOD: 3 },
  family: { AF_UNSPEC: 0, AF_UNIX: 1, AF_INET: 2, AF_INET6: 10, AF_NETLINK: 16, AF_PACKET: 17, AF_ALG: 38, AF_VSOCK: 40 },
} as const satisfies Record<string, Names>;

const namesIn = (tables: Readonly<Record<string, Names>>, name: string): Names => {
  const names = tables[name];
  if (names === undefined) throw new Error(`no names for ${name}`);
  return names;
};

const hex = (value: number): string => `0x${value.toString(16)}`;

/** Bits by their names, joined by `|`; those without a name in hexadecimal. @param value 32 bits, unsigned. */
export function flagText(table: string, value: number): string {
  let rest = value;
  const words: string[] = [];
  for (const [name, bits] of Object.entries(namesIn(FLAGS, table))) {
    if (((rest & bits) >>> 0) !== bits >>> 0) continue;
    words.push(name);
    rest = (rest & ~bits) >>> 0;
  }
  const none = NONE[table];
  if (table === "open" && (value & 3) === 0) words.unshift("O_RDONLY");
  if (rest !== 0) words.push(hex(rest));
  return words.length > 0 ? words.join("|") : none ?? "0";
}

/** @param value 32 bits, unsigned. */
export function constantText(table: string, value: number): string {
  return Object.entries(namesIn(CONSTANTS, table)).find(([, number]) => number === value)?.[0] ?? (value < 0x100 ? String(value) : hex(value));
}
