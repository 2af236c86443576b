/**
 * A read-only tree that is made up: directories, symbolic links, and files whose content is computed when they are opened. For what a sandbox
 * shows of itself (/proc/meminfo, /sys ...).
 *
 *   new SyntheticFileSystem(directory({ "hello": file(() => "world\n"), "link": symlink("hello") }))
 */
import { EBADF, EINVAL, EISDIR, EMSGSIZE, ENOENT, ENOTDIR } from "../linux/abi/errno.ts";
import { S_IFDIR, S_IFLNK, S_IFREG } from "../linux/abi/fcntl.ts";
import type { CString } from "../linux/c-string.ts";
import type { Block } from "../linux/memory.unsafe.ts";
import { ROOT_NODE } from "./fuse/abi.ts";
import type { Attributes, AttributesReply, DirectorySink, Entry, FileSystem, FileSystemStatistics, Opened } from "./fuse/file-system.ts";

export type SyntheticNode = SyntheticDirectory | SyntheticFile | SyntheticLink;

interface Common {
  /** Permission bits. */
  readonly mode: number;
  /** In container ids; root's where left out. */
  readonly uid?: number;
  readonly gid?: number;
}

export interface SyntheticDirectory extends Common {
  readonly kind: "directory";
  /** Names and what they are, asked for at every lookup and listing. Nodes are told apart by identity: give the same object for the same file. */
  readonly entries: () => ReadonlyMap<string, SyntheticNode>;
}

export interface SyntheticFile extends Common {
  readonly kind: "file";
  /** The content of one opening. It throws where it cannot tell: the opener gets EIO. */
  readonly read: () => string | Uint8Array;
}

export interface SyntheticLink extends Common {
  readonly kind: "symlink";
  readonly target: () => string;
}

/** @param entries fixed, or a function for those that change. */
export function directory(entries: Readonly<Record<string, SyntheticNode>> | (() => ReadonlyMap<string, SyntheticNode>), mode = 0o555): SyntheticDirectory {
  if (typeof entries === "function") return { kind: "directory", mode, entries };
  const fixed = new Map(Object.entries(entries));
  return { kind: "directory", mode, entries: () => fixed };
}

export function file(read: () => string | Uint8Array, mode = 0o444): SyntheticFile {
  return { kind: "file", mode, read };
}

export function symlink(target: string | (() => string)): SyntheticLink {
  return { kind: "symlink", mode: 0o777, target: typeof target === "string" ? () => target : target };
}

export interface SyntheticOptions {
  /** How long the kernel may believe names and attributes; 0 where entries come and go. */
  readonly validMs?: number;
}

const TYPE: Record<SyntheticNode["kind"], number> = { directory: S_IFDIR, file: S_IFREG, symlink: S_IFLNK };
const EIO = 5;
const DOTS = [".", ".."] as const;
/** Openings at a time: a guest that opens without end gets EMFILE. */
const MAX_OPEN = 65_536;
const EMFILE = 24;
/** Content of one file, in bytes. */
const MAX_CONTENT = 16 << 20;

export class SyntheticFileSystem implements FileSystem {
  readonly features = { readOnly: true };
  readonly #nodes = new Map<number, { readonly node: SyntheticNode; lookups: number }>();
  /** Numbers stay with their nodes, so that a file has one inode number however often it is forgotten. */
  readonly #ids = new WeakMap<SyntheticNode, number>();
  readonly #contents = new Map<number, Uint8Array>();
  readonly #validMs: number;
  #nextId = ROOT_NODE;
  #nextHandle = 1;
  readonly #bornSeconds = Math.floor(Date.now() / 1000);

  constructor(root: SyntheticDirectory, options: SyntheticOptions = {}) {
    this.#validMs = options.validMs ?? 1000;
    this.#nodes.set(this.#idOf(root), { node: root, lookups: 1 });
  }

  #idOf(node: SyntheticNode): number {
    const known = this.#ids.get(node);
    if (known !== undefined) return known;
    const id = this.#nextId++;
    this.#ids.set(node, id);
    return id;
  }

  #entries(id: number): ReadonlyMap<string, SyntheticNode> | number {
    const node = this.#nodes.get(id)?.node;
    if (node === undefined) return -ENOENT;
    if (node.kind !== "directory") return -ENOTDIR;
    return attempt(node.entries);
  }

  lookup(parent: number, name: CString, out: Entry): number {
    const entries = this.#entries(parent);
    if (typeof entries === "number") return entries;
    const node = entries.get(name.text());
    if (node === undefined) return -ENOENT;
    this.#take(node, out);
    return 0;
  }

  #take(node: SyntheticNode, out: Entry): void {
    const id = this.#idOf(node);
    const known = this.#nodes.get(id);
    if (known === undefined) this.#nodes.set(id, { node, lookups: 1 });
    else known.lookups++;
    out.node = id;
    out.generation = 0;
    out.entryMs = this.#validMs;
    out.attributesMs = this.#validMs;
    this.#fill(id, node, out.attributes);
  }

  forget(id: number, count: number): void {
    const known = this.#nodes.get(id);
    if (known === undefined || id === ROOT_NODE) return;
    known.lookups -= count;
    if (known.lookups <= 0) this.#nodes.delete(id);
  }

  getAttributes(id: number, _handle: number, out: AttributesReply): number {
    const node = this.#nodes.get(id)?.node;
    if (node === undefined) return -ENOENT;
    out.validMs = this.#validMs;
    this.#fill(id, node, out.attributes);
    return 0;
  }

  /**
   * A file's size is its content's of now in whole blocks, as in sysfs: sendfile(2) and splice(2) go by the page cache even where reads do
   * not, and take size 0 for the end. A read that is shorter tells where that is.
   */
  #fill(id: number, node: SyntheticNode, out: Attributes): void {
    out.inodeLow = id;
    out.inodeHigh = 0;
    out.mode = TYPE[node.kind] | node.mode;
    out.nlink = node.kind === "directory" ? 2 : 1;
    out.uid = node.uid ?? 0;
    out.gid = node.gid ?? 0;
    out.size = node.kind === "file" ? wholeBlocks(node) : 0;
    out.blocks = 0;
    out.accessSeconds = this.#bornSeconds;
    out.modifySeconds = this.#bornSeconds;
    out.changeSeconds = this.#bornSeconds;
  }

  readLink(id: number, into: Block, at: number, size: number): number {
    const node = this.#nodes.get(id)?.node;
    if (node?.kind !== "symlink") return -EINVAL;
    const target = attempt(node.target);
    if (typeof target === "number") return target;
    const bytes = Buffer.from(target);
    if (bytes.length > size) return -EMSGSIZE;
    into.bytes.set(bytes, at);
    return bytes.length;
  }

  /** The content of this opening stays as it is, whatever happens meanwhile, as for procfs' seq files. */
  open(id: number, _flags: number, _kill: boolean, out: Opened): number {
    const node = this.#nodes.get(id)?.node;
    if (node?.kind !== "file") return node?.kind === "directory" ? -EISDIR : -ENOENT;
    if (this.#contents.size >= MAX_OPEN) return -EMFILE;
    const content = attempt(node.read);
    if (typeof content === "number") return content;
    const bytes = typeof content === "string" ? Buffer.from(content) : content;
    if (bytes.length > MAX_CONTENT) return -EIO;
    out.handle = this.#nextHandle++;
    // Each opening has its own content.
    out.directIo = true;
    this.#contents.set(out.handle, bytes);
    return 0;
  }

  read(_id: number, handle: number, position: number, into: Block, at: number, size: number): number {
    const content = this.#contents.get(handle);
    if (content === undefined) return -EBADF;
    const part = content.subarray(Math.min(position, content.length), Math.min(position + size, content.length));
    into.bytes.set(part, at);
    return part.length;
  }

  release(_id: number, handle: number): number {
    return this.#contents.delete(handle) ? 0 : -EBADF;
  }

  /** An entry's offset is its place in the listing, from 1 on. */
  readDirectory(id: number, _handle: number, offsetLow: number, _offsetHigh: number, sink: DirectorySink): number {
    const entries = this.#entries(id);
    if (typeof entries === "number") return entries;
    const all = [...DOTS.map((name) => [name, undefined] as const), ...entries];
    for (const [i, [name, node]] of all.entries()) {
      if (i < offsetLow) continue;
      if (!sink.fits(Buffer.byteLength(name))) return i === offsetLow ? -EINVAL : 0;
      sink.entry.node = 0;
      if (sink.plus && node !== undefined) this.#take(node, sink.entry);
      sink.addText(node === undefined ? id : this.#idOf(node), (node === undefined ? S_IFDIR : TYPE[node.kind]) >> 12, i + 1, name);
    }
    return 0;
  }

  statistics(_id: number, out: FileSystemStatistics): number {
    out.blocks = 0;
    out.files = 0;
    return 0;
  }

  /** None: an answer, because overlayfs and cp(1) take a refusal for a failure. */
  listXattr(): number {
    return 0;
  }

  destroy(): void {
    this.#contents.clear();
    this.#nodes.clear();
  }
}

const BLOCK = 4096;

function wholeBlocks({ read }: SyntheticFile): number {
  const content = attempt(read);
  const length = typeof content === "number" ? 0 : typeof content === "string" ? Buffer.byteLength(content) : content.length;
  return BLOCK * Math.max(1, Math.ceil(length / BLOCK));
}

/** What `action` gives, or -EIO where it throws: a bug in a made-up file must not end the gofer. */
function attempt<T>(action: () => T): T | number {
  try {
    return action();
  } catch {
    return -EIO;
  }
}

