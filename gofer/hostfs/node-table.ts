/**
 * Node id -> file. Ids are small numbers, used again with another generation. Descriptors are bounded by a cache, nodes by a count: a guest
 * that looks up without end gets ENFILE.
 */
import { ESTALE } from "./errnos.ts";
import { O_NOFOLLOW, O_PATH, RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV } from "../../linux/abi/fcntl.ts";
import { tryOpenEntry } from "../../linux/at.ts";
import { CString, putCString } from "../../linux/c-string.ts";
import { tryClose } from "../../linux/data.ts";
import { permanentBlock } from "../../linux/memory.unsafe.ts";
import type { StatBuffer } from "../../linux/stat-buffer.ts";
import { ROOT_NODE } from "../fuse/abi.ts";
import { FdCache } from "./fd-cache.ts";
import { HostNode } from "./node.ts";

const NAME_SIZE = 256;
const WORD = 0x1_0000_0000;
const EXACT_HIGH = 2 ** 21;

export interface Limits {
  /** O_PATH descriptors kept open. */
  readonly nodeFds: number;
  /** Descriptors for contents kept open. */
  readonly dataFds: number;
  readonly nodes: number;
}

export const DEFAULT_LIMITS: Limits = { nodeFds: 4096, dataFds: 256, nodes: 1 << 20 };

export class NodeTable {
  readonly #nodes: (HostNode | undefined)[] = [undefined];
  readonly #generations: number[] = [0];
  readonly #free: number[] = [];
  readonly #byKey = new Map<number | string, HostNode>();
  readonly fds: FdCache;
  readonly data: FdCache;
  readonly #limit: number;
  readonly #stat: StatBuffer;
  readonly #resolve: number;
  readonly #device: readonly [major: number, minor: number];
  readonly #nameBlock = permanentBlock(NAME_SIZE);
  readonly #name = new CString(this.#nameBlock);
  #count = 0;

  /** @param root an O_PATH descriptor; the table owns it. @param stat of the root; used for every node after that. */
  constructor(root: number, stat: StatBuffer, limits: Limits, submounts: boolean) {
    this.fds = new FdCache(limits.nodeFds);
    this.data = new FdCache(limits.dataFds);
    this.#limit = limits.nodes;
    this.#stat = stat;
    this.#resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | (submounts ? 0 : RESOLVE_NO_XDEV);
    this.#device = [stat.deviceMajor, stat.deviceMinor];
    const node = this.#create();
    if (node?.id !== ROOT_NODE) throw new Error("the root is the first node");
    node.lookups = 1;
    this.fds.pin(node);
    this.fds.put(node, root);
  }

  /** Nodes that the kernel knows. */
  get count(): number {
    return this.#count;
  }

  get(id: number): HostNode | undefined {
    return this.#nodes[id];
  }

  /** Opens an entry of `dir` as O_PATH; symbolic links themselves. */
  openEntry(dir: number, name: CString): number {
    return tryOpenEntry(dir, name, O_PATH | O_NOFOLLOW, this.#resolve);
  }

  /** The node's descriptor, opened again if need be; -ESTALE where its name means another file by now. It overwrites `stat`. */
  fdOf(node: HostNode): number {
    if (node.fd < 0) return this.#reopen(node);
    this.fds.touch(node);
    return node.fd;
  }

  #reopen(node: HostNode): number {
    if (node.dead || node.parent === undefined) return -ESTALE;
    const dir = this.fdOf(node.parent);
    if (dir < 0) return dir;
    putCString(this.#nameBlock, node.name);
    this.#name.point(this.#nameBlock, 0, NAME_SIZE);
    const fd = this.openEntry(dir, this.#name);
    if (fd < 0) return -ESTALE;
    if (this.#stat.ofFd(fd) < 0 || this.#keyOf(this.#stat) !== node.key || !node.isSameFile(this.#stat)) {
      tryClose(fd);
      return -ESTALE;
    }
    this.fds.put(node, fd);
    return fd;
  }

  /** The node for the file that `stat` tells of, if there is one. */
  find(stat: StatBuffer): HostNode | undefined {
    const node = this.#byKey.get(this.#keyOf(stat));
    if (node === undefined || node.fd >= 0 || node.isSameFile(stat)) return node;
    this.#disown(node);
    return undefined;
  }

  /**
   * The node for `fd`, of which `stat` tells, found as `name` in `parent`; it owns the descriptor from now on.
   * @returns undefined where there are too many; the descriptor is closed then.
   */
  adopt(fd: number, parent: HostNode, name: CString): HostNode | undefined {
    const node = this.find(this.#stat) ?? this.#create();
    if (node === undefined || node.fd >= 0) tryClose(fd);
    else this.fds.put(node, fd);
    if (node !== undefined) this.place(node, parent, name);
    return node;
  }

  /** Remembers where the node was found. */
  place(node: HostNode, parent: HostNode, name: CString): void {
    if (node.id === ROOT_NODE || (node.parent === parent && name.equals(node.name))) return;
    node.parent = parent;
    node.name = name.latin1();
    this.fds.unpin(node);
  }

  /** One that has lost its name can never be opened again: it keeps its descriptor. */
  unname(node: HostNode): void {
    if (node.id === ROOT_NODE) return;
    if (node.fd < 0) this.#reopen(node);
    this.fds.pin(node);
    node.parent = undefined;
  }

  forget(id: number, count: number): void {
    const node = this.#nodes[id];
    if (node === undefined || id === ROOT_NODE) return;
    node.lookups -= Math.min(count, node.lookups);
    if (node.lookups === 0) this.remove(node);
  }

  remove(node: HostNode): void {
    this.fds.close(node);
    this.data.close(node.data);
    this.#disown(node);
    node.dead = true;
    node.parent = undefined;
    this.#nodes[node.id] = undefined;
    this.#free.push(node.id);
    this.#count--;
  }

  /** The nodes that have a name, the root first, and each after its directory; others cannot be found again. */
  *named(): Iterable<HostNode> {
    const done = new Set<HostNode>();
    const within = function* (node: HostNode): Iterable<HostNode> {
      if (done.has(node)) return;
      done.add(node);
      if (node.parent !== undefined) yield* within(node.parent);
      if (node.parent !== undefined || node.id === ROOT_NODE) yield node;
    };
    for (const node of this.#nodes) if (node !== undefined) yield* within(node);
  }

  /**
   * Takes a node of another table's by its number: it is found, and looked at, when it is first used. Preconditions: nothing but the root is here; the
   * numbers come in any order. @throws RangeError for one that cannot be
   */
  restore(node: HostNode): void {
    if (!Number.isSafeInteger(node.id) || node.id <= ROOT_NODE || node.id > this.#limit || this.#nodes[node.id] !== undefined) throw new RangeError(`node ${node.id} cannot be restored`);
    this.#nodes[node.id] = node;
    this.#generations[node.id] = node.generation;
    this.#byKey.set(node.key, node);
    this.#count++;
  }

  /** The numbers that nobody has, after `restore`. */
  closeGaps(): void {
    for (let id = ROOT_NODE + 1; id < this.#nodes.length; id++) if (this.#nodes[id] === undefined) this.#free.push(id);
  }

  /** Closes everything, the root too. */
  clear(): void {
    for (const node of this.#nodes) if (node !== undefined) this.remove(node);
  }

  /** Its number belongs to another file now. */
  #disown(node: HostNode): void {
    if (this.#byKey.get(node.key) === node) this.#byKey.delete(node.key);
  }

  #create(): HostNode | undefined {
    if (this.#count >= this.#limit) return undefined;
    const id = this.#free.pop() ?? this.#nodes.length;
    const generation = (this.#generations[id] ?? 0) + 1;
    this.#generations[id] = generation;
    const node = new HostNode(id, generation, this.#keyOf(this.#stat), this.#stat);
    this.#nodes[id] = node;
    this.#byKey.set(node.key, node);
    this.#count++;
    return node;
  }

  /** The inode number where that says it all, which is nearly always; else device and number as text. */
  #keyOf(stat: StatBuffer): number | string {
    const high = stat.inodeHigh;
    if (stat.deviceMajor === this.#device[0] && stat.deviceMinor === this.#device[1] && high < EXACT_HIGH) return stat.inodeLow + high * WORD;
    return `${stat.deviceMajor}:${stat.deviceMinor}:${high}:${stat.inodeLow}`;
  }
}

