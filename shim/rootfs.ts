/** The root file system that a snapshotter describes, mounted where the bundle expects it. Source: containerd, mount/mount_linux.go. */
import { mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { EINVAL, ENOENT } from "../linux/abi/errno.ts";
import { O_DIRECTORY, O_PATH } from "../linux/abi/fcntl.ts";
import { MOUNT_ATTR_IDMAP, MOUNT_ATTR_RDONLY, MS_BIND, MS_RDONLY, MS_REMOUNT } from "../linux/abi/mount.ts";
import { inStep, isErrno } from "../linux/errors.ts";
import { open } from "../linux/file.ts";
import { attachMount, cloneTree, MNT_DETACH, mount, setMountAttributes, unmount, UMOUNT_NOFOLLOW } from "../linux/mount.ts";
import { changeDirectory } from "../linux/process.ts";
import { createUserNamespace } from "../runtime/container/bind-sources.ts";
import type { IdMaps } from "../runtime/container/id-maps.ts";
import type { LinuxIDMapping } from "../runtime/spec/config.ts";
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
    for (const each of mounts) inStep("rootfs", () => mountOne(each, join(root, each.target), bundle));
  } catch (error) {
    unmountRoot(bundle);
    throw error;
  }
}

function mountOne({ type, source, options }: RootMount, target: string, bundle: string): void {
  const { flags, data } = parseMountOptions(options);
  const maps = idMaps(data);
  if (maps === undefined) mountIn(shortened(data));
  else mountMapped(type, data, maps, bundle, mountIn);
  function mountIn({ directory, data }: MountData): void {
    changeDirectory(directory);
    mount(source, target, type, flags, data.join(","));
    changeDirectory("/");
  }
  // A bind takes its attributes only in a second call. Source: mount(2), "Creating a bind mount".
  if ((flags & MS_BIND) !== 0 && (flags & MS_RDONLY) !== 0) mount("", target, "", flags | MS_REMOUNT);
}

/** mount(2) takes one page of options, its last byte a 0. */
const MOST_OPTIONS = 4095;
const LOWER = "lowerdir=";

/** Options, and the directory that relative names in them count from. */
interface MountData {
  readonly directory: string;
  readonly data: readonly string[];
}

/**
 * An overlay of some fifty layers has more options than that: their names are made relative to the directory that they have in common. Exported for its test.
 * @returns the options, and the directory that they count from.
 */
export function shortened(data: readonly string[]): MountData {
  return data.join(",").length <= MOST_OPTIONS ? { directory: "/", data } : relative(data);
}

/** The options with the layers' names relative to the directory that they have in common. */
function relative(data: readonly string[]): MountData {
  const lower = data.find((option) => option.startsWith(LOWER));
  if (lower === undefined) return { directory: "/", data };
  const layers = lower.slice(LOWER.length).split(":");
  const common = commonDirectory(layers);
  const names = LOWER + layers.map((layer) => layer.slice(common.length + 1)).join(":");
  return { directory: common === "" ? "/" : common, data: data.map((option) => (option === lower ? names : option)) };
}

/** How containerd 2 asks for a root file system of a pod that has a user namespace: `uidmap=CONTAINER:HOST:SIZE`, and more after commas. */
const MAP = /^([ug]id)map=(.*)$/;

/** Exported for its test. */
export function idMaps(data: readonly string[]): IdMaps | undefined {
  const found = data.flatMap((option) => {
    const [, kind, text] = MAP.exec(option) ?? [];
    return kind === undefined || text === undefined ? [] : [[kind, text.split(",").map(oneMap)] as const];
  });
  const { uid, gid } = Object.fromEntries(found) as Partial<Record<"uid" | "gid", LinuxIDMapping[]>>;
  return uid === undefined || gid === undefined ? undefined : { uid, gid };
}

function oneMap(text: string): LinuxIDMapping {
  const [containerID = 0, hostID = 0, size = 0] = text.split(":").map(Number);
  return { containerID, hostID, size };
}

/**
 * An overlay cannot be idmapped, its layers can: they are, by one mount of the directory that they have in common, which goes once the overlay has them.
 * The upper layer has the pod's ids already.
 */
function mountMapped(type: string, data: readonly string[], maps: IdMaps, bundle: string, mountIn: (data: MountData) => void): void {
  if (type !== "overlay") throw new Error(`a root file system of type ${type} cannot be idmapped here; the snapshotter overlayfs can`);
  const { directory, data: names } = relative(data.filter((option) => !MAP.test(option)));
  const layers = join(bundle, "layers");
  mkdirSync(layers, { mode: 0o700 });
  try {
    using namespace = createUserNamespace(maps);
    using common = open(directory, O_PATH | O_DIRECTORY);
    using tree = cloneTree(common, "", false);
    setMountAttributes(tree, { set: MOUNT_ATTR_IDMAP | MOUNT_ATTR_RDONLY, userNamespace: namespace }, false, directory);
    using place = open(layers, O_PATH | O_DIRECTORY);
    attachMount(tree, place);
    mountIn({ directory: layers, data: names });
  } finally {
    unmountAll(layers);
    rmdirSync(layers);
  }
}

/** Without a slash at its end; that of a single path is the directory that it is in. */
function commonDirectory(paths: readonly string[]): string {
  const [first = [], ...others] = paths.map((path) => path.split("/").slice(0, -1));
  const length = first.findIndex((part, i) => others.some((other) => other[i] !== part));
  return (length === -1 ? first : first.slice(0, length)).join("/");
}

/** Everything that is mounted there, be it nothing. */
export const unmountRoot = (bundle: string) => unmountAll(rootOf(bundle));

function unmountAll(directory: string): void {
  try {
    for (;;) unmount(directory, MNT_DETACH | UMOUNT_NOFOLLOW);
  } catch (error) {
    if (!isErrno(error, EINVAL, ENOENT)) throw error;
  }
}
