/** Requests about names and attributes. */
import { EINVAL, ENOSYS, EOVERFLOW } from "../../linux/abi/errno.ts";
import * as abi from "./abi.ts";
import { NO_REPLY, type Call, type Operation } from "./call.ts";
import { NO_HANDLE, type Change } from "./file-system.ts";

const MAX_FORGETS = 0x1_0000;
const STATX_BASIC_AND_BIRTH = 0xfff;

const entryReply = (call: Call, result: number) => (result < 0 ? result : call.reply.entry(0, call.entry));
const attributesReply = (call: Call, result: number) => (result < 0 ? result : call.reply.attributesReply(call.attributes));

const LOOKUP: Operation = {
  atLeast: 2,
  run(call) {
    const checked = call.request.name(0, call.name);
    return checked < 0 ? checked : entryReply(call, call.fileSystem.lookup(call.node, call.name, call.entry));
  },
};

const FORGET: Operation = {
  atLeast: abi.FORGET_IN.size,
  run(call) {
    call.fileSystem.forget(call.node, call.request.wide(abi.FORGET_IN.nlookup));
    return NO_REPLY;
  },
};

const BATCH_FORGET: Operation = {
  atLeast: abi.BATCH_FORGET_IN.size,
  run({ request, fileSystem }) {
    const fits = Math.floor((request.payload - abi.BATCH_FORGET_IN.size) / abi.FORGET_ONE.size);
    const count = Math.min(request.u32(abi.BATCH_FORGET_IN.count), fits, MAX_FORGETS);
    for (let i = 0; i < count; i++) {
      const at = abi.BATCH_FORGET_IN.size + i * abi.FORGET_ONE.size;
      fileSystem.forget(request.wide(at), request.wide(at + abi.FORGET_ONE.nlookup));
    }
    return NO_REPLY;
  },
};

const GETATTR: Operation = {
  atLeast: abi.GETATTR_IN.size,
  run(call) {
    const { request } = call;
    const handle = (request.u32(0) & abi.GETATTR_FH) === 0 ? NO_HANDLE : request.wide(abi.GETATTR_IN.fh);
    return attributesReply(call, call.fileSystem.getAttributes(call.node, handle, call.attributes));
  },
};

const STATX: Operation = {
  atLeast: abi.STATX_IN.size,
  run(call) {
    const { request, reply, attributes } = call;
    const handle = (request.u32(0) & abi.GETATTR_FH) === 0 ? NO_HANDLE : request.wide(abi.STATX_IN.fh);
    const result = call.fileSystem.getAttributes(call.node, handle, attributes);
    if (result < 0) return result;
    reply.zero(0, abi.STATX_OUT.size);
    reply.wide(abi.STATX_OUT.attr_valid, Math.floor(attributes.validMs / 1000));
    reply.u32(abi.STATX_OUT.attr_valid_nsec, (attributes.validMs % 1000) * 1_000_000);
    putStatx(call);
    return abi.STATX_OUT.size;
  },
};

/** struct fuse_statx, laid out as struct statx. */
function putStatx({ reply, attributes: { attributes: from } }: Call): void {
  const base = abi.STATX_OUT.stat;
  reply.u32(base, STATX_BASIC_AND_BIRTH);
  reply.u32(base + 0x04, from.blockSize);
  reply.u32(base + 0x10, from.nlink);
  reply.u32(base + 0x14, from.uid);
  reply.u32(base + 0x18, from.gid);
  reply.u16(base + 0x1c, from.mode);
  reply.u32(base + 0x20, from.inodeLow);
  reply.u32(base + 0x24, from.inodeHigh);
  reply.wide(base + 0x28, from.size);
  reply.wide(base + 0x30, from.blocks);
  reply.wide(base + 0x40, from.accessSeconds);
  reply.u32(base + 0x48, from.accessNanoseconds);
  reply.wide(base + 0x50, from.birthSeconds);
  reply.u32(base + 0x58, from.birthNanoseconds);
  reply.wide(base + 0x60, from.changeSeconds);
  reply.u32(base + 0x68, from.changeNanoseconds);
  reply.wide(base + 0x70, from.modifySeconds);
  reply.u32(base + 0x78, from.modifyNanoseconds);
  reply.u32(base + 0x80, from.rdevMajor);
  reply.u32(base + 0x84, from.rdevMinor);
}

const SETATTR: Operation = {
  atLeast: abi.SETATTR_IN.size,
  run(call) {
    const { fileSystem, change, request } = call;
    if (fileSystem.setAttributes === undefined) return -ENOSYS;
    change.valid = request.u32(abi.SETATTR_IN.valid);
    change.handle = (change.valid & abi.FATTR.FH) === 0 ? NO_HANDLE : request.wide(abi.SETATTR_IN.fh);
    change.mode = request.u32(abi.SETATTR_IN.mode);
    change.uid = request.u32(abi.SETATTR_IN.uid);
    change.gid = request.u32(abi.SETATTR_IN.gid);
    change.size = request.wide(abi.SETATTR_IN.size_);
    if (!takeTimes(call, change)) return -EINVAL;
    return attributesReply(call, fileSystem.setAttributes(call.node, change, call.caller, call.attributes));
  },
};

function takeTimes({ request }: Call, { access, modify }: Change): boolean {
  access.seconds = request.signed(abi.SETATTR_IN.atime);
  modify.seconds = request.signed(abi.SETATTR_IN.mtime);
  access.nanoseconds = request.u32(abi.SETATTR_IN.atimensec);
  modify.nanoseconds = request.u32(abi.SETATTR_IN.mtimensec);
  return Math.max(access.nanoseconds, modify.nanoseconds) < 1e9;
}

const READLINK: Operation = {
  atLeast: 0,
  run({ fileSystem, node, reply }) {
    if (fileSystem.readLink === undefined) return -EINVAL;
    return fileSystem.readLink(node, reply.block, reply.position(0), Math.min(reply.room, 4095));
  },
};

const SYMLINK: Operation = {
  atLeast: 4,
  run(call) {
    const { fileSystem, request, name, secondName } = call;
    if (fileSystem.symlink === undefined) return -ENOSYS;
    const next = request.name(0, name);
    const end = next < 0 ? next : request.text(next, secondName);
    return end < 0 ? end : entryReply(call, fileSystem.symlink(call.node, name, secondName, call.caller, call.entry));
  },
};

const MKNOD: Operation = {
  atLeast: abi.MKNOD_IN.size + 2,
  run(call) {
    const { fileSystem, request } = call;
    if (fileSystem.makeNode === undefined) return -ENOSYS;
    const checked = request.name(abi.MKNOD_IN.size, call.name);
    if (checked < 0) return checked;
    return entryReply(call, fileSystem.makeNode(call.node, call.name, request.u32(abi.MKNOD_IN.mode), call.caller, call.entry));
  },
};

const MKDIR: Operation = {
  atLeast: abi.MKDIR_IN.size + 2,
  run(call) {
    const { fileSystem, request } = call;
    if (fileSystem.makeDirectory === undefined) return -ENOSYS;
    const checked = request.name(abi.MKDIR_IN.size, call.name);
    if (checked < 0) return checked;
    return entryReply(call, fileSystem.makeDirectory(call.node, call.name, request.u32(abi.MKDIR_IN.mode), call.caller, call.entry));
  },
};

const LINK: Operation = {
  atLeast: abi.LINK_IN.size + 2,
  run(call) {
    const { fileSystem, request } = call;
    if (fileSystem.link === undefined) return -ENOSYS;
    const checked = request.name(abi.LINK_IN.size, call.name);
    return checked < 0 ? checked : entryReply(call, fileSystem.link(request.wide(0), call.node, call.name, call.entry));
  },
};

const UNLINK: Operation = {
  atLeast: 2,
  run({ fileSystem, request, node, name }) {
    if (fileSystem.unlink === undefined) return -ENOSYS;
    const checked = request.name(0, name);
    return checked < 0 ? checked : fileSystem.unlink(node, name);
  },
};

const RMDIR: Operation = {
  atLeast: 2,
  run({ fileSystem, request, node, name }) {
    if (fileSystem.removeDirectory === undefined) return -ENOSYS;
    const checked = request.name(0, name);
    return checked < 0 ? checked : fileSystem.removeDirectory(node, name);
  },
};

function rename({ fileSystem, request, node, name, secondName }: Call, header: number, flags: number): number {
  if (fileSystem.rename === undefined) return -ENOSYS;
  const next = request.name(header, name);
  const end = next < 0 ? next : request.name(next, secondName);
  return end < 0 ? end : fileSystem.rename(node, name, request.wide(0), secondName, flags);
}

const RENAME: Operation = { atLeast: abi.RENAME_IN.size + 4, run: (call) => rename(call, abi.RENAME_IN.size, 0) };
const RENAME2: Operation = {
  atLeast: abi.RENAME2_IN.size + 4,
  run: (call) => rename(call, abi.RENAME2_IN.size, call.request.u32(abi.RENAME2_IN.flags)),
};

const STATFS: Operation = {
  atLeast: 0,
  run({ fileSystem, node, statistics: from, reply }) {
    const result = fileSystem.statistics(node, from);
    if (result < 0) return result;
    const counts = [from.blocks, from.blocksFree, from.blocksAvailable, from.files, from.filesFree];
    if (!counts.every(Number.isFinite)) return -EOVERFLOW;
    reply.zero(0, abi.STATFS_OUT.size);
    for (const [i, count] of counts.entries()) reply.wide(8 * i, count);
    reply.u32(abi.STATFS_OUT.bsize, from.blockSize);
    reply.u32(abi.STATFS_OUT.namelen, from.nameLength);
    reply.u32(abi.STATFS_OUT.frsize, from.fragmentSize);
    return abi.STATFS_OUT.size;
  },
};

export const nameOperations = {
  LOOKUP, FORGET, BATCH_FORGET, GETATTR, STATX, SETATTR, READLINK, SYMLINK, MKNOD, MKDIR, LINK, UNLINK, RMDIR, RENAME, RENAME2, STATFS,
} as const;
