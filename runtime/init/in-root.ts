/**
 * Paths of a container's root file system, resolved by descriptor beneath it: its symbolic links are the image's, and lead nowhere else.
 * Source: openat2(2) RESOLVE_IN_ROOT; what happens otherwise: CVE-2019-19921, CVE-2021-30465, CVE-2026-41579.
 */
import { EINVAL, ELOOP, ENOENT } from "../../linux/abi/errno.ts";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { check, isErrno, SysError } from "../../linux/errors.ts";
import { Fd } from "../../linux/fd.ts";
import { makeDirectoryAt, openAt, readLinkAt, statAt, tryOpenAt } from "../../linux/file.ts";

const DIRECTORY_MODE = 0o755;
const FILE_MODE = 0o644;

/** The components of a path, without empty ones and `.`; `..` is left to the kernel. */
export function components(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}

/** An O_PATH descriptor of `path` below `root`, or undefined where it does not exist. @throws SysError */
export function findInRoot(root: Fd, path: string): Fd | undefined {
  const result = tryOpenAt(root, components(path).join("/") || ".", fcntl.O_PATH, { resolve: fcntl.RESOLVE_IN_ROOT });
  if (result === -ENOENT) return undefined;
  return new Fd(check(result, "openat2", path));
}

/** As the kernel's own limit. Source: path_resolution(7). */
const MAX_LINKS = 40;

/**
 * The directory `path` below `root`, made with its parents where it is missing. A link that leads nowhere yet is followed beneath the root:
 * what it names is made there.
 * @throws SysError
 */
export function makeDirectoryInRoot(root: Fd, path: string, mode = DIRECTORY_MODE, links = MAX_LINKS): Fd {
  let parent = openAt(root, ".", fcntl.O_PATH | fcntl.O_DIRECTORY, { resolve: fcntl.RESOLVE_IN_ROOT });
  const parts = components(path);
  for (const [i, part] of parts.entries()) {
    const prefix = parts.slice(0, i + 1).join("/");
    using above = parent;
    const existing = findInRoot(root, prefix);
    const target = existing === undefined ? linkTarget(above, part, prefix, links) : undefined;
    if (target !== undefined) {
      return makeDirectoryInRoot(root, [behindLink(parts.slice(0, i), target), ...parts.slice(i + 1)].join("/"), mode, links - 1);
    }
    if (existing === undefined) makeDirectoryAt(above, part, mode);
    parent = existing ?? openAt(root, prefix, fcntl.O_PATH | fcntl.O_DIRECTORY, { resolve: fcntl.RESOLVE_IN_ROOT });
  }
  return parent;
}

/** Where the symbolic link `name` leads; undefined where it is none. @throws SysError ELOOP */
function linkTarget(parent: Fd, name: string, path: string, links: number): string | undefined {
  try {
    const target = readLinkAt(parent, name);
    if (links === 0) throw new SysError({ syscall: "mkdir", errno: ELOOP, path: `/${path}` });
    return target;
  } catch (error) {
    if (isErrno(error, ENOENT, EINVAL)) return undefined;
    throw error;
  }
}

function behindLink(above: readonly string[], target: string): string {
  return target.startsWith("/") ? target : [...above, target].join("/");
}

/** The parent directory of `path`, made where it is missing, and the last component. */
export function parentInRoot(root: Fd, path: string): { parent: Fd; name: string } {
  const parts = components(path);
  const name = parts.pop();
  if (name === undefined || name === "..") throw new SysError({ syscall: "openat2", errno: 0, path, hint: "the path names no file" });
  return { parent: makeDirectoryInRoot(root, parts.join("/")), name };
}

/** An empty file at `path` where nothing is there; what exists is used as it is. */
export function makeFileInRoot(root: Fd, path: string, links = MAX_LINKS): Fd {
  const existing = findInRoot(root, path);
  if (existing !== undefined) return existing;
  const { parent, name } = parentInRoot(root, path);
  using above = parent;
  const target = linkTarget(above, name, path, links);
  if (target !== undefined) return makeFileInRoot(root, behindLink(components(path).slice(0, -1), target), links - 1);
  openAt(above, name, fcntl.O_CREAT | fcntl.O_EXCL | fcntl.O_WRONLY | fcntl.O_NOFOLLOW, { mode: FILE_MODE }).close();
  return openAt(above, name, fcntl.O_PATH | fcntl.O_NOFOLLOW);
}

export function isDirectory(fd: Fd): boolean {
  return (statAt(fd).mode & fcntl.S_IFMT) === fcntl.S_IFDIR;
}
