/** The root file system that a snapshotter describes, mounted where the bundle expects it. Source: containerd, mount/mount_linux.go. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { EINVAL, ENOENT } from "../linux/abi/errno.ts";
import { MS_BIND, MS_RDONLY, MS_REMOUNT } from "../linux/abi/mount.ts";
import { inStep, isErrno } from "../linux/errors.ts";
import { MNT_DETACH, mount, unmount, UMOUNT_NOFOLLOW } from "../linux/mount.ts";
import { parseMountOptions } from "../runtime/spec/mount-parse.ts";

export interface RootMount {
  readonly type: string;
  readonly source: string;
  readonly target: string;
  readonly options: readonly string[];
}

export const rootOf = (bundle: string) => join(bundle, "rootfs");

/** @throws SysError; nothing is mounted then. */
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
  mount(source, target, type, flags, data.join(","));
  // A bind takes its attributes only in a second call. Source: mount(2), "Creating a bind mount".
  if ((flags & MS_BIND) !== 0 && (flags & MS_RDONLY) !== 0) mount("", target, "", flags | MS_REMOUNT);
}

/** Everything that is mounted there, be it nothing. */
export function unmountRoot(bundle: string): void {
  try {
    for (;;) unmount(rootOf(bundle), MNT_DETACH | UMOUNT_NOFOLLOW);
  } catch (error) {
    if (!isErrno(error, EINVAL, ENOENT)) throw error;
  }
}
