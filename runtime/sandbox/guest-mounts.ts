/** The mounts that a guest sees, and which of them a gofer serves. */
import { readMountInfo, type MountInfo } from "./mountinfo.ts";
import type { SandboxRecord } from "./record.ts";

export interface GuestMount {
  readonly path: string;
  readonly type: string;
  readonly readOnly: boolean;
  /** The connection that answers for it, also where a layer in memory lies over that. Left out: the host's kernel does. */
  readonly connection?: string;
}

/** @param pid of the guest's first process, on the host. @returns nothing where that is gone or not ours to look at. */
export function guestMounts(pid: number, record: Pick<SandboxRecord, "connections">): GuestMount[] {
  let mounts: MountInfo[];
  try {
    mounts = readMountInfo(pid);
  } catch {
    return [];
  }
  return mounts.map((mount) => describeMount(mount, record));
}

function describeMount({ path, type, options }: MountInfo, { connections }: Pick<SandboxRecord, "connections">): GuestMount {
  const known = connections.find(({ destination }) => destination !== undefined && normal(destination) === path)?.name;
  const connection = type === "overlay" || type.startsWith("fuse") ? (known ?? "system") : undefined;
  return { path, type, readOnly: options.includes("ro"), ...(connection !== undefined && { connection }) };
}

/** As mountinfo has it: no slash at the end, none doubled. */
const normal = (path: string): string => path.replaceAll(/\/+/g, "/").replace(/(.)\/$/, "$1");
