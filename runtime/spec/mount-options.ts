import {
  MOUNT_ATTR__ATIME,
  MOUNT_ATTR_NOATIME,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NODIRATIME,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_NOSYMFOLLOW,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_RELATIME,
  MOUNT_ATTR_STRICTATIME,
  MS_BIND,
  MS_DIRSYNC,
  MS_I_VERSION,
  MS_LAZYTIME,
  MS_MANDLOCK,
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_NOSYMFOLLOW,
  MS_PRIVATE,
  MS_RDONLY,
  MS_REC,
  MS_RELATIME,
  MS_REMOUNT,
  MS_SHARED,
  MS_SILENT,
  MS_SLAVE,
  MS_STRICTATIME,
  MS_SYNCHRONOUS,
  MS_UNBINDABLE,
} from "../../linux/abi/mount.ts";

// config.md#linux-mount-options as data. A string that is not a key here belongs to the file system and goes into mount(2)'s
// data argument. Later options win over earlier ones, as in mount(8).

/** What one option string does. */
export type MountOption =
  /** MS_* bits of mount(2), set and cleared on this mount alone. */
  | { readonly kind: "flag"; readonly set: number; readonly clear: number }
  /** MOUNT_ATTR_* bits for mount_setattr(2) with AT_RECURSIVE (since 5.12). */
  | { readonly kind: "recursive"; readonly set: number; readonly clear: number }
  /** A mount(2) call of its own, after the mount is in place. */
  | { readonly kind: "propagation"; readonly flags: number }
  /** The mount gets an id mapping: its own, or the container's. */
  | { readonly kind: "idmap"; readonly recursive: boolean }
  /** Files that the mount hides are copied into the new tmpfs. */
  | { readonly kind: "tmpcopyup" };

const set = (flags: number, clear = 0): MountOption => ({ kind: "flag", set: flags, clear });
const clear = (flags: number): MountOption => ({ kind: "flag", set: 0, clear: flags });
const recSet = (attr: number): MountOption => ({ kind: "recursive", set: attr, clear: 0 });
const recClear = (attr: number): MountOption => ({ kind: "recursive", set: 0, clear: attr });
/** The access-time attributes are one field and not bits: mount_setattr(2) wants the whole field cleared. */
const recTime = (attr: number): MountOption => ({ kind: "recursive", set: attr, clear: MOUNT_ATTR__ATIME });
const propagation = (flags: number): MountOption => ({ kind: "propagation", flags });

export const MOUNT_OPTIONS: ReadonlyMap<string, MountOption> = new Map<string, MountOption>([
  ["async", clear(MS_SYNCHRONOUS)],
  ["atime", clear(MS_NOATIME)],
  ["bind", set(MS_BIND)],
  ["defaults", set(0)],
  ["dev", clear(MS_NODEV)],
  ["diratime", clear(MS_NODIRATIME)],
  ["dirsync", set(MS_DIRSYNC)],
  ["exec", clear(MS_NOEXEC)],
  ["iversion", set(MS_I_VERSION)],
  ["lazytime", set(MS_LAZYTIME)],
  ["loud", clear(MS_SILENT)],
  ["mand", set(MS_MANDLOCK)],
  // The kernel lets strictatime win over noatime whatever their order: clearing the others makes the last one win.
  ["noatime", set(MS_NOATIME, MS_RELATIME | MS_STRICTATIME)],
  ["nodev", set(MS_NODEV)],
  ["nodiratime", set(MS_NODIRATIME)],
  ["noexec", set(MS_NOEXEC)],
  ["noiversion", clear(MS_I_VERSION)],
  ["nolazytime", clear(MS_LAZYTIME)],
  ["nomand", clear(MS_MANDLOCK)],
  ["norelatime", clear(MS_RELATIME)],
  ["nostrictatime", clear(MS_STRICTATIME)],
  ["nosuid", set(MS_NOSUID)],
  ["nosymfollow", set(MS_NOSYMFOLLOW)],
  ["rbind", set(MS_BIND | MS_REC)],
  ["relatime", set(MS_RELATIME, MS_NOATIME | MS_STRICTATIME)],
  ["remount", set(MS_REMOUNT)],
  ["ro", set(MS_RDONLY)],
  ["rw", clear(MS_RDONLY)],
  ["silent", set(MS_SILENT)],
  ["strictatime", set(MS_STRICTATIME, MS_NOATIME | MS_RELATIME)],
  ["suid", clear(MS_NOSUID)],
  ["symfollow", clear(MS_NOSYMFOLLOW)],
  ["sync", set(MS_SYNCHRONOUS)],

  ["private", propagation(MS_PRIVATE)],
  ["rprivate", propagation(MS_PRIVATE | MS_REC)],
  ["shared", propagation(MS_SHARED)],
  ["rshared", propagation(MS_SHARED | MS_REC)],
  ["slave", propagation(MS_SLAVE)],
  ["rslave", propagation(MS_SLAVE | MS_REC)],
  ["unbindable", propagation(MS_UNBINDABLE)],
  ["runbindable", propagation(MS_UNBINDABLE | MS_REC)],

  ["ratime", recTime(MOUNT_ATTR_RELATIME)],
  ["rdev", recClear(MOUNT_ATTR_NODEV)],
  ["rdiratime", recClear(MOUNT_ATTR_NODIRATIME)],
  ["rexec", recClear(MOUNT_ATTR_NOEXEC)],
  ["rnoatime", recTime(MOUNT_ATTR_NOATIME)],
  ["rnodev", recSet(MOUNT_ATTR_NODEV)],
  ["rnodiratime", recSet(MOUNT_ATTR_NODIRATIME)],
  ["rnoexec", recSet(MOUNT_ATTR_NOEXEC)],
  ["rnorelatime", recTime(MOUNT_ATTR_RELATIME)],
  ["rnostrictatime", recTime(MOUNT_ATTR_RELATIME)],
  ["rnosuid", recSet(MOUNT_ATTR_NOSUID)],
  ["rnosymfollow", recSet(MOUNT_ATTR_NOSYMFOLLOW)],
  ["rrelatime", recTime(MOUNT_ATTR_RELATIME)],
  ["rro", recSet(MOUNT_ATTR_RDONLY)],
  ["rrw", recClear(MOUNT_ATTR_RDONLY)],
  ["rstrictatime", recTime(MOUNT_ATTR_STRICTATIME)],
  ["rsuid", recClear(MOUNT_ATTR_NOSUID)],
  ["rsymfollow", recClear(MOUNT_ATTR_NOSYMFOLLOW)],

  ["idmap", { kind: "idmap", recursive: false }],
  ["ridmap", { kind: "idmap", recursive: true }],
  ["tmpcopyup", { kind: "tmpcopyup" }],
]);

/** linux.rootfsPropagation as MS_* flags of mount(2). */
export const ROOTFS_PROPAGATION_FLAGS = {
  private: MS_PRIVATE,
  rprivate: MS_PRIVATE | MS_REC,
  shared: MS_SHARED,
  rshared: MS_SHARED | MS_REC,
  slave: MS_SLAVE,
  rslave: MS_SLAVE | MS_REC,
  unbindable: MS_UNBINDABLE,
  runbindable: MS_UNBINDABLE | MS_REC,
} as const;
