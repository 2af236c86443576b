/** What all parts of a lent directory share: the loan, its nodes and handles, and buffers. */
import { EBADF, EISDIR, ENOTDIR } from "../../linux/abi/errno.ts";
import { O_DIRECTORY, O_NONBLOCK, O_RDONLY, O_RDWR } from "../../linux/abi/fcntl.ts";
import type { CString } from "../../linux/c-string.ts";
import { check } from "../../linux/errors.ts";
import { FdLink } from "../../linux/fd-link.ts";
import { StatBuffer } from "../../linux/stat-buffer.ts";
import type { Loan } from "../export.ts";
import { ESTALE } from "./errnos.ts";
import { HandleTable } from "./handles.ts";
import { LockTable } from "./lock-table.ts";
import { DEFAULT_LIMITS, NodeTable, type Limits } from "./node-table.ts";
import type { HostNode } from "./node.ts";
import { ownerOf, type Owner } from "./owner.ts";
import { Watches } from "./watches.ts";

const HOUR_MS = 3_600_000;
/** How long the kernel may believe, for each policy. A name that is not there may be made by others at any moment. */
const BELIEF = {
  exclusive: { entryMs: 24 * HOUR_MS, attributesMs: 24 * HOUR_MS, absentMs: 24 * HOUR_MS },
  shared: { entryMs: 1000, attributesMs: 1000, absentMs: 0 },
} as const;

export class Host {
  readonly loan: Loan;
  readonly belief: (typeof BELIEF)[keyof typeof BELIEF];
  readonly stat = new StatBuffer();
  readonly link = new FdLink();
  readonly nodes: NodeTable;
  readonly handles: HandleTable;
  readonly owner: Owner;
  readonly locks = new LockTable();
  /** For shared loans. */
  readonly watches: Watches | undefined;
  /** OPEN and OPENDIR are not asked: descriptors belong to nodes. */
  readonly opensItself: boolean;

  /** Owns the loan's root from now on. @throws SysError where it cannot be looked at. */
  constructor(loan: Loan, limits: Limits = DEFAULT_LIMITS) {
    this.loan = loan;
    this.belief = BELIEF[loan.cache];
    this.opensItself = loan.cache === "exclusive";
    check(this.stat.ofFd(loan.root), "statx", "root of an export");
    this.nodes = new NodeTable(loan.root.release(), this.stat, limits, loan.submounts === true);
    this.handles = new HandleTable(limits.dataFds);
    this.watches = this.opensItself ? undefined : Watches.create(this.link, (dir, name) => this.knownEntry(dir, name));
    this.owner = ownerOf(loan.ownership, this.link);
  }

  /** The node's O_PATH descriptor; -ESTALE for one that does not exist. */
  fdOf(id: number): number {
    const node = this.nodes.get(id);
    return node === undefined ? -ESTALE : this.nodes.fdOf(node);
  }

  /** A directory's O_PATH descriptor. */
  directoryFd(node: HostNode | undefined): number {
    if (node === undefined) return -ESTALE;
    return node.isDirectory ? this.nodes.fdOf(node) : -ENOTDIR;
  }

  /** Opens the contents of a regular file; others are refused, for opening them may block or do something. */
  openData(node: HostNode, flags: number): number {
    if (!node.isRegular) return node.isDirectory ? -EISDIR : -EBADF;
    const fd = this.nodes.fdOf(node);
    return fd < 0 ? fd : this.link.reopen(fd, flags | O_NONBLOCK);
  }

  openListing(node: HostNode): number {
    const fd = this.directoryFd(node);
    return fd < 0 ? fd : this.link.reopen(fd, O_RDONLY | O_DIRECTORY);
  }

  /** The descriptor for contents: the handle's, or, where OPEN was not asked, the node's own, opened when it is first used. */
  dataFd(id: number, handle: number, write: boolean): number {
    const node = this.nodes.get(id);
    if (node === undefined) return -ESTALE;
    if (handle > 0) return this.handles.get(handle, node)?.fd ?? -EBADF;
    return this.opensItself ? this.#ownDataFd(node, write) : -EBADF;
  }

  #ownDataFd(node: HostNode, write: boolean): number {
    const { data } = this.nodes;
    if (node.data.fd >= 0 && (node.dataWritable || !write)) {
      data.touch(node.data);
      return node.data.fd;
    }
    const fd = this.openData(node, write ? O_RDWR : O_RDONLY);
    if (fd >= 0) this.keepDataFd(node, fd, write);
    return fd;
  }

  /** `fd` becomes the node's own. */
  keepDataFd(node: HostNode, fd: number, writable: boolean): void {
    const { data } = this.nodes;
    data.close(node.data);
    data.put(node.data, fd);
    node.dataWritable = writable;
  }

  /** The node of an entry, if the kernel knows it. */
  knownEntry(dir: HostNode, name: CString): HostNode | undefined {
    const fd = this.nodes.fdOf(dir);
    return fd < 0 || this.stat.ofEntry(fd, name) < 0 ? undefined : this.nodes.find(this.stat);
  }

  /** The kernel gives `count` references back. */
  forget(id: number, count: number): void {
    const node = this.nodes.get(id);
    this.nodes.forget(id, count);
    if (node?.dead !== true) return;
    this.locks.dropAll(node);
    this.watches?.unwatch(node);
  }

  destroy(): void {
    this.watches?.close();
    this.locks.clear();
    this.handles.clear();
    this.nodes.clear();
  }
}
