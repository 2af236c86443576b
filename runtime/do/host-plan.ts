/** Decides how the host's root appears in the sandbox. Runs in the runtime, before the fork; host-root.ts carries it out. */
import { lstatSync, readdirSync, readlinkSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { HIDDEN_IN_HOMES, HIDDEN_PATHS, type HiddenPath } from "./hidden.ts";
import { isKernelType, type MountPoint } from "./mount-table.ts";
import { ancestors, isBelow, isWithin } from "./paths.ts";

/** One name of the root, or of a composed directory. */
export type RootEntry =
  | { readonly kind: "link"; readonly name: string; readonly target: string }
  /** The host's file, read-only. */
  | { readonly kind: "file"; readonly name: string }
  /** The host's directory under a throw-away layer. */
  | { readonly kind: "layered"; readonly name: string; readonly directories: readonly OwnDirectory[] }
  /** A directory of the sandbox's with the host's names in it: one that has other mounts below it cannot be a layer as a whole. */
  | { readonly kind: "composed"; readonly name: string; readonly entries: readonly RootEntry[] };

/** A directory of the throw-away layer that the sandbox owns. */
export interface OwnDirectory {
  /** Relative to the layer. */
  readonly path: string;
  /** Hides what the host has there. */
  readonly opaque: boolean;
}

export interface HostPlan {
  readonly entries: readonly RootEntry[];
  /** Empty directories that the sandbox may write to, outer ones first. */
  readonly throwAway: readonly { readonly path: string; readonly mode: number }[];
  readonly masked: readonly string[];
}

export interface HostPlanRequest {
  readonly mounts: readonly MountPoint[];
  /** Where lent directories and files appear, outside of the reach of masks above them. */
  readonly lent: readonly string[];
  /** The caller's home directory, and the program's. */
  readonly home: string;
  /** Whether the sandbox's user is not the caller, so that only what is open to everybody is open to it. */
  readonly foreign: boolean;
  readonly warn: (message: string) => void;
}

/** In these, where the host has them, the sandbox may make and replace files. What lies deeper and is not the sandbox's keeps its owner's permissions. */
const OWN_DIRECTORIES = [
  "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/include", "/usr/share", "/usr/local", "/usr/local/bin", "/usr/local/sbin", "/usr/local/lib",
  "/usr/local/include", "/usr/local/share", "/usr/local/etc", "/var/lib", "/var/cache", "/var/opt", "/var/local",
];

export function planHostRoot(request: HostPlanRequest): HostPlan {
  const hidden = HIDDEN_PATHS.flatMap(expand).filter(({ path }) => !request.lent.includes(path));
  const throwAway = throwAwayDirectories(hidden, request);
  const masked = hidden.filter(({ how }) => how === "masked").map(({ path }) => path);
  const absent = new Set([...hidden.filter(({ how }) => how !== "masked").map(({ path }) => path), ...throwAway.map(({ path }) => path), ...request.lent]);
  return {
    entries: entriesOf("/", { ...request, absent, masked: new Set(masked) }),
    throwAway,
    masked: [...masked.filter((path) => !absent.has(path) && isReachable(path, request)), ...homeSecrets(request)],
  };
}

/** The paths that a row with a `*` stands for on this host. */
function expand(row: HiddenPath): HiddenPath[] {
  const pattern = basename(row.path);
  if (!pattern.includes("*")) return [row];
  const [prefix = "", suffix = ""] = pattern.split("*");
  const directory = dirname(row.path);
  return listIfThere(directory).filter((name) => name.startsWith(prefix) && name.endsWith(suffix)).map((name) => ({ ...row, path: join(directory, name) }));
}

function listIfThere(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** The table's, the home, and those masked ones in which something lent has to appear. */
function throwAwayDirectories(hidden: readonly HiddenPath[], { lent, home }: HostPlanRequest) {
  const table = hidden.filter(({ how, path }) => how === "throw-away" || lent.some((inner) => isBelow(inner, path)));
  const all = table.map(({ path, mode = 0o755 }) => ({ path, mode }));
  if (home !== "/" && !all.some(({ path }) => path === home) && !lent.includes(home)) all.push({ path: home, mode: 0o700 });
  return all.toSorted((a, b) => a.path.length - b.path.length);
}

interface Walk extends HostPlanRequest {
  /** Not taken over from the host: something else is put there, or nothing. */
  readonly absent: ReadonlySet<string>;
  readonly masked: ReadonlySet<string>;
}

/** A directory that is composed costs a mount for each of its names. */
const MAX_COMPOSED = 512;

function entriesOf(directory: string, walk: Walk): RootEntry[] {
  const names = listIfThere(directory).filter((name) => !walk.absent.has(join(directory, name)));
  if (names.length > MAX_COMPOSED) {
    walk.warn(`${directory} is not shown: the host has other mounts below it, and more than ${MAX_COMPOSED} names in it`);
    return [];
  }
  return names.flatMap((name) => entryOf(join(directory, name), name, walk));
}

/** Regular files directly in `/` are nobody's business; sockets, FIFOs and devices are doors, not content. */
function entryOf(path: string, name: string, walk: Walk): RootEntry[] {
  const info = lstatSync(path, { throwIfNoEntry: false });
  const below = walk.mounts.some((mount) => isBelow(mount.path, path));
  if (info === undefined || isKernelType(walk.mounts.findLast((mount) => mount.path === path)?.type ?? "")) return [];
  if (info.isSymbolicLink()) return [{ kind: "link", name, target: readlinkSync(path) }];
  if (info.isFile()) return dirname(path) === "/" ? [] : [{ kind: "file", name }];
  if (!info.isDirectory() || !isOpen(path, walk.foreign)) return [];
  // The kernel gives no layer over a directory with other mounts below to who could not unmount them (CVE-2021-3732).
  if (!below) return [{ kind: "layered", name, directories: uniqueByPath([...ownDirectories(path), ...privateAncestors(path, walk)]) }];
  return walk.masked.has(path) ? [] : [{ kind: "composed", name, entries: entriesOf(path, walk) }];
}

const uniqueByPath = (directories: readonly OwnDirectory[]): OwnDirectory[] => [...new Map(directories.map((directory) => [directory.path, directory])).values()];

function ownDirectories(layer: string): OwnDirectory[] {
  const there = OWN_DIRECTORIES.filter((path) => isBelow(path, layer) && isRealDirectory(path));
  return there.map((path) => ({ path: path.slice(layer.length + 1), opaque: false }));
}

function isRealDirectory(path: string): boolean {
  const info = lstatSync(path, { throwIfNoEntry: false });
  return info?.isDirectory() === true && (info.mode & 0o5) === 0o5;
}

/** What is lent may lie in a directory that is closed to the sandbox: on the way there it gets an empty one of the same name. */
function privateAncestors(layer: string, { lent, foreign }: HostPlanRequest): OwnDirectory[] {
  return lent.filter((path) => isBelow(path, layer)).flatMap((path) => {
    const way = ancestors(path).filter((directory) => isBelow(directory, layer));
    const first = way.findIndex((directory) => !isOpen(directory, foreign));
    return first === -1 ? [] : way.map((directory, i) => ({ path: directory.slice(layer.length + 1), opaque: i >= first }));
  });
}

/** Whether the sandbox may pass through a directory. */
function isOpen(path: string, foreign: boolean): boolean {
  const info = statSync(path, { throwIfNoEntry: false });
  return info === undefined || !foreign || (info.mode & 0o1) !== 0;
}

/**
 * A mask can only be laid on, and is only needed on, what the sandbox can reach. In a lent directory it is the owner, whatever the way to it
 * looks like outside.
 */
function isReachable(path: string, { lent, foreign }: Pick<HostPlanRequest, "lent" | "foreign">): boolean {
  const loan = lent.find((directory) => isBelow(path, directory));
  try {
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return false;
    if (loan === undefined) return ancestors(path).every((directory) => isOpen(directory, foreign));
    const owner = statSync(loan).uid;
    return ancestors(path).filter((directory) => isWithin(directory, loan)).every((directory) => isOpen(directory, foreign) || statSync(directory).uid === owner);
  } catch {
    return false;
  }
}

/** A lent directory that is a home, or has homes in it, shows no keys. */
export function homeSecrets({ lent, home, foreign }: Pick<HostPlanRequest, "lent" | "home" | "foreign">): string[] {
  const homes = new Set([home, "/root", ...listIfThere("/home").map((name) => `/home/${name}`)].filter((path) => path !== "/"));
  const shown = [...homes].filter((path) => lent.some((directory) => isWithin(path, directory)));
  return shown.flatMap((path) => HIDDEN_IN_HOMES.map((name) => join(path, name))).filter((path) => isReachable(path, { lent, foreign }));
}
