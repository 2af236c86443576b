/** Entering and creating namespaces. Source: namespaces(7), user_namespaces(7). */
import { EPERM } from "../../linux/abi/errno.ts";
import { isErrno } from "../../linux/errors.ts";
import { CLONE_NEW, setNamespace, unshare, type NamespaceFile } from "../../linux/namespace.ts";
import type { JoinedNamespace } from "./launch.ts";

/**
 * Enters each namespace. One that belongs to the user namespace to be entered refuses before it has been; one that belongs to ours refuses
 * afterwards. So: all but the user namespace first, then that, then what was refused. (The order of runc's nsexec.)
 */
export function joinNamespaces(join: readonly JoinedNamespace[]): void {
  const refused = join.filter((namespace) => namespace.file !== "user" && !tryJoin(namespace));
  for (const namespace of join) if (namespace.file === "user") enter(namespace);
  for (const namespace of refused) enter(namespace);
}

function enter({ fd, file, path }: JoinedNamespace): void {
  setNamespace(fd, CLONE_NEW[file], path);
}

function tryJoin(namespace: JoinedNamespace): boolean {
  try {
    enter(namespace);
    return true;
  } catch (error) {
    if (isErrno(error, EPERM)) return false;
    throw error;
  }
}

/** The cgroup namespace waits until the process sits in its cgroup, the user namespace comes first, alone. */
export function createNamespaces(create: readonly NamespaceFile[]): void {
  const now = create.filter((file) => file !== "user" && file !== "cgroup");
  if (now.length > 0) unshare(now.reduce((flags, file) => flags | CLONE_NEW[file], 0), now.join(", "));
}
