import { MS_REC, MS_SLAVE } from "../../linux/abi/mount.ts";
import { AT_FDCWD, type Fd } from "../../linux/fd.ts";
import { cloneTree, setMountAttributes } from "../../linux/mount.ts";
import type { Mount, Spec } from "../spec/config.ts";
import { parseMountOptions } from "../spec/mount-parse.ts";

/** Whether mounts made inside are meant to be seen outside. */
export function sharesMounts(spec: Spec): boolean {
  const propagation = spec.linux?.rootfsPropagation;
  return propagation === "shared" || propagation === "rshared";
}

/**
 * A detached copy of a bind mount's source. Opened by the runtime where it has the privilege, since a user namespace's root may not reach
 * the source's directory; else by init. A copy of a shared mount belongs to the host's peer group: it becomes a slave of it, so that
 * nothing mounted inside shows up outside.
 */
export function openBindSource(mount: Mount, spec: Spec): Fd {
  const recursive = (parseMountOptions(mount.options).flags & MS_REC) !== 0;
  const tree = cloneTree(AT_FDCWD, mount.source ?? "", recursive);
  if (!sharesMounts(spec)) setMountAttributes(tree, { propagation: MS_SLAVE }, true, mount.source);
  return tree;
}
