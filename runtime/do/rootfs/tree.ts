/**
 * The directory that an archive is unpacked into. Names in archives are hostile: every one is resolved by descriptor beneath the directory,
 * symbolic links of the archive's own included, and never by a path of the host's.
 */
import { futimesSync, linkSync } from "node:fs";
import * as fcntl from "../../../linux/abi/fcntl.ts";
import { ENOENT, ENOTDIR } from "../../../linux/abi/errno.ts";
import { check, isErrno } from "../../../linux/errors.ts";
import { Fd } from "../../../linux/fd.ts";
import * as file from "../../../linux/file.ts";
import { makeDirectoryInRoot } from "../../init/in-root.ts";

/** An archive that asks for something it may not have, or that is damaged. */
export class ArchiveError extends Error {
  override readonly name = "ArchiveError";
}

export interface Ownership {
  readonly uid: number;
  readonly gid: number;
}

const DIRECTORY = fcntl.O_RDONLY | fcntl.O_DIRECTORY | fcntl.O_NOFOLLOW;

/** The components of a member's name. A leading slash counts from the archive's root. @throws ArchiveError for `..`, an empty name, NUL. */
export function memberPath(name: string): string[] {
  const parts = name.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) throw new ArchiveError(`${JSON.stringify(name)} contains ".."`);
  if (name.includes("\0")) throw new ArchiveError(`${JSON.stringify(name)} contains a NUL`);
  return parts;
}

/** Writes below one directory. */
export class Tree {
  readonly root: Fd;
  readonly #owner: (member: Ownership) => Ownership | undefined;

  /** @param owner the owner on disk of a member with these ids; undefined: whoever unpacks. */
  constructor(root: Fd, owner: (member: Ownership) => Ownership | undefined) {
    this.root = root;
    this.#owner = owner;
  }

  /** An empty file; what was there before is gone. The mode's set-id bits are not for a sandbox, and left out. */
  createFile(parts: readonly string[], mode: number, owner: Ownership): Fd {
    const { parent, name } = this.#place(parts);
    using directory = parent;
    const fd = file.openAt(directory, name, fcntl.O_CREAT | fcntl.O_EXCL | fcntl.O_WRONLY | fcntl.O_NOFOLLOW, { mode: 0o600 });
    this.#own(fd, owner);
    file.changeModeAt(directory, name, mode & 0o1777);
    return fd;
  }

  /** The root itself where `parts` is empty. A directory that is there already keeps what is in it. */
  makeDirectory(parts: readonly string[], mode: number, owner: Ownership): void {
    // Whoever unpacks must be able to go on, and to remove it.
    const accessible = (mode & 0o1777) | 0o700;
    if (parts.length === 0) {
      this.#own(this.root, owner);
      return file.changeModeAt(this.root, ".", accessible);
    }
    using parent = makeDirectoryInRoot(this.root, parts.slice(0, -1).join("/"));
    const name = parts.at(-1) ?? "";
    if (typeAt(parent, name) !== fcntl.S_IFDIR) {
      removeAt(parent, name);
      file.makeDirectoryAt(parent, name, 0o700);
    }
    using directory = file.openAt(parent, name, DIRECTORY);
    this.#own(directory, owner);
    file.changeModeAt(parent, name, accessible);
  }

  /** The target is only ever followed beneath the root. */
  makeSymlink(parts: readonly string[], target: string, owner: Ownership): void {
    const { parent, name } = this.#place(parts);
    using directory = parent;
    file.symlinkAt(target, directory, name);
    using link = file.openAt(directory, name, fcntl.O_PATH | fcntl.O_NOFOLLOW);
    this.#own(link, owner);
  }

  /** @throws ArchiveError where the target is no regular file of the archive's. */
  makeHardLink(parts: readonly string[], target: readonly string[]): void {
    const source = this.#find(target);
    if (source === undefined) throw new ArchiveError(`${parts.join("/")} is a link to ${target.join("/")}, which is no file in the archive`);
    using from = source.parent;
    const { parent, name } = this.#place(parts);
    using to = parent;
    // link(2) follows neither name: both are single components in an open directory.
    linkSync(`${from.procPath}/${source.name}`, `${to.procPath}/${name}`);
  }

  /** Removes what is there, except for the names in `keep` (paths from the root) and what leads to them. */
  remove(parts: readonly string[], keep: ReadonlySet<string>): void {
    const parent = this.#open(parts.slice(0, -1));
    if (parent === undefined) return;
    using directory = parent;
    removeExcept(directory, parts.at(-1) ?? "", parts.join("/"), keep);
  }

  /** Removes the content of a directory, in the same way. */
  empty(parts: readonly string[], keep: ReadonlySet<string>): void {
    const opened = this.#open(parts, fcntl.O_RDONLY | fcntl.O_DIRECTORY);
    if (opened === undefined) return;
    using directory = opened;
    for (const name of file.listDirectory(directory)) removeExcept(directory, name, [...parts, name].join("/"), keep);
  }

  #open(parts: readonly string[], flags = fcntl.O_PATH | fcntl.O_DIRECTORY): Fd | undefined {
    const result = file.tryOpenAt(this.root, parts.join("/") || ".", flags, { resolve: fcntl.RESOLVE_IN_ROOT });
    return result === -ENOENT || result === -ENOTDIR ? undefined : new Fd(check(result, "openat2", parts.join("/")));
  }

  #find(parts: readonly string[]): { parent: Fd; name: string } | undefined {
    const name = parts.at(-1);
    const parent = name === undefined ? undefined : this.#open(parts.slice(0, -1));
    if (parent === undefined || name === undefined) return undefined;
    if (typeAt(parent, name) === fcntl.S_IFREG) return { parent, name };
    parent.close();
    return undefined;
  }

  /** The directory for a new member, made where it is missing, and the name, which is free afterwards. */
  #place(parts: readonly string[]): { parent: Fd; name: string } {
    const name = parts.at(-1);
    if (name === undefined) throw new ArchiveError("a member that is no directory has the name of the root");
    const parent = makeDirectoryInRoot(this.root, parts.slice(0, -1).join("/"));
    removeAt(parent, name);
    return { parent, name };
  }

  #own(fd: Fd, member: Ownership): void {
    const owner = this.#owner(member);
    if (owner !== undefined) file.changeOwner(fd, owner.uid, owner.gid);
  }
}

export function setModificationTime(fd: Fd, time: Date): void {
  futimesSync(fd.number, time, time);
}

/** S_IF* of what is there, a link not followed; undefined where nothing is. */
function typeAt(parent: Fd, name: string): number | undefined {
  try {
    return file.statAt(parent, name).mode & fcntl.S_IFMT;
  } catch (error) {
    if (isErrno(error, ENOENT)) return undefined;
    throw error;
  }
}

const NOTHING: ReadonlySet<string> = new Set();

function removeAt(parent: Fd, name: string): void {
  removeExcept(parent, name, name, NOTHING);
}

function removeExcept(parent: Fd, name: string, path: string, keep: ReadonlySet<string>): void {
  const type = typeAt(parent, name);
  if (type === undefined) return;
  if (type === fcntl.S_IFDIR) {
    using directory = file.openAt(parent, name, DIRECTORY);
    for (const inner of file.listDirectory(directory)) removeExcept(directory, inner, `${path}/${inner}`, keep);
  }
  if (!keep.has(path)) file.unlinkAt(parent, name, type === fcntl.S_IFDIR ? fcntl.AT_REMOVEDIR : 0);
}
