/** Unpacks a tar archive, or a layer of an image, into a tree. Sources: tar(5), OCI image-spec layer.md ("Whiteouts"). */
import type { Readable } from "node:stream";
import { extract, type Entry, type Headers } from "tar-stream";
import { writeAll } from "../../../linux/file.ts";
import { ArchiveError, memberPath, setModificationTime, type Ownership, type Tree } from "./tree.ts";

export interface UnpackOptions {
  /** Whether names that begin with `.wh.` remove what earlier layers brought. */
  readonly whiteouts: boolean;
  readonly warn: (message: string) => void;
  readonly abort: AbortSignal;
}

/** What no image has, and a bomb might. */
const MAX_BYTES = 64 * 2 ** 30;
const MAX_MEMBERS = 4_000_000;

const WHITEOUT = ".wh.";
const OPAQUE = ".wh..wh..opq";

/**
 * @param source the archive, not compressed.
 * @throws ArchiveError for a name or link that leads out, a damaged or endless archive; SysError.
 */
export async function unpack(source: Readable, tree: Tree, options: UnpackOptions): Promise<void> {
  const archive = extract();
  source.on("error", (error) => archive.destroy(error));
  const state: State = { tree, options, created: new Set(), bytes: 0, members: 0, skipped: 0 };
  source.pipe(archive);
  try {
    for await (const entry of archive) await unpackMember(entry, state);
  } finally {
    source.destroy();
  }
  if (state.skipped > 0) options.warn(`${state.skipped} device nodes and FIFOs of the archive are left out: a sandbox has its own devices`);
}

interface State {
  readonly tree: Tree;
  readonly options: UnpackOptions;
  /** Paths of this layer, with all that leads to them: its whiteouts mean earlier layers only. */
  readonly created: Set<string>;
  bytes: number;
  members: number;
  skipped: number;
}

async function unpackMember(entry: Entry, state: State): Promise<void> {
  state.options.abort.throwIfAborted();
  const { header } = entry;
  const parts = memberPath(header.name);
  state.members += 1;
  state.bytes += header.size ?? 0;
  if (state.members > MAX_MEMBERS || state.bytes > MAX_BYTES) throw new ArchiveError(`more than ${MAX_MEMBERS} members or ${MAX_BYTES} bytes`);
  if (state.options.whiteouts && parts.at(-1)?.startsWith(WHITEOUT) === true) removeEarlier(parts, state);
  else await create(entry, header, parts, state);
  entry.resume();
}

function removeEarlier(parts: readonly string[], { tree, created }: State): void {
  const name = parts.at(-1) ?? "";
  const parent = parts.slice(0, -1);
  if (name === OPAQUE) return tree.empty(parent, created);
  const hidden = name.slice(WHITEOUT.length);
  if (hidden === "" || hidden === "." || hidden === "..") throw new ArchiveError(`${JSON.stringify(parts.join("/"))} is no whiteout`);
  tree.remove([...parent, hidden], created);
}

async function create(entry: Entry, header: Headers, parts: readonly string[], state: State): Promise<void> {
  const { tree } = state;
  const owner: Ownership = { uid: header.uid ?? 0, gid: header.gid ?? 0 };
  for (const [i] of parts.entries()) state.created.add(parts.slice(0, i + 1).join("/"));
  switch (header.type) {
    case "file":
    case "contiguous-file":
      return createFile(entry, header, parts, owner, tree);
    case "directory":
      return tree.makeDirectory(parts, header.mode ?? 0o755, owner);
    case "symlink":
      return tree.makeSymlink(parts, header.linkname ?? "", owner);
    case "link":
      return tree.makeHardLink(parts, memberPath(header.linkname ?? ""));
    case "character-device":
    case "block-device":
    case "fifo":
      state.skipped += 1;
      return;
    case "pax-global-header":
      return;
    default:
      throw new ArchiveError(`${JSON.stringify(header.name)} is of a type that is not known (sparse file?)`);
  }
}

async function createFile(entry: Entry, header: Headers, parts: readonly string[], owner: Ownership, tree: Tree): Promise<void> {
  using fd = tree.createFile(parts, header.mode ?? 0o644, owner);
  for await (const chunk of entry) writeAll(fd, chunk);
  if (header.mtime !== undefined) setModificationTime(fd, header.mtime);
}
