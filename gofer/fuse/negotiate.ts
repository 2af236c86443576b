/** FUSE_INIT: the first request, by which both sides agree on a version and features. */
import { EINVAL } from "../../linux/abi/errno.ts";
import { INIT_FLAG, INIT_IN, INIT_OUT, MAJOR, MINOR, OLDEST_MINOR } from "./abi.ts";
import type { Call } from "./call.ts";
import type { Features } from "./file-system.ts";

const EPROTO = 71;
const PAGE = 4096;
/** FUSE_MAX_MAX_PAGES; /proc/sys/fs/fuse/max_pages_limit has this as its default. */
const MAX_PAGES = 256;
/** The largest WRITE. The request's buffer holds this and its headers. */
export const MAX_WRITE = MAX_PAGES * PAGE;
/** The kernel queues more than this many read-aheads and write-backs no further. */
const MAX_BACKGROUND = 16;

const ALWAYS =
  INIT_FLAG.ASYNC_READ | INIT_FLAG.BIG_WRITES | INIT_FLAG.ASYNC_DIO | INIT_FLAG.NO_OPEN_SUPPORT |
  INIT_FLAG.PARALLEL_DIROPS | INIT_FLAG.MAX_PAGES | INIT_FLAG.CACHE_SYMLINKS | INIT_FLAG.NO_OPENDIR_SUPPORT;

export function wantedFlags(features: Features): number {
  return (
    ALWAYS |
    (features.truncatesOnOpen === true ? INIT_FLAG.ATOMIC_O_TRUNC : 0) |
    (features.writeback === true ? INIT_FLAG.WRITEBACK_CACHE : 0) |
    (features.readdirPlus === true ? INIT_FLAG.DO_READDIRPLUS | INIT_FLAG.READDIRPLUS_AUTO : 0) |
    (features.posixLocks === true ? INIT_FLAG.POSIX_LOCKS : 0) |
    (features.flockLocks === true ? INIT_FLAG.FLOCK_LOCKS : 0) |
    (features.autoInvalidate === true ? INIT_FLAG.AUTO_INVAL_DATA : INIT_FLAG.EXPLICIT_INVAL_DATA) |
    (features.killsPrivileges === true ? INIT_FLAG.HANDLE_KILLPRIV_V2 : 0)
  );
}

/** What was agreed on. */
export interface Agreement {
  readonly minor: number;
  readonly flags: number;
}

/**
 * Answers FUSE_INIT. A kernel of a later major version gets ours and asks again, as the protocol wants it.
 * @returns the reply's size or the negative errno; `agreed` is called once both sides are of one mind.
 */
export function negotiate({ request, reply, fileSystem }: Call, agreed: (agreement: Agreement) => void): number {
  const major = request.u32(INIT_IN.major);
  const minor = request.u32(INIT_IN.minor);
  reply.zero(0, INIT_OUT.size);
  reply.u32(INIT_OUT.major, MAJOR);
  reply.u32(INIT_OUT.minor, MINOR);
  if (major > MAJOR) return INIT_OUT.size;
  if (major < MAJOR || minor < OLDEST_MINOR) return -EPROTO;
  if (request.payload < INIT_IN.flags + 4) return -EINVAL;
  const flags = request.u32(INIT_IN.flags) & wantedFlags(fileSystem.features);
  reply.u32(INIT_OUT.minor, Math.min(minor, MINOR));
  reply.u32(INIT_OUT.max_readahead, request.u32(INIT_IN.max_readahead));
  reply.u32(INIT_OUT.flags, flags);
  reply.u16(INIT_OUT.max_background, MAX_BACKGROUND);
  reply.u16(INIT_OUT.congestion_threshold, (MAX_BACKGROUND * 3) / 4);
  reply.u32(INIT_OUT.max_write, MAX_WRITE);
  reply.u32(INIT_OUT.time_gran, 1);
  reply.u16(INIT_OUT.max_pages, MAX_PAGES);
  agreed({ minor: Math.min(minor, MINOR), flags });
  return INIT_OUT.size;
}
