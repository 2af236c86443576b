/** Requests about open files and directories. */
import { EINVAL, ENOSYS, EROFS } from "../../linux/abi/errno.ts";
import * as abi from "./abi.ts";
import type { Call, Operation } from "./call.ts";

/** The last position that a number holds exactly; files end earlier. */
const MAX_POSITION = Number.MAX_SAFE_INTEGER;
const EFBIG = 27;
const MAX_COPY = 4 << 20;
const O_ACCMODE = 3;
const O_CREAT = 0o100;
const O_EXCL = 0o200;
const O_TRUNC = 0o1000;

function resetOpened({ opened }: Call): void {
  opened.handle = 0;
  opened.keepCache = false;
  opened.cacheDirectory = false;
  opened.directIo = false;
}

const OPEN: Operation = {
  atLeast: abi.OPEN_IN.size,
  run(call) {
    const { fileSystem, request } = call;
    if (fileSystem.open === undefined) return -ENOSYS;
    resetOpened(call);
    const flags = request.u32(abi.OPEN_IN.flags) & ~(O_CREAT | O_EXCL);
    if (fileSystem.features.readOnly === true && (flags & (O_ACCMODE | O_TRUNC)) !== 0) return -EROFS;
    const kill = (request.u32(abi.OPEN_IN.open_flags) & abi.OPEN_KILL_SUIDGID) !== 0;
    const result = fileSystem.open(call.node, flags, kill, call.opened);
    return result < 0 ? result : call.reply.opened(0, call.opened);
  },
};

const CREATE: Operation = {
  atLeast: abi.CREATE_IN.size + 2,
  run(call) {
    const { fileSystem, request, reply, entry, opened } = call;
    if (fileSystem.create === undefined) return -ENOSYS;
    const checked = request.name(abi.CREATE_IN.size, call.name);
    if (checked < 0) return checked;
    resetOpened(call);
    const flags = request.u32(abi.CREATE_IN.flags);
    const result = fileSystem.create(call.node, call.name, flags, request.u32(abi.CREATE_IN.mode), call.caller, entry, opened);
    return result < 0 ? result : reply.entry(0, entry) + reply.opened(abi.ENTRY_OUT.size, opened);
  },
};

const READ: Operation = {
  atLeast: abi.READ_IN.size,
  run({ fileSystem, request, reply, node }) {
    if (fileSystem.read === undefined) return -ENOSYS;
    const position = request.wide(abi.READ_IN.offset);
    if (position > MAX_POSITION) return -EINVAL;
    const size = Math.min(request.u32(abi.READ_IN.size_), reply.room);
    return fileSystem.read(node, request.wide(abi.READ_IN.fh), position, reply.block, reply.position(0), size);
  },
};

const WRITE: Operation = {
  atLeast: abi.WRITE_IN.size,
  run({ fileSystem, request, reply, node }) {
    if (fileSystem.write === undefined) return -ENOSYS;
    const position = request.wide(abi.WRITE_IN.offset);
    const size = request.u32(abi.WRITE_IN.size_);
    if (size > request.payload - abi.WRITE_IN.size) return -EINVAL;
    if (position + size > MAX_POSITION) return -EFBIG;
    const kill = (request.u32(abi.WRITE_IN.write_flags) & abi.WRITE_KILL_SUIDGID) !== 0;
    const at = request.position(abi.WRITE_IN.size);
    const written = fileSystem.write(node, request.wide(abi.WRITE_IN.fh), position, request.block, at, size, kill);
    if (written < 0) return written;
    reply.u32(abi.WRITE_OUT.size_, written);
    reply.u32(4, 0);
    return abi.WRITE_OUT.size;
  },
};

function takeOwner({ request, lock }: Call, offset: number): void {
  lock.ownerLow = request.u32(offset);
  lock.ownerHigh = request.u32(offset + 4);
}

const FLUSH: Operation = {
  atLeast: abi.FLUSH_IN.size,
  run(call) {
    if (call.fileSystem.flush === undefined) return -ENOSYS;
    takeOwner(call, abi.FLUSH_IN.lock_owner);
    return call.fileSystem.flush(call.node, call.request.wide(abi.FLUSH_IN.fh), call.lock);
  },
};

const RELEASE: Operation = {
  atLeast: abi.RELEASE_IN.size,
  run(call) {
    takeOwner(call, abi.RELEASE_IN.lock_owner);
    call.lock.flock = (call.request.u32(abi.RELEASE_IN.release_flags) & abi.RELEASE_FLOCK_UNLOCK) !== 0;
    return call.fileSystem.release?.(call.node, call.request.wide(0), call.lock) ?? 0;
  },
};

const FSYNC: Operation = {
  atLeast: abi.FSYNC_IN.size,
  run({ fileSystem, request, node }) {
    const dataOnly = (request.u32(abi.FSYNC_IN.fsync_flags) & abi.FSYNC_FDATASYNC) !== 0;
    return fileSystem.sync?.(node, request.wide(0), dataOnly) ?? -ENOSYS;
  },
};

const FALLOCATE: Operation = {
  atLeast: abi.FALLOCATE_IN.size,
  run({ fileSystem, request, node }) {
    const position = request.wide(abi.FALLOCATE_IN.offset);
    const size = request.wide(abi.FALLOCATE_IN.length);
    if (position + size > MAX_POSITION) return -EFBIG;
    return fileSystem.allocate?.(node, request.wide(0), request.u32(abi.FALLOCATE_IN.mode), position, size) ?? -ENOSYS;
  },
};

const LSEEK: Operation = {
  atLeast: abi.LSEEK_IN.size,
  run({ fileSystem, request, reply, node }) {
    const position = request.wide(abi.LSEEK_IN.offset);
    if (position > MAX_POSITION) return -EINVAL;
    const found = fileSystem.seek?.(node, request.wide(0), position, request.u32(abi.LSEEK_IN.whence)) ?? -ENOSYS;
    if (found < 0) return found;
    reply.wide(abi.LSEEK_OUT.offset, found);
    return abi.LSEEK_OUT.size;
  },
};

const COPY = abi.COPY_FILE_RANGE_IN;
const COPY_FILE_RANGE: Operation = {
  atLeast: COPY.size,
  run({ fileSystem, request, reply, node }) {
    if (fileSystem.copyRange === undefined) return -ENOSYS;
    const from = request.wide(COPY.off_in);
    const to = request.wide(COPY.off_out);
    // Others wait meanwhile: a part at a time, the kernel asks again.
    const size = Math.min(request.wide(COPY.len), MAX_COPY);
    if (from > MAX_POSITION - size || to > MAX_POSITION - size || request.u32(COPY.flags) !== 0) return -EINVAL;
    const copied = fileSystem.copyRange(node, request.wide(COPY.fh_in), from, request.wide(COPY.nodeid_out), request.wide(COPY.fh_out), to, size);
    if (copied < 0) return copied;
    reply.u32(abi.WRITE_OUT.size_, copied);
    reply.u32(4, 0);
    return abi.WRITE_OUT.size;
  },
};

const OPENDIR: Operation = {
  atLeast: abi.OPEN_IN.size,
  run(call) {
    if (call.fileSystem.openDirectory === undefined) return -ENOSYS;
    resetOpened(call);
    const result = call.fileSystem.openDirectory(call.node, call.opened);
    return result < 0 ? result : call.reply.opened(0, call.opened);
  },
};

function readDirectory({ fileSystem, request, directory, node }: Call, plus: boolean): number {
  directory.begin(plus, request.u32(abi.READ_IN.size_));
  const low = request.u32(abi.READ_IN.offset);
  const high = request.u32(abi.READ_IN.offset + 4);
  const result = fileSystem.readDirectory(node, request.wide(abi.READ_IN.fh), low, high, directory);
  // What has been put into the reply has been counted as looked up: an error behind it waits for the next call.
  return result < 0 && directory.size === 0 ? result : directory.size;
}

const READDIR: Operation = { atLeast: abi.READ_IN.size, run: (call) => readDirectory(call, false) };
const READDIRPLUS: Operation = { atLeast: abi.READ_IN.size, run: (call) => readDirectory(call, true) };

const RELEASEDIR: Operation = {
  atLeast: abi.RELEASE_IN.size,
  run: ({ fileSystem, request, node }) => fileSystem.releaseDirectory?.(node, request.wide(0)) ?? 0,
};

const FSYNCDIR: Operation = {
  atLeast: abi.FSYNC_IN.size,
  run: ({ fileSystem, request, node }) => fileSystem.syncDirectory?.(node, request.wide(0)) ?? -ENOSYS,
};

const SYNCFS: Operation = { atLeast: 8, run: ({ fileSystem, node }) => fileSystem.syncFileSystem?.(node) ?? -ENOSYS };

export const fileOperations = {
  OPEN, CREATE, READ, WRITE, FLUSH, RELEASE, FSYNC, FALLOCATE, LSEEK, COPY_FILE_RANGE, OPENDIR, READDIR, READDIRPLUS, RELEASEDIR, FSYNCDIR,
  SYNCFS,
} as const;
