/** What the arguments of system calls are that somebody else makes (errands.ts): what goes along, and what comes back. */
import { SYS } from "../../../linux/arch.ts";
import { OPEN_HOW_SIZE } from "../../../linux/abi/openat2.ts";
import { bytesAt } from "../../../linux/memory.unsafe.ts";

type Kind =
  | "value"
  | "fd"
  /** NUL-terminated. */
  | "path"
  /** A structure, or NULL. */
  | { readonly in: number }
  | { readonly out: number }
  /** The argument that has its size. */
  | { readonly inSized: number }
  | { readonly outSized: number };

const [STAT_SIZE, STATX_SIZE, STATFS_SIZE, TIMES_SIZE] = [144, 256, 120, 32] as const;
const named: readonly Kind[] = ["fd", "path"];

const SIGNATURES = new Map<number, readonly Kind[]>(
  Object.entries({
    openat2: [...named, { in: OPEN_HOW_SIZE }, "value"],
    newfstatat: [...named, { out: STAT_SIZE }, "value"],
    statx: [...named, "value", "value", { out: STATX_SIZE }],
    faccessat2: [...named, "value", "value"],
    readlinkat: [...named, { outSized: 3 }, "value"],
    mkdirat: [...named, "value"],
    mknodat: [...named, "value", "value"],
    unlinkat: [...named, "value"],
    renameat2: [...named, ...named, "value"],
    linkat: [...named, ...named, "value"],
    symlinkat: ["path", ...named],
    fchmodat2: [...named, "value", "value"],
    fchownat: [...named, "value", "value", "value"],
    utimensat: [...named, { in: TIMES_SIZE }, "value"],
    getxattr: ["path", "path", { outSized: 3 }, "value"],
    setxattr: ["path", "path", { inSized: 3 }, "value", "value"],
    listxattr: ["path", { outSized: 2 }, "value"],
    removexattr: ["path", "path"],
    inotify_add_watch: [...named, "value"],
    fstatfs: ["fd", { out: STATFS_SIZE }],
    read: ["fd", { outSized: 2 }, "value"],
    pread64: ["fd", { outSized: 2 }, "value", "value"],
    write: ["fd", { inSized: 2 }, "value"],
    pwrite64: ["fd", { inSized: 2 }, "value", "value"],
    getdents64: ["fd", { outSized: 2 }, "value"],
    lseek: ["fd", "value", "value"],
    ftruncate: ["fd", "value"],
    fallocate: ["fd", "value", "value", "value"],
    fsync: ["fd"],
    fdatasync: ["fd"],
    flock: ["fd", "value"],
    close: ["fd"],
  } satisfies Partial<Record<keyof typeof SYS, readonly Kind[]>>).map(([name, kinds]) => [SYS[name as keyof typeof SYS], kinds]),
);

const PATH_MAX = 4096;

/** Memory that an argument points to. */
export interface Piece {
  readonly index: number;
  /** What goes along; undefined where the call writes. */
  readonly bytes: Uint8Array | undefined;
  readonly size: number;
}

/** A call with all that it needs. */
export interface Packed {
  readonly nr: number;
  readonly args: readonly (number | bigint)[];
  readonly pieces: readonly Piece[];
  /** Descriptors that it names. */
  readonly fds: readonly number[];
  /** The same for the same call: number, values and names; not data. */
  readonly key: string;
}

/** @returns undefined for a call that is no errand. */
export function pack(nr: number, args: readonly (number | bigint)[]): Packed | undefined {
  const kinds = SIGNATURES.get(nr);
  if (kinds === undefined) return undefined;
  const pieces: Piece[] = [];
  const key: (string | number | bigint)[] = [nr];
  for (const [index, kind] of kinds.entries()) {
    const value = args[index] ?? 0;
    const piece = value === 0 ? undefined : pieceOf(kind, index, Number(value), args);
    if (piece !== undefined) pieces.push(piece);
    if (typeof kind === "string" && kind !== "path") key.push(value);
    else if (piece?.bytes !== undefined && (kind === "path" || isStructure(kind))) key.push(Buffer.from(piece.bytes).toString("latin1"));
  }
  return { nr, args, pieces, fds: kinds.flatMap((kind, i) => (kind === "fd" ? [Number(args[i])] : [])), key: key.join("\n") };
}

const isStructure = (kind: Kind): boolean => typeof kind !== "string" && "in" in kind;

function pieceOf(kind: Kind, index: number, address: number, args: readonly (number | bigint)[]): Piece | undefined {
  if (kind === "value" || kind === "fd") return undefined;
  if (kind === "path") return copied(index, address, bytesAt(address, PATH_MAX).indexOf(0) + 1);
  if ("in" in kind) return copied(index, address, kind.in);
  if ("out" in kind) return { index, bytes: undefined, size: kind.out };
  if ("inSized" in kind) return copied(index, address, Number(args[kind.inSized]));
  return { index, bytes: undefined, size: Number(args[kind.outSized]) };
}

const copied = (index: number, address: number, size: number): Piece => ({ index, bytes: bytesAt(address, size).slice(), size });
