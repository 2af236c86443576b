/** The root file system that a snapshotter describes, mounted where the bundle expects it. Source: containerd, mount/mount_linux.go. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { EINVAL, ENOENT } from "../linux/abi/errno.ts";
import { MS_BIND, MS_RDONLY, MS_REMOUNT } from "../linux/abi/mount.ts";
import { inStep, isErrno } from "../linux/errors.ts";
import { MNT_DETACH, mount, unmount, UMOUNT_NOFOLLOW } from "../linux/mount.ts";
import { changeDirectory } from "../linux/process.ts";
import { parseMountOptions } from "../runtime/spec/mount-parse.ts";

export interface RootMount {
  readonly type: string;
  readonly source: string;
  readonly target: string;
  readonly options: readonly string[];
}

export const rootOf = (bundle: string) => join(bundle, "rootfs");

/** Preconditions: nobody minds a change of the working directory, which is `/` afterwards. @throws SysError; nothing is mounted then. */
export function mountRoot(bundle: string, mounts: readonly RootMount[]): void {
  const root = rootOf(bundle);
  if (mounts.length > 0) mkdirSync(root, { recursive: true, mode: 0o711 });
  try {
    for (const each of mounts) inStep("rootfs", () => mountOne(each, join(root, each.target)));
  } catch (error) {
    unmountRoot(bundle);
    throw error;
  }
}

function mountOne({ type, source, options }: RootMount, target: string): void {
  const { flags, data } = parseMountOptions(options);
  const { directory, data: short } = shortened(data);
  changeDirectory(directory);
  mount(source, target, type, flags, short.join(","));
  changeDirectory("/");
  // A bind takes its attributes only in a second call. Source: mount(2), "Creating a bind mount".
  if ((flags & MS_BIND) !== 0 && (flags & MS_RDONLY) !== 0) mount("", target, "", flags | MS_REMOUNT);
}

/** mount(2) takes one page of options, its last byte a 0. */
const MOST_OPTIONS = 4095;
const LOWER = "lowerdir=";

/**
 * An overlay of some fifty layers has more options than that: their names are made relative to the directory that they have in common. Exported for its test.
 * @returns the options, and the directory that they count from.
 */
export function shortened(data: readonly string[]): { readonly directory: string; readonly data: readonly string[] } {
  const lower = data.find((option) => option.startsWith(LOWER));
  if (lower === undefined || data.join(",").length <= MOST_OPTIONS) return { directory: "/", data };
  const layers = lower.slice(LOWER.length).split(":");
  const common = commonDirectory(layers);
  const relative = LOWER + layers.map((layer) => layer.slice(common.length + 1)).join(":");
  return { directory: common === "" ? "/" : common, data: data.map((option) => (option === lower ? relative : option)) };
}

/** Without a slash at its end; that of a single path is the directory that it is in. */
function commonDirectory(paths: readonly string[]): string {
  const [first = [], ...others] = paths.map((path) => path.split("/").slice(0, -1));
  const length = first.findIndex((part, i) => others.some((other) => other[i] !== part));
  return (length === -1 ? first : first.slice(0, length)).join("/");
}

/** Everything that is mounted there, be it nothing. */
export function unmountRoot(bundle: string): void {
  try {
    for (;;) unmount(rootOf(bundle), MNT_DETACH | UMOUNT_NOFOLLOW);
  } catch (error) {
    if (!isErrno(error, EINVAL, ENOENT)) throw error;
  }
}
