/** What is lent to a guest by way of its gofer: the root file system, and the sources of its bind mounts. */
import * as fcntl from "../../linux/abi/fcntl.ts";
import { MS_RDONLY, MS_REC } from "../../linux/abi/mount.ts";
import type { Fd } from "../../linux/fd.ts";
import { open, statAt } from "../../linux/file.ts";
import type { Loan } from "../../gofer/export.ts";
import { SAME_IDS, type IdRange, type Ownership } from "../../gofer/hostfs/ownership.ts";
import type { PolicyName } from "../../policies/syscalls/names.ts";
import type { GuestLaunch } from "../init/launch.ts";
import type { LinuxIDMapping, Mount, Spec } from "../spec/config.ts";
import { isBind, parseMountOptions } from "../spec/mount-parse.ts";
import { hasGuestIds } from "./guest.ts";
import { rootSizeOf } from "./root-size.ts";
import { ConfigError } from "../spec/report.ts";

/** Where writes to the root file system go: an annotation, since engines pass those on. `memory` unless told otherwise. */
const ROOT_WRITES = "dev.tssandbox.root-writes";
/** Lets sockets of the host be mounted, by which the guest talks to whoever listens there. */
const HOST_SOCKETS = "dev.tssandbox.host-sockets";

export interface GuestFiles extends Pick<GuestLaunch, "fileSystems" | "volumes" | "rootWrites" | "rootSize" | "sysfs">, Disposable {
  /** By the file system's name; `system` is not among them. */
  readonly loans: ReadonlyMap<string, Loan>;
}

/**
 * @param configured the container's configuration, and @param guest what became of it: the same mounts, less those that are replaced.
 * @throws SysError; ConfigError for a source that cannot be lent
 */
export function planGuestFiles(configured: Spec, guest: Spec, rootfs: string, policy: PolicyName = "balanced"): GuestFiles {
  const ownership = ownershipOf(configured);
  const rootWrites = rootWritesOf(configured);
  const root = open(rootfs, fcntl.O_PATH | fcntl.O_DIRECTORY);
  const readOnly = rootWrites === "memory";
  // Where no program gains rights by being executed, nothing in an image depends on them.
  const xattrs = !(readOnly && configured.process?.noNewPrivileges === true);
  const loans = new Map<string, Loan>([["root", { root, readOnly, cache: "exclusive", ownership, submounts: true, xattrs }]]);
  const volumes = new Map<Mount, { name: string; type: number }>();
  for (const [i, mount] of (guest.mounts ?? []).entries()) {
    const { flags, recursive } = parseMountOptions(mount.options);
    if (!isBind(parseMountOptions(mount.options))) continue;
    const source = open(mount.source ?? "", fcntl.O_PATH);
    const type = statAt(source).mode & fcntl.S_IFMT;
    if (!isLent(type, mount, i, guest)) {
      source.close();
      continue;
    }
    const name = `volume ${i}`;
    volumes.set(mount, { name, type });
    const readOnly = (flags & MS_RDONLY) !== 0 || recursive.set !== 0;
    loans.set(name, { root: source, readOnly, cache: "shared", ownership: hasGuestIds(mount, configured) ? SAME_IDS : ownership, submounts: (flags & MS_REC) !== 0 });
  }
  const sysfs = (configured.mounts ?? []).some(({ type }) => type === "sysfs");
  return guestFiles(loans, volumes, { rootWrites, rootSize: rootSizeOf(configured, policy), sysfs });
}

/** @param loans by name, `root` among them. */
export function guestFiles(loans: GuestFiles["loans"], volumes: GuestFiles["volumes"], settings: Pick<GuestFiles, "rootWrites" | "rootSize" | "sysfs">): GuestFiles {
  const close = () => closeAll([...loans.values()].map(({ root }) => root));
  return { ...settings, loans, volumes, fileSystems: ["system", ...loans.keys()], [Symbol.dispose]: close };
}

function closeAll(fds: readonly Fd[]): void {
  for (const fd of fds) fd.close();
}

export const rangesOf = (map: readonly LinuxIDMapping[]): IdRange[] => map.map(({ containerID, hostID, size }) => ({ container: containerID, host: hostID, size }));

/** Ids on the host's disk are those that the configuration maps; without maps they are the container's own, as under runc. */
function ownershipOf({ linux }: Spec): Ownership {
  const { uidMappings = [], gidMappings = [] } = linux ?? {};
  return uidMappings.length === 0 ? SAME_IDS : { kind: "kept", uids: rangesOf(uidMappings), gids: rangesOf(gidMappings) };
}

export function rootWritesOf({ annotations }: Spec): "memory" | "host" {
  const value = annotations?.[ROOT_WRITES] ?? "memory";
  if (value !== "memory" && value !== "host") throw new ConfigError("config.json", `annotations["${ROOT_WRITES}"]`, `must be "memory" or "host", is ${JSON.stringify(value)}`);
  return value;
}

/** Files and directories are lent; a device is bound, as its user asked for; a socket is refused, since it leads out of the sandbox. */
function isLent(type: number, { source }: Mount, index: number, { annotations }: Spec): boolean {
  if (type === fcntl.S_IFDIR || type === fcntl.S_IFREG) return true;
  if ((type === fcntl.S_IFSOCK || type === fcntl.S_IFIFO) && annotations?.[HOST_SOCKETS] !== "true") {
    throw new ConfigError("config.json", `mounts[${index}].source`, `${source} is a socket or FIFO of the host's; set the annotation ${HOST_SOCKETS} to "true" to let the container use it`);
  }
  return false;
}
