/**
 * The FUSE protocol in numbers: offsets are from the start of the struct, sizes in bytes, all little-endian on the machines we run on.
 * Compared with the C compiler's view of linux/fuse.h in test/kernel/gofer/abi.test.ts.
 * Source: Linux include/uapi/linux/fuse.h, Documentation/filesystems/fuse.rst.
 */

export const MAJOR = 7;
/** The newest minor whose rules we know: 45, Linux 6.18. */
export const MINOR = 45;
/** Older kernels (before 5.4) lack what the server takes for granted: max_pages, CACHE_SYMLINKS, NO_OPENDIR_SUPPORT. */
export const OLDEST_MINOR = 31;
export const ROOT_NODE = 1;

export const OP = {
  LOOKUP: 1, FORGET: 2, GETATTR: 3, SETATTR: 4, READLINK: 5, SYMLINK: 6, MKNOD: 8, MKDIR: 9, UNLINK: 10, RMDIR: 11, RENAME: 12, LINK: 13,
  OPEN: 14, READ: 15, WRITE: 16, STATFS: 17, RELEASE: 18, FSYNC: 20, SETXATTR: 21, GETXATTR: 22, LISTXATTR: 23, REMOVEXATTR: 24, FLUSH: 25,
  INIT: 26, OPENDIR: 27, READDIR: 28, RELEASEDIR: 29, FSYNCDIR: 30, GETLK: 31, SETLK: 32, SETLKW: 33, ACCESS: 34, CREATE: 35,
  INTERRUPT: 36, BMAP: 37, DESTROY: 38, IOCTL: 39, POLL: 40, NOTIFY_REPLY: 41, BATCH_FORGET: 42, FALLOCATE: 43, READDIRPLUS: 44,
  RENAME2: 45, LSEEK: 46, COPY_FILE_RANGE: 47, SETUPMAPPING: 48, REMOVEMAPPING: 49, SYNCFS: 50, TMPFILE: 51, STATX: 52,
} as const;
export type OpName = keyof typeof OP;

export const IN_HEADER = { len: 0, opcode: 4, unique: 8, nodeid: 16, uid: 24, gid: 28, pid: 32, size: 40 } as const;
export const OUT_HEADER = { len: 0, error: 4, unique: 8, size: 16 } as const;

export const ATTR = {
  ino: 0, size_: 8, blocks: 16, atime: 24, mtime: 32, ctime: 40, atimensec: 48, mtimensec: 52, ctimensec: 56, mode: 60, nlink: 64, uid: 68,
  gid: 72, rdev: 76, blksize: 80, flags: 84, size: 88,
} as const;
export const ENTRY_OUT = {
  nodeid: 0, generation: 8, entry_valid: 16, attr_valid: 24, entry_valid_nsec: 32, attr_valid_nsec: 36, attr: 40, size: 128,
} as const;
export const ATTR_OUT = { attr_valid: 0, attr_valid_nsec: 8, attr: 16, size: 104 } as const;
export const OPEN_OUT = { fh: 0, open_flags: 8, backing_id: 12, size: 16 } as const;
export const WRITE_OUT = { size_: 0, size: 8 } as const;
export const STATFS_OUT = { blocks: 0, bfree: 8, bavail: 16, files: 24, ffree: 32, bsize: 40, namelen: 44, frsize: 48, size: 80 } as const;
export const XATTR_OUT = { size_: 0, size: 8 } as const;
export const LK_OUT = { start: 0, end: 8, type: 16, pid: 20, size: 24 } as const;
export const LSEEK_OUT = { offset: 0, size: 8 } as const;
export const DIRENT = { ino: 0, off: 8, namelen: 16, type: 20, name: 24 } as const;
export const INIT_OUT = {
  major: 0, minor: 4, max_readahead: 8, flags: 12, max_background: 16, congestion_threshold: 18, max_write: 20, time_gran: 24, max_pages: 28,
  map_alignment: 30, flags2: 32, size: 64,
} as const;
export const STATX_OUT = { attr_valid: 0, attr_valid_nsec: 8, flags: 12, stat: 32, size: 288 } as const;

export const INIT_IN = { major: 0, minor: 4, max_readahead: 8, flags: 12, flags2: 16, size: 64 } as const;
export const FORGET_IN = { nlookup: 0, size: 8 } as const;
export const BATCH_FORGET_IN = { count: 0, size: 8 } as const;
export const FORGET_ONE = { nodeid: 0, nlookup: 8, size: 16 } as const;
export const GETATTR_IN = { getattr_flags: 0, fh: 8, size: 16 } as const;
export const SETATTR_IN = {
  valid: 0, fh: 8, size_: 16, atime: 32, mtime: 40, ctime: 48, atimensec: 56, mtimensec: 60, ctimensec: 64, mode: 68, uid: 76, gid: 80,
  size: 88,
} as const;
export const MKNOD_IN = { mode: 0, rdev: 4, size: 16 } as const;
export const MKDIR_IN = { mode: 0, size: 8 } as const;
export const RENAME_IN = { newdir: 0, size: 8 } as const;
export const RENAME2_IN = { newdir: 0, flags: 8, size: 16 } as const;
export const LINK_IN = { oldnodeid: 0, size: 8 } as const;
export const OPEN_IN = { flags: 0, open_flags: 4, size: 8 } as const;
export const CREATE_IN = { flags: 0, mode: 4, open_flags: 12, size: 16 } as const;
export const RELEASE_IN = { fh: 0, release_flags: 12, lock_owner: 16, size: 24 } as const;
export const FLUSH_IN = { fh: 0, lock_owner: 16, size: 24 } as const;
export const READ_IN = { fh: 0, offset: 8, size_: 16, size: 40 } as const;
export const WRITE_IN = { fh: 0, offset: 8, size_: 16, write_flags: 20, size: 40 } as const;
export const FSYNC_IN = { fh: 0, fsync_flags: 8, size: 16 } as const;
export const SETXATTR_IN = { size_: 0, flags: 4, setxattr_flags: 8, size: 16 } as const;
/** Without FUSE_SETXATTR_EXT, which we do not ask for. */
export const SETXATTR_IN_SHORT = 8;
export const GETXATTR_IN = { size_: 0, size: 8 } as const;
export const LK_IN = { fh: 0, owner: 8, start: 16, end: 24, type: 32, pid: 36, lk_flags: 40, size: 48 } as const;
export const ACCESS_IN = { mask: 0, size: 8 } as const;
export const INTERRUPT_IN = { unique: 0, size: 8 } as const;
export const FALLOCATE_IN = { fh: 0, offset: 8, length: 16, mode: 24, size: 32 } as const;
export const LSEEK_IN = { fh: 0, offset: 8, whence: 16, size: 24 } as const;
export const COPY_FILE_RANGE_IN = { fh_in: 0, off_in: 8, nodeid_out: 16, fh_out: 24, off_out: 32, len: 40, flags: 48, size: 56 } as const;
export const STATX_IN = { getattr_flags: 0, fh: 8, sx_flags: 16, sx_mask: 20, size: 24 } as const;

/** FUSE_INIT flags; those from bit 32 on are told in `flags2`, less 32. */
export const INIT_FLAG = {
  ASYNC_READ: 1 << 0, POSIX_LOCKS: 1 << 1, ATOMIC_O_TRUNC: 1 << 3, BIG_WRITES: 1 << 5, FLOCK_LOCKS: 1 << 10, AUTO_INVAL_DATA: 1 << 12,
  DO_READDIRPLUS: 1 << 13, READDIRPLUS_AUTO: 1 << 14, ASYNC_DIO: 1 << 15, WRITEBACK_CACHE: 1 << 16, NO_OPEN_SUPPORT: 1 << 17,
  PARALLEL_DIROPS: 1 << 18, MAX_PAGES: 1 << 22, CACHE_SYMLINKS: 1 << 23, NO_OPENDIR_SUPPORT: 1 << 24, EXPLICIT_INVAL_DATA: 1 << 25,
  HANDLE_KILLPRIV_V2: 1 << 28, INIT_EXT: 1 << 30,
} as const;

export const FATTR = {
  MODE: 1 << 0, UID: 1 << 1, GID: 1 << 2, SIZE: 1 << 3, ATIME: 1 << 4, MTIME: 1 << 5, FH: 1 << 6, ATIME_NOW: 1 << 7, MTIME_NOW: 1 << 8,
  LOCKOWNER: 1 << 9, CTIME: 1 << 10, KILL_SUIDGID: 1 << 11,
} as const;

export const FOPEN = { DIRECT_IO: 1 << 0, KEEP_CACHE: 1 << 1, CACHE_DIR: 1 << 3, NOFLUSH: 1 << 5 } as const;
export const OPEN_KILL_SUIDGID = 1 << 0;
export const GETATTR_FH = 1 << 0;
export const WRITE_KILL_SUIDGID = 1 << 2;
export const FSYNC_FDATASYNC = 1 << 0;
export const LK_FLOCK = 1 << 0;
export const RELEASE_FLOCK_UNLOCK = 1 << 1;

export const NOTIFY = { INVAL_INODE: 2 } as const;
/** Since 7.44, Linux 6.16. */
export const NOTIFY_INC_EPOCH = 8;
export const NOTIFY_INVAL_INODE_OUT = { ino: 0, off: 8, len: 16, size: 24 } as const;
