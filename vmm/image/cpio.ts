/** An initramfs: a cpio archive of the "new ASCII" format. Source: Linux Documentation/driver-api/early-userspace/buffer-format.rst. */

export type ArchiveEntry =
  | { readonly kind: "directory"; readonly path: string; readonly mode?: number }
  | { readonly kind: "file"; readonly path: string; readonly content: Uint8Array | string; readonly mode?: number }
  | { readonly kind: "link"; readonly path: string; readonly target: string };

const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;

function modeOf(entry: ArchiveEntry): number {
  switch (entry.kind) {
    case "directory": return S_IFDIR | (entry.mode ?? 0o755);
    case "file": return S_IFREG | (entry.mode ?? 0o644);
    case "link": return S_IFLNK | 0o777;
    default: return entry satisfies never;
  }
}

function contentOf(entry: ArchiveEntry): Uint8Array {
  if (entry.kind === "file") return typeof entry.content === "string" ? Buffer.from(entry.content) : entry.content;
  return Buffer.from(entry.kind === "link" ? entry.target : "");
}

const padding = (size: number) => Buffer.alloc(-size & 3);

function record(name: string, mode: number, content: Uint8Array, inode: number): Buffer {
  const nameBytes = Buffer.from(`${name}\0`);
  // Magic, inode, mode, uid, gid, links, time, size, device (two), rdev (two), name's length, checksum.
  const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, nameBytes.length, 0];
  const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`);
  return Buffer.concat([header, nameBytes, padding(header.length + nameBytes.length), content, padding(content.length)]);
}

/** Everything belongs to root, and has time 0: equal entries make equal archives. Directories must stand before what is in them. */
export function cpioArchive(entries: readonly ArchiveEntry[]): Uint8Array {
  const records = entries.map((entry, i) => record(entry.path.replace(/^\/+/, ""), modeOf(entry), contentOf(entry), i + 1));
  return Buffer.concat([...records, record("TRAILER!!!", 0, new Uint8Array(), 0)]);
}
