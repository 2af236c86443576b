import * as fcntl from "../../linux/abi/fcntl.ts";
import { AT_FDCWD } from "../../linux/fd.ts";
import { openAt } from "../../linux/file.ts";
import type { NamespaceFile } from "../../linux/namespace.ts";
import type { JoinedNamespace } from "../init/launch.ts";
import type { LinuxNamespace, LinuxNamespaceType } from "../spec/config.ts";

const FILES: Record<LinuxNamespaceType, NamespaceFile> = {
  pid: "pid",
  network: "net",
  mount: "mnt",
  ipc: "ipc",
  uts: "uts",
  user: "user",
  cgroup: "cgroup",
  time: "time",
};

/** Splits the configured namespaces into those to create and those to join, which are opened. @throws SysError */
export function planNamespaces(namespaces: readonly LinuxNamespace[]): { create: NamespaceFile[]; join: JoinedNamespace[] } {
  const create = namespaces.filter(({ path }) => !path).map(({ type }) => FILES[type]);
  const join = namespaces.flatMap(({ type, path }) => (path ? [openNamespace(FILES[type], path)] : []));
  return { create, join };
}

function openNamespace(file: NamespaceFile, path: string): JoinedNamespace {
  return { file, path, fd: openAt(AT_FDCWD, path, fcntl.O_RDONLY) };
}

/** Every namespace of a running process that differs from ours, for a further process beside it. */
export function namespacesOf(pid: number, types: readonly LinuxNamespaceType[]): JoinedNamespace[] {
  return types.map((type) => openNamespace(FILES[type], `/proc/${pid}/ns/${FILES[type]}`));
}
