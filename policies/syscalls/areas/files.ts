import { bits } from "../checks.ts";
import { denied, native } from "../row.ts";
import type { Area, Case } from "../row.ts";

// S_IFCHR, S_IFBLK (sys/stat.h). The kernel takes the mode as 16 bits.
const noDevices = (mode: number): Case => ({
  what: "mode S_IFCHR, S_IFBLK",
  anyOf: [0x2000, 0x6000].map((type) => [bits(mode, 0xf000, type)]),
  outcome: denied("EPERM"),
});

const devices = "Regular files, FIFOs and sockets; devices a user namespace's root may not make anyhow";

export const names: Area = {
  title: "Files by name",
  groups: [
    {
      reason: "Names lead to the guest's own mounts, served by the gofer, an overlay or a tmpfs: nothing of the host's file systems is below them",
      names: "openat newfstatat statx faccessat readlinkat mkdirat unlinkat renameat2 linkat symlinkat fchmodat fchownat utimensat truncate statfs getdents64 umask",
      outcome: native,
    },
    { reason: devices, names: "mknodat", cases: [noDevices(2)], outcome: native },
    { reason: devices, names: "mknod", cases: [noDevices(1)], outcome: native },
    { reason: "Directories of the guest's own mount namespace, where `..` ends", names: "chdir fchdir getcwd", outcome: native },
    { reason: "Another root below the guest's own; leaving it leads back to that, and no further", names: "chroot", outcome: native },
    { reason: "Extended attributes: the gofer, the overlay and the tmpfs decide which", names: "setxattr getxattr listxattr removexattr", outcome: native },
    { reason: "Changes of files in the guest's own mounts", names: "inotify_init1 inotify_add_watch inotify_rm_watch", outcome: native },
    { reason: "Files by handle pass by the directories above them", names: "name_to_handle_at", outcome: denied("ENOSYS") },
    { reason: "Files by handle pass by the directories above them", names: "open_by_handle_at", outcome: denied("EPERM") },
    { reason: "Watching, and deciding on, whole mounts", names: "fanotify_init fanotify_mark", outcome: denied("EPERM") },
    { reason: "The mount table is the runtime's work; the guest neither adds to it nor leaves it", names: "mount umount2 pivot_root", outcome: denied("EPERM") },
    { reason: "As above; programs that know these calls fall back to mount", names: "open_tree open_tree_attr move_mount fsopen fsconfig fsmount fspick mount_setattr", outcome: denied("ENOSYS") },
    { reason: "Would tell the mount table with its sources on the host", names: "statmount listmount listns", outcome: denied("ENOSYS") },
    { reason: "Newer forms that no libc needs yet, by way of a structure in memory", names: "setxattrat getxattrat listxattrat removexattrat file_getattr file_setattr", outcome: denied("ENOSYS") },
  ],
  forms: {
    open: "openat",
    creat: "openat",
    openat2: "openat",
    stat: "newfstatat",
    lstat: "newfstatat",
    fstat: "newfstatat",
    access: "faccessat",
    faccessat2: "faccessat",
    readlink: "readlinkat",
    mkdir: "mkdirat",
    rmdir: "unlinkat",
    unlink: "unlinkat",
    rename: "renameat2",
    renameat: "renameat2",
    link: "linkat",
    symlink: "symlinkat",
    chmod: "fchmodat",
    fchmod: "fchmodat",
    fchmodat2: "fchmodat",
    chown: "fchownat",
    lchown: "fchownat",
    fchown: "fchownat",
    utime: "utimensat",
    utimes: "utimensat",
    futimesat: "utimensat",
    ftruncate: "truncate",
    fstatfs: "statfs",
    getdents: "getdents64",
    lsetxattr: "setxattr",
    fsetxattr: "setxattr",
    lgetxattr: "getxattr",
    fgetxattr: "getxattr",
    llistxattr: "listxattr",
    flistxattr: "listxattr",
    lremovexattr: "removexattr",
    fremovexattr: "removexattr",
    inotify_init: "inotify_init1",
  },
};

export const descriptors: Area = {
  title: "Open files",
  groups: [
    { reason: "What a descriptor permits was decided when it was opened", names: "read write pread64 pwrite64 preadv2 pwritev2 lseek close close_range dup3 fcntl flock", outcome: native },
    { reason: "Moves data between descriptors in the kernel", names: "sendfile copy_file_range splice tee vmsplice", outcome: native },
    { reason: "Of this file or its file system alone", names: "fsync fdatasync syncfs sync_file_range fallocate fadvise64 readahead", outcome: native },
    { reason: "Pipes, counters, timers and signals as descriptors", names: "pipe2 eventfd2 signalfd4 timerfd_create timerfd_settime timerfd_gettime", outcome: native },
    { reason: "Waiting for descriptors", names: "ppoll pselect6 epoll_create1 epoll_ctl epoll_pwait2", outcome: native },
    {
      reason: "Asynchronous I/O of the older kind: code with a history, for a few databases, which do without where it is absent",
      names: "io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents",
      outcome: denied("ENOSYS"),
    },
    { reason: "Its operations are no system calls: no filter sees them. libuv and others fall back to epoll", names: "io_uring_setup io_uring_enter io_uring_register", outcome: denied("ENOSYS") },
    { reason: "Which pages of a file others have read: a side channel", names: "cachestat", outcome: denied("ENOSYS") },
  ],
  forms: {
    readv: "preadv2",
    writev: "pwritev2",
    preadv: "preadv2",
    pwritev: "pwritev2",
    dup: "dup3",
    dup2: "dup3",
    pipe: "pipe2",
    eventfd: "eventfd2",
    signalfd: "signalfd4",
    poll: "ppoll",
    select: "pselect6",
    epoll_create: "epoll_create1",
    epoll_wait: "epoll_pwait2",
    epoll_pwait: "epoll_pwait2",
  },
};
