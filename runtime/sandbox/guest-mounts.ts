/** The mounts that a guest sees, and which of them the gofer serves. Source: proc_pid_mountinfo(5). */
import { readFileSync } from "node:fs";
import type { SandboxRecord } from "./record.ts";

export interface GuestMount {
  readonly path: string;
  readonly type: string;
  readonly readOnly: boolean;
  /** The gofer's connection that answers for it, also where a layer in memory lies over that. Left out: the host's kernel does. */
  readonly connection?: string;
}

/** @param pid of the guest's first process, on the host. @returns nothing where that is gone or not ours to look at. */
export function guestMounts(pid: number, record: Pick<SandboxRecord, "connections">): GuestMount[] {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/mountinfo`, "utf8");
  } catch {
    return [];
  }
  return text.split("\n").filter((line) => line !== "").map((line) => describeMount(line, record));
}

function describeMount(line: string, { connections }: Pick<SandboxRecord, "connections">): GuestMount {
  const [fields = "", behind = ""] = line.split(" - ");
  const path = unescape(fields.split(" ")[4] ?? "");
  const readOnly = (fields.split(" ")[5] ?? "").split(",").includes("ro");
  const type = behind.split(" ")[0] ?? "";
  const known = connections.find(({ destination }) => destination !== undefined && normal(destination) === path)?.name;
  const connection = type === "overlay" || type.startsWith("fuse") ? (known ?? "system") : undefined;
  return { path, type, readOnly, ...(connection !== undefined && { connection }) };
}

/** As mountinfo has it: no slash at the end, none doubled. */
const normal = (path: string): string => path.replaceAll(/\/+/g, "/").replace(/(.)\/$/, "$1");

const unescape = (path: string): string => path.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
