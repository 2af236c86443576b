/** The configuration's mounts, in their order. Source: runtime-spec config.md#mounts. */
import * as fcntl from "../../linux/abi/fcntl.ts";
import * as ms from "../../linux/abi/mount.ts";
import { SysError } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { isOnProcfs, openAt, statAt } from "../../linux/file.ts";
import { attachMount, createMount, setMountAttributes, type FsParameter } from "../../linux/mount.ts";
import type { Mount } from "../spec/config.ts";
import { isBind, parseMountOptions, type ParsedMountOptions } from "../spec/mount-parse.ts";
import { openBindSource } from "./bind-source.ts";
import { mountCgroups } from "./cgroup-mounts.ts";
import { copyUp } from "./copy-up.ts";
import { components, findInRoot, isDirectory, makeDirectoryInRoot, makeFileInRoot } from "./in-root.ts";
import { mountAttributes } from "./mount-attributes.ts";
import { contextParameters, labelRoot } from "./mount-label.ts";
import type { Setup } from "./setup.ts";

export function mountAll(setup: Setup): void {
  for (const mount of setup.launch.spec.mounts ?? []) {
    try {
      mountOne(setup, mount, parseMountOptions(mount.options));
    } catch (error) {
      throw error instanceof SysError ? error.within(`mount ${mount.type ?? ""} ${mount.source ?? ""} on ${mount.destination}`) : error;
    }
  }
}

function mountOne(setup: Setup, mount: Mount, options: ParsedMountOptions): void {
  if ((options.flags & ms.MS_REMOUNT) !== 0) return remount(setup, mount, options);
  if (isBind(options)) return bindMount(setup, mount, options);
  if (mount.type === "cgroup" || mount.type === "cgroup2") return mountCgroups(setup, mount, options);
  fileSystemMount(setup, mount, options);
}

function bindMount(setup: Setup, mount: Mount, options: ParsedMountOptions): void {
  const tree = setup.launch.guest?.mounted.get(mount) ?? setup.launch.bindSources.get(mount) ?? openBindSource(mount, setup.launch.spec);
  const { root } = setup;
  using target = isDirectory(tree) ? makeDirectoryInRoot(root, mount.destination) : makeFileInRoot(root, mount.destination);
  refuseOverProc(mount, target, tree);
  attachMount(tree, target);
  applyOptions(tree, options, mountAttributes(options.flags, options.cleared));
}

function remount(setup: Setup, mount: Mount, options: ParsedMountOptions): void {
  using target = findInRoot(setup.root, mount.destination);
  if (target === undefined) throw new SysError({ syscall: "mount_setattr", errno: 0, path: mount.destination, hint: "there is nothing to remount" });
  applyOptions(target, options, mountAttributes(options.flags, options.cleared));
}

function fileSystemMount(setup: Setup, mount: Mount, options: ParsedMountOptions): void {
  const type = mount.type ?? "";
  using target = fileSystemTarget(setup.root, mount.destination, type);
  const attributes = mountAttributes(options.flags, options.cleared);
  const inherited = type === "tmpfs" ? inheritedByTmpfs(target, options) : [];
  const label = setup.launch.spec.linux?.mountLabel;
  const context = contextParameters(type, label, options.data);
  const tree = createMount(type, [...inherited, ...parameters(mount, type, options), ...context], attributes.set & ~ms.MOUNT_ATTR_RDONLY);
  labelRoot(tree, type, label);
  refuseOverProc(mount, target, tree);
  if (options.copyUp) copyUp(target, tree);
  attachMount(tree, target);
  applyOptions(tree, options, { set: 0, clear: 0 });
  // What follows may have its mount point inside this one.
  if ((attributes.set & ms.MOUNT_ATTR_RDONLY) !== 0) setup.late.push({ fd: tree, attributes: { set: ms.MOUNT_ATTR_RDONLY } });
}

/** A tmpfs takes mode, and when it is filled from it also the owner, from the directory that it covers, unless told otherwise. As runc. */
function inheritedByTmpfs(target: Fd, { copyUp: filled, data }: ParsedMountOptions): FsParameter[] {
  const { mode, uid, gid } = statAt(target);
  const defaults = [["mode", (mode & 0o7777).toString(8)], ...(filled ? [["uid", String(uid)], ["gid", String(gid)]] : [])] as const;
  return defaults.filter(([key]) => !data.some((option) => option.startsWith(`${key}=`))) as FsParameter[];
}

/** Kernel file systems that others rely on go where they are told, not where a link of the image's leads (CVE-2019-19921). */
const EXACT_TYPES: ReadonlySet<string> = new Set(["proc", "sysfs"]);

function fileSystemTarget(root: Fd, destination: string, type: string): Fd {
  const target = makeDirectoryInRoot(root, destination);
  if (!EXACT_TYPES.has(type)) return target;
  target.close();
  const resolve = fcntl.RESOLVE_IN_ROOT | fcntl.RESOLVE_NO_SYMLINKS;
  return openAt(root, destination, fcntl.O_PATH | fcntl.O_DIRECTORY, { resolve });
}

/** What an engine may replace below /proc (lxcfs and its like): files that only tell something. Source: runc, checkProcMount. */
const REPLACEABLE: ReadonlySet<string> = new Set([
  "/proc/cpuinfo", "/proc/diskstats", "/proc/loadavg", "/proc/meminfo", "/proc/net/dev", "/proc/slabinfo", "/proc/stat", "/proc/swaps",
  "/proc/sys/crypto/fips_enabled", "/proc/sys/kernel/ns_last_pid", "/proc/uptime",
]);

/** Programs inside, and privileged ones that enter, take /proc for the kernel's word: nothing else is mounted on it or in it (CVE-2025-52881). */
function refuseOverProc(mount: Mount, target: Fd, tree: Fd): void {
  const destination = `/${components(mount.destination).join("/")}`;
  const refuse = (hint: string) => {
    throw new SysError({ syscall: "mount", errno: 0, path: mount.destination, hint });
  };
  if (destination === "/proc") {
    if (!isOnProcfs(tree)) refuse("only a procfs may be mounted on /proc");
  } else if (isOnProcfs(target) && !REPLACEABLE.has(destination)) refuse("it lies inside /proc, where only files such as /proc/meminfo may be replaced");
}

/** MS_* that belong to the file system, not to its mount. */
const SUPERBLOCK_FLAGS = [
  [ms.MS_SYNCHRONOUS, "sync"],
  [ms.MS_DIRSYNC, "dirsync"],
  [ms.MS_LAZYTIME, "lazytime"],
  [ms.MS_MANDLOCK, "mand"],
  [ms.MS_I_VERSION, "iversion"],
] as const;

/** Types backed by a device or image, which a writer elsewhere could still change through a mount that only looks read-only. */
const KERNEL_TYPES: ReadonlySet<string> = new Set(["proc", "sysfs", "tmpfs", "mqueue", "devpts", "ramfs", "overlay", "bpf", "securityfs", "debugfs", "tracefs"]);

function parameters(mount: Mount, type: string, options: ParsedMountOptions): FsParameter[] {
  const source: FsParameter[] = mount.source === undefined || mount.source === "" ? [] : [["source", mount.source]];
  const flags = SUPERBLOCK_FLAGS.filter(([flag]) => (options.flags & flag) !== 0).map(([, name]): FsParameter => [name]);
  if ((options.flags & ms.MS_RDONLY) !== 0 && !KERNEL_TYPES.has(type)) flags.push(["ro"]);
  return [...source, ...flags, ...options.data.map(splitOption)];
}

function splitOption(option: string): FsParameter {
  const at = option.indexOf("=");
  return at === -1 ? [option] : [option.slice(0, at), option.slice(at + 1)];
}

/** Attributes first, then the recursive ones, then propagation: the order that mount(8) has. */
function applyOptions(tree: Fd, options: ParsedMountOptions, attributes: { set: number; clear: number }): void {
  if (attributes.set !== 0 || attributes.clear !== 0) setMountAttributes(tree, attributes, false);
  if (options.recursive.set !== 0 || options.recursive.clear !== 0) setMountAttributes(tree, options.recursive, true);
  for (const flag of options.propagation) setMountAttributes(tree, { propagation: flag & ~ms.MS_REC }, (flag & ms.MS_REC) !== 0);
}
