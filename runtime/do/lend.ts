/** Directories and files of the host that the caller lends to the sandbox: the current directory, `--bind`, parts of the host's network set-up. */
import { statSync } from "node:fs";
import { EINVAL, EPERM } from "../../linux/abi/errno.ts";
import { MOUNT_ATTR_IDMAP, MS_SLAVE } from "../../linux/abi/mount.ts";
import { isErrno } from "../../linux/errors.ts";
import { AT_FDCWD, type Fd } from "../../linux/fd.ts";
import { cloneTree, setMountAttributes } from "../../linux/mount.ts";
import { createUserNamespace } from "../container/bind-sources.ts";
import type { Mount } from "../spec/config.ts";
import type { Identity } from "./identity.ts";

export interface Loan {
  /** Absolute, without links. */
  readonly source: string;
  readonly destination: string;
  readonly writable: boolean;
  /** How the user asked for it, for messages. */
  readonly option: string;
}

/** As an entry of the configuration. What is mounted below the source comes along. */
export function loanMount({ source, destination, writable }: Loan): Mount {
  return { destination, type: "none", source, options: ["rbind", "rnosuid", "rnodev", ...(writable ? [] : ["rro"])] };
}

/**
 * A detached copy of the source's mount in which its owner's files are the sandbox's user's, as they are the caller's outside; everybody
 * else's belong to nobody. Only with an id range of its own: without, the sandbox's user is the caller on the host.
 * @throws Error where it is to be writable, and the file system cannot translate ids.
 */
export function openLoan(loan: Loan, identity: Identity, warn: (message: string) => void): Fd {
  const tree = cloneTree(AT_FDCWD, loan.source, true);
  setMountAttributes(tree, { propagation: MS_SLAVE }, true, loan.source);
  if (identity.rangeStart === undefined) return tree;
  const owner = statSync(loan.source);
  using namespace = createUserNamespace({
    uid: [{ containerID: owner.uid, hostID: identity.host.uid, size: 1 }],
    gid: [{ containerID: owner.gid, hostID: identity.host.gid, size: 1 }],
  });
  if (tryMapIds(tree, namespace)) return tree;
  const why = `the file system of ${loan.source} cannot translate ids (idmapped mounts)`;
  if (loan.writable) throw new Error(`${loan.option}: ${why}, so the sandbox's user could not write to it; run this as the directory's owner`);
  warn(`${why}: only what everybody may read is readable in the sandbox`);
  return tree;
}

/** EINVAL: not by this file system. EPERM: the mount translates already. Source: mount_setattr(2). */
export function tryMapIds(tree: Fd, userNamespace: Fd): boolean {
  try {
    setMountAttributes(tree, { set: MOUNT_ATTR_IDMAP, userNamespace }, false);
    return true;
  } catch (error) {
    if (isErrno(error, EINVAL, EPERM)) return false;
    throw error;
  }
}
