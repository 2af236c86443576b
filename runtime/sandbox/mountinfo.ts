/** The mounts that a process sees. Source: proc_pid_mountinfo(5). */
import { readFileSync } from "node:fs";
import { unescapeField } from "../../linux/mount-text.ts";

export interface MountInfo {
  /** As statx(2) has it. */
  readonly id: number;
  /** MAJOR:MINOR of the file system's superblock, whatever st_dev its files have. */
  readonly device: string;
  readonly path: string;
  /** The mount's own options, beginning with `ro` or `rw`. */
  readonly options: readonly string[];
  readonly type: string;
}

/** In the order of mounting. @throws Error of node:fs where the process is gone or not ours to look at. */
export function readMountInfo(pid: number | "self"): MountInfo[] {
  return parseMountInfo(readFileSync(`/proc/${pid}/mountinfo`, "utf8"));
}

export function parseMountInfo(text: string): MountInfo[] {
  return text.split("\n").filter((line) => line !== "").map((line) => {
    const [left = "", right = ""] = line.split(" - ");
    const [id = "", , device = "", , path = "", options = ""] = left.split(" ");
    return { id: Number(id), device, path: unescapeField(path), options: options.split(","), type: right.split(" ")[0] ?? "" };
  });
}
