/** What a container's guest is lent: its root file system, and one directory with the sources of its bind mounts. */
import { mkdirSync, writeFileSync } from "node:fs";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { MOUNT_ATTR_RDONLY, MS_RDONLY, MS_REC, MS_SLAVE } from "../../linux/abi/mount.ts";
import { AT_FDCWD } from "../../linux/fd.ts";
import { open, statAt } from "../../linux/file.ts";
import { attachMount, cloneTree, mount, setMountAttributes } from "../../linux/mount.ts";
import { CLONE_NEW, unshare } from "../../linux/namespace.ts";
import { SAME_IDS } from "../../gofer/hostfs/ownership.ts";
import type { Loan } from "../../gofer/export.ts";
import { rootWritesOf } from "../sandbox/files.ts";
import type { Mount, Spec } from "../spec/config.ts";
import { parseMountOptions } from "../spec/mount-parse.ts";
import { ConfigError } from "../spec/report.ts";
import { ROOT_LOAN, VOLUMES_LOAN, volumeName, volumesOf } from "./guest-spec.ts";

const isReadOnly = ({ options }: Mount): boolean => {
  const { flags, recursive } = parseMountOptions(options);
  return (flags & MS_RDONLY) !== 0 || recursive.set !== 0;
};

/** @throws ConfigError for a source that is neither a directory nor a file: what else there is leads out of the machine. */
export function checkVolumes(spec: Spec): void {
  for (const [i, { source = "" }] of volumesOf(spec)) {
    using file = open(source, fcntl.O_PATH);
    const type = statAt(file).mode & fcntl.S_IFMT;
    if (type !== fcntl.S_IFDIR && type !== fcntl.S_IFREG) throw new ConfigError("config.json", `mounts[${i}].source`, `${source} is neither a directory nor a file: a machine is lent nothing else`);
  }
}

/**
 * The loans by name. The volumes are bound below one directory, in a mount namespace of this process's own: one file can be lent as well as a
 * directory, and a machine has one device for all of them.
 * @param directory an empty one. Preconditions: a forked process. @throws SysError
 */
export function lend(spec: Spec, rootfs: string, directory: string): ReadonlyMap<string, Loan> {
  unshare(CLONE_NEW.mnt, "mnt");
  mount("", "/", "", MS_SLAVE | MS_REC);
  const loans = new Map<string, Loan>([[ROOT_LOAN, {
    root: open(rootfs, fcntl.O_PATH | fcntl.O_DIRECTORY), readOnly: rootWritesOf(spec) === "memory", cache: "exclusive", ownership: SAME_IDS, submounts: true,
  }]]);
  const volumes = volumesOf(spec);
  if (volumes.length === 0) return loans;
  mount("volumes", directory, "tmpfs", 0, "size=1m,mode=755");
  for (const [i, volume] of volumes) bindVolume(volume, `${directory}/${volumeName(i)}`);
  mount("", directory, "", MS_REMOUNT_READONLY);
  loans.set(VOLUMES_LOAN, {
    root: open(directory, fcntl.O_PATH | fcntl.O_DIRECTORY), readOnly: volumes.every(([, volume]) => isReadOnly(volume)), cache: "shared", ownership: SAME_IDS, submounts: true,
  });
  return loans;
}

/** MS_REMOUNT | MS_BIND | MS_RDONLY: the mount alone. */
const MS_REMOUNT_READONLY = 32 | 4096 | 1;

function bindVolume(volume: Mount, path: string): void {
  using tree = cloneTree(AT_FDCWD, volume.source ?? "", (parseMountOptions(volume.options).flags & MS_REC) !== 0);
  if (isReadOnly(volume)) setMountAttributes(tree, { set: MOUNT_ATTR_RDONLY }, true, volume.source);
  if ((statAt(tree).mode & fcntl.S_IFMT) === fcntl.S_IFDIR) mkdirSync(path);
  else writeFileSync(path, "");
  using target = open(path, fcntl.O_PATH);
  attachMount(tree, target);
}
