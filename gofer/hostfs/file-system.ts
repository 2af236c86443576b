/** A directory of the host, or one file, lent to a guest. */
import { ENOSYS } from "../../linux/abi/errno.ts";
import type { CString } from "../../linux/c-string.ts";
import { FileSystemStat, tryAllocate } from "../../linux/data.ts";
import type { Block } from "../../linux/memory.unsafe.ts";
import type { Loan } from "../export.ts";
import type {
  AttributesReply, Caller, Change, Changes, DirectorySink, Entry, Features, FileSystem, FileSystemStatistics, Lock, Opened,
} from "../fuse/file-system.ts";
import { tryReadLink } from "../../linux/at.ts";
import * as attributes from "./attributes.ts";
import * as directories from "./directories.ts";
import * as files from "./files.ts";
import { Host } from "./host.ts";
import * as locks from "./locks.ts";
import * as names from "./names.ts";
import type { Limits } from "./node-table.ts";
import { restoreHost, saveHost } from "./persist.ts";
import * as xattrs from "./xattrs.ts";

export class HostFileSystem implements FileSystem {
  readonly features: Features;
  readonly host: Host;
  readonly changes: Changes | undefined;
  readonly #statistics = new FileSystemStat();
  readonly #hasNoXattrs: boolean;

  /** Owns the loan's root from now on. @throws SysError */
  constructor(loan: Loan, limits?: Limits) {
    this.host = new Host(loan, limits);
    this.changes = this.host.watches;
    this.#hasNoXattrs = loan.xattrs === false;
    const exclusive = loan.cache === "exclusive";
    this.features = {
      readOnly: loan.readOnly,
      readdirPlus: true,
      writeback: exclusive && loan.writeback === true,
      truncatesOnOpen: !exclusive,
      autoInvalidate: !exclusive,
      posixLocks: !exclusive,
      flockLocks: !exclusive,
      killsPrivileges: true,
    };
  }

  save(): unknown {
    return saveHost(this.host);
  }

  restore(state: unknown): void {
    restoreHost(this.host, state);
  }

  lookup(parent: number, name: CString, out: Entry): number {
    return names.lookup(this.host, parent, name, out);
  }

  forget(node: number, count: number): void {
    this.host.forget(node, count);
  }

  getAttributes(node: number, handle: number, out: AttributesReply): number {
    return attributes.getAttributes(this.host, node, handle, out);
  }

  setAttributes(node: number, change: Change, _caller: Caller, out: AttributesReply): number {
    return attributes.setAttributes(this.host, node, change, out);
  }

  statistics(node: number, out: FileSystemStatistics): number {
    const from = this.#statistics;
    const fd = this.host.fdOf(node);
    const result = fd < 0 ? fd : from.of(fd);
    if (result < 0) return result;
    out.blocks = from.blocks;
    out.blocksFree = from.blocksFree;
    out.blocksAvailable = from.blocksAvailable;
    out.files = from.files;
    out.filesFree = from.filesFree;
    out.blockSize = from.blockSize;
    out.fragmentSize = from.fragmentSize;
    out.nameLength = from.nameLength;
    return 0;
  }

  readLink(node: number, into: Block, at: number, size: number): number {
    const fd = this.host.fdOf(node);
    return fd < 0 ? fd : tryReadLink(fd, into, at, size);
  }

  makeNode(parent: number, name: CString, mode: number, caller: Caller, out: Entry): number {
    return names.makeNode(this.host, parent, name, mode, caller, out);
  }

  makeDirectory(parent: number, name: CString, mode: number, caller: Caller, out: Entry): number {
    return names.makeDirectory(this.host, parent, name, mode, caller, out);
  }

  symlink(parent: number, name: CString, target: CString, caller: Caller, out: Entry): number {
    return names.symlink(this.host, parent, name, target, caller, out);
  }

  link(node: number, parent: number, name: CString, out: Entry): number {
    return names.link(this.host, node, parent, name, out);
  }

  unlink(parent: number, name: CString): number {
    return names.remove(this.host, parent, name, false);
  }

  removeDirectory(parent: number, name: CString): number {
    return names.remove(this.host, parent, name, true);
  }

  rename(parent: number, name: CString, newParent: number, newName: CString, flags: number): number {
    return names.rename(this.host, parent, name, newParent, newName, flags);
  }

  open(node: number, flags: number, kill: boolean, out: Opened): number {
    return this.host.opensItself ? -ENOSYS : files.open(this.host, node, flags, kill, out);
  }

  /** Where OPEN is not asked, the kernel makes a file by MKNOD, and has no handle to give back. */
  create(parent: number, name: CString, flags: number, mode: number, caller: Caller, out: Entry, opened: Opened): number {
    return this.host.opensItself ? -ENOSYS : files.create(this.host, parent, name, flags, mode, caller, out, opened);
  }

  read(node: number, handle: number, position: number, into: Block, at: number, size: number): number {
    return files.read(this.host, node, handle, position, into, at, size);
  }

  write(node: number, handle: number, position: number, from: Block, at: number, size: number, kill: boolean): number {
    return files.write(this.host, node, handle, position, from, at, size, kill);
  }

  /** Answered ENOSYS once, and not asked any more, where locks are not ours. */
  flush(node: number, _handle: number, lock: Lock): number {
    if (this.host.opensItself) return -ENOSYS;
    locks.dropLocks(this.host, node, lock);
    return 0;
  }

  getLock(node: number, _handle: number, lock: Lock): number {
    return locks.getLock(this.host, node, lock);
  }

  setLock(node: number, handle: number, lock: Lock): number {
    return locks.setLock(this.host, node, handle, lock);
  }

  release(_node: number, handle: number, _lock: Lock): number {
    return files.release(this.host, handle);
  }

  sync(node: number, handle: number, dataOnly: boolean): number {
    return files.sync(this.host, node, handle, dataOnly);
  }

  allocate(node: number, handle: number, mode: number, position: number, size: number): number {
    const fd = this.host.dataFd(node, handle, true);
    return fd < 0 ? fd : tryAllocate(fd, mode, position, size);
  }

  seek(node: number, handle: number, position: number, whence: number): number {
    return files.seek(this.host, node, handle, position, whence);
  }

  copyRange(node: number, handle: number, position: number, toNode: number, toHandle: number, toPosition: number, size: number): number {
    return files.copyRange(this.host, node, handle, position, toNode, toHandle, toPosition, size);
  }

  openDirectory(node: number, out: Opened): number {
    return this.host.opensItself ? -ENOSYS : directories.openDirectory(this.host, node, out);
  }

  readDirectory(node: number, handle: number, offsetLow: number, offsetHigh: number, sink: DirectorySink): number {
    return directories.readDirectory(this.host, node, handle, offsetLow, offsetHigh, sink);
  }

  releaseDirectory(_node: number, handle: number): number {
    return files.release(this.host, handle);
  }

  syncDirectory(node: number, handle: number): number {
    return files.sync(this.host, node, handle, false);
  }

  getXattr(node: number, name: CString, into: Block, at: number, size: number): number {
    return this.#hasNoXattrs ? -ENOSYS : xattrs.getXattr(this.host, node, name, into, at, size);
  }

  listXattr(node: number, into: Block, at: number, size: number): number {
    return this.#hasNoXattrs ? -ENOSYS : xattrs.listXattr(this.host, node, into, at, size);
  }

  setXattr(node: number, name: CString, from: Block, at: number, size: number, flags: number): number {
    return this.#hasNoXattrs ? -ENOSYS : xattrs.setXattr(this.host, node, name, from, at, size, flags);
  }

  removeXattr(node: number, name: CString): number {
    return this.#hasNoXattrs ? -ENOSYS : xattrs.removeXattr(this.host, node, name);
  }

  /** Not done: syncfs(2) makes the whole host file system write, everybody's files on it. fsync(2) is there for those who need it. */
  syncFileSystem(_node: number): number {
    return 0;
  }

  destroy(): void {
    this.host.destroy();
  }
}
