/**
 * Which gofer serves what. A gofer does one thing after the other, and waits where a file system makes it wait: so what may wait for different
 * reasons is served by different ones (docs/decisions/0019-gofer-processes.md).
 *
 *   root, system                the first gofer: nothing that somebody has lent besides
 *   volumes in memory (tmpfs)   one for all of them: memory waits for nobody
 *   other volumes               one for each file system
 *   volumes with mounts below   one for each: whatever lies there may wait
 */
import { AT_FDCWD } from "../../linux/fd.ts";
import { readLinkAt, statAt } from "../../linux/file.ts";
import type { Loan } from "../../gofer/export.ts";
import { readMountInfo, type MountInfo } from "./mountinfo.ts";

/** Names of the connections that one gofer serves, at least one; those of the first are `root` and `system`. */
export type GoferGroup = readonly string[];

/** @param loans by name, `root` among them. @throws SysError */
export function groupLoans(loans: ReadonlyMap<string, Loan>): GoferGroup[] {
  const volumes = [...loans].filter(([name]) => name !== "root");
  const mounts = volumes.length === 0 ? [] : readMountInfo("self");
  const groups = Map.groupBy(volumes, ([name, loan]) => mayWaitFor(name, sourceOf(loan), mounts));
  return [["root", "system"], ...[...groups.values()].map((group) => group.map(([name]) => name))];
}

/** Where a loan's root lies. */
export interface Source {
  readonly path: string;
  readonly mountId: number;
  /** Whether mounts below it are lent too. */
  readonly submounts: boolean;
}

function sourceOf({ root, submounts = false }: Loan): Source {
  return { path: readLinkAt(AT_FDCWD, root.procPath), mountId: Number(statAt(root).mountId), submounts };
}

const IN_MEMORY: ReadonlySet<string> = new Set(["tmpfs", "ramfs"]);

/** @returns the same text for volumes that wait for the same thing; `name` for one that has it to itself. */
export function mayWaitFor(name: string, { path, mountId, submounts }: Source, mounts: readonly MountInfo[]): string {
  const mount = mounts.find(({ id }) => id === mountId);
  const beneath = path.replace(/\/?$/, "/");
  if (mount === undefined || (submounts && mounts.some((other) => other.path.startsWith(beneath)))) return name;
  return IN_MEMORY.has(mount.type) ? "memory" : mount.device;
}
