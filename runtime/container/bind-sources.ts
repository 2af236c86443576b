/** Sources of bind mounts, opened with the runtime's privileges. */
import * as fcntl from "../../linux/abi/fcntl.ts";
import { EINVAL } from "../../linux/abi/errno.ts";
import { MOUNT_ATTR_IDMAP } from "../../linux/abi/mount.ts";
import { isErrno, SysError } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { open } from "../../linux/file.ts";
import { fork } from "../../linux/fork.unsafe.ts";
import { setMountAttributes } from "../../linux/mount.ts";
import { CLONE_NEW, unshare } from "../../linux/namespace.ts";
import { waitPid } from "../../linux/process.ts";
import { socketPair } from "../../linux/socket.ts";
import { openBindSource } from "../init/bind-source.ts";
import { fromWire, receive, rendezvous, reporting } from "../init/protocol.ts";
import type { Mount, Spec } from "../spec/config.ts";
import { isBind, parseMountOptions } from "../spec/mount-parse.ts";
import { writeIdMaps, type IdMaps } from "./id-maps.ts";

/**
 * @returns a detached mount per bind mount. None where the runtime lacks the privilege: init opens them then, in its own mount namespace.
 * @throws SysError
 */
export function openBindSources(spec: Spec, unprivileged: boolean): ReadonlyMap<Mount, Fd> {
  const sources = new Map<Mount, Fd>();
  if (unprivileged) return sources;
  for (const mount of spec.mounts ?? []) {
    const options = parseMountOptions(mount.options);
    if (!isBind(options)) continue;
    const tree = openBindSource(mount, spec);
    if (options.idmap !== "none" || (mount.uidMappings?.length ?? 0) > 0) mapIds(tree, mount, spec, options.idmap === "recursive");
    sources.set(mount, tree);
  }
  return sources;
}

/** With mappings of its own, or with those of the container's user namespace. Source: runtime-spec config.md, "idmap". */
function mapIds(tree: Fd, mount: Mount, spec: Spec, recursive: boolean): void {
  using namespace = openUserNamespace(mount, spec);
  try {
    setMountAttributes(tree, { set: MOUNT_ATTR_IDMAP, userNamespace: namespace }, recursive, mount.source);
  } catch (error) {
    // tmpfs can since Linux 6.3, overlayfs cannot. Source: mount_setattr(2), EINVAL.
    if (!(error instanceof SysError) || !isErrno(error, EINVAL)) throw error;
    throw new SysError({ ...error.fields, hint: "its file system cannot be idmapped with this kernel" });
  }
}

function openUserNamespace(mount: Mount, spec: Spec): Fd {
  if ((mount.uidMappings?.length ?? 0) > 0) return createUserNamespace({ uid: mount.uidMappings ?? [], gid: mount.gidMappings ?? [] });
  const joined = spec.linux?.namespaces?.find(({ type }) => type === "user")?.path;
  if (joined) return open(joined, fcntl.O_RDONLY);
  return createUserNamespace({ uid: spec.linux?.uidMappings ?? [], gid: spec.linux?.gidMappings ?? [] });
}

/** A user namespace that exists only as the carrier of maps: the process that made it is gone again. */
export function createUserNamespace(maps: IdMaps): Fd {
  const [ours, theirs] = socketPair();
  using socket = ours;
  const pid = fork(() => {
    // Held open here as well, our own end would never show us that the runtime is gone.
    ours.close();
    return reporting(theirs, () => {
      unshare(CLONE_NEW.user, "user");
      rendezvous(theirs, { kind: "map-ids" });
    });
  });
  theirs.close();
  try {
    const message = receive(socket);
    if (message?.kind === "failed") throw fromWire(message.error);
    if (message === undefined) throw new Error("the process that makes a mount's user namespace ended during set-up");
    writeIdMaps(pid, maps);
    return open(`/proc/${pid}/ns/user`, fcntl.O_RDONLY);
  } finally {
    // The end of the conversation is the end of that process.
    socket.close();
    waitPid(pid);
  }
}

