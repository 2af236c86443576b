/** Decides how the host's root appears in the sandbox. Runs in the runtime, before the fork; host-root.ts carries it out. */
import { lstatSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { HIDDEN_IN_HOMES, HIDDEN_PATHS, type HiddenPath } from "./hidden.ts";
import { isKernelType, type MountPoint } from "./mount-table.ts";
import { ancestors, isBelow, isWithin, topOf } from "./paths.ts";

/** One top-level name of the root. */
export type RootEntry =
  | { readonly kind: "link"; readonly name: string; readonly target: string }
  /** The host's directory under a throw-away layer. */
  | { readonly kind: "layered"; readonly name: string; readonly directories: readonly OwnDirectory[] }
  /** The host's directory with what is mounted below it, read-only. */
  | { readonly kind: "read-only"; readonly name: string };

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
  /** The program's home. */
  readonly home: string;
  /** The caller's home directory. */
  readonly callerHome: string;
  /** Whether the sandbox's user is not the caller, so that only what is open to everybody is open to it. */
  readonly foreign: boolean;
}

/** In these, where the host has them, the sandbox may make and replace files. What lies deeper and is not the sandbox's keeps its owner's permissions. */
const OWN_DIRECTORIES = [
  "usr/bin", "usr/sbin", "usr/lib", "usr/include", "usr/share", "usr/local", "usr/local/bin", "usr/local/sbin", "usr/local/lib",
  "usr/local/include", "usr/local/share", "usr/local/etc", "var/lib", "var/cache", "var/opt", "var/local",
];

export function planHostRoot(request: HostPlanRequest): HostPlan {
  const hidden = HIDDEN_PATHS.flatMap(expand).filter(({ path }) => !request.lent.includes(path));
  const omitted = new Set(hidden.filter(({ how }) => how === "omitted").map(({ path }) => path));
  const throwAway = throwAwayDirectories(hidden, request);
  const replaced = new Set([...omitted, ...throwAway.map(({ path }) => path), ...request.lent]);
  const entries = readdirSync("/").filter((name) => !replaced.has(`/${name}`)).flatMap((name) => rootEntry(name, request));
  const masks = [...hidden.filter(({ how }) => how === "masked").map(({ path }) => path), ...foreignMounts(request, replaced), ...sockets(entries), ...homeSecrets(request)];
  const masked = masks.filter((path) => !throwAway.some((own) => own.path === path) && isReachable(path, request));
  return { entries, throwAway, masked: [...new Set(masked)] };
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

function rootEntry(name: string, request: HostPlanRequest): RootEntry[] {
  const path = `/${name}`;
  const { mounts, foreign } = request;
  const info = lstatSync(path);
  if (info.isSymbolicLink()) return [{ kind: "link", name, target: readlinkSync(path) }];
  if (!info.isDirectory() || !isOpen(path, foreign)) return [];
  const here = mounts.findLast((mount) => mount.path === path);
  if (here !== undefined && isKernelType(here.type)) return [];
  // The kernel gives no layer over a directory with other mounts below to who could not unmount them (CVE-2021-3732).
  if (mounts.some((mount) => isBelow(mount.path, path))) return [{ kind: "read-only", name }];
  const directories = [...ownDirectories(name), ...privateAncestors(name, request)];
  return [{ kind: "layered", name, directories: [...new Map(directories.map((directory) => [directory.path, directory])).values()] }];
}

function ownDirectories(name: string): OwnDirectory[] {
  const there = OWN_DIRECTORIES.filter((path) => path.startsWith(`${name}/`) && isRealDirectory(`/${path}`));
  return there.map((path) => ({ path: path.slice(name.length + 1), opaque: false }));
}

function isRealDirectory(path: string): boolean {
  const info = lstatSync(path, { throwIfNoEntry: false });
  return info?.isDirectory() === true && (info.mode & 0o5) === 0o5;
}

/** What is lent may lie in a directory that is closed to the sandbox: on the way there it gets an empty one of the same name. */
function privateAncestors(name: string, { lent, foreign }: HostPlanRequest): OwnDirectory[] {
  const closed = lent.filter((path) => topOf(path) === `/${name}`).flatMap((path) => {
    const way = ancestors(path).filter((directory) => isBelow(directory, `/${name}`));
    const first = way.findIndex((directory) => !isOpen(directory, foreign));
    return first === -1 ? [] : way.map((directory, i) => ({ path: directory.slice(name.length + 2), opaque: i >= first }));
  });
  return closed;
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

/** Kernel file systems that the host has mounted in ordinary places, in a chroot for example. */
function foreignMounts({ mounts }: HostPlanRequest, replaced: ReadonlySet<string>): string[] {
  return mounts.filter(({ path, type }) => isKernelType(type) && !replaced.has(topOf(path))).map(({ path }) => path);
}

/** An overlay's socket is not the host's; one in a directory that is only read-only could be connected to. Source: unix(7), /proc/net/unix. */
function sockets(entries: readonly RootEntry[]): string[] {
  const shown = entries.filter(({ kind }) => kind === "read-only").map(({ name }) => `/${name}`);
  if (shown.length === 0) return [];
  const paths = readFileSync("/proc/net/unix", "utf8").split("\n").slice(1).map((line) => line.split(/\s+/).slice(7).join(" "));
  return paths.filter((path) => path.startsWith("/") && shown.some((directory) => isWithin(path, directory)));
}

/** A lent directory that is a home, or has homes in it, shows no keys. */
export function homeSecrets({ lent, callerHome, foreign }: Pick<HostPlanRequest, "lent" | "callerHome" | "foreign">): string[] {
  const homes = new Set([callerHome, "/root", ...listIfThere("/home").map((name) => `/home/${name}`)].filter((path) => path !== "/"));
  return [...homes].filter((home) => lent.some((directory) => isWithin(home, directory))).flatMap((home) => HIDDEN_IN_HOMES.map((name) => join(home, name))).filter((path) => isReachable(path, { lent, foreign }));
}
