/**
 * How much a guest may write to a root file system that is in memory. Its pages are charged to the container's cgroup: without a size of its own, one that
 * is full would have the kernel kill for memory, where a full disk is an error that programs know.
 */
import type { PolicyName } from "../../policies/syscalls/names.ts";
import type { Spec } from "../spec/config.ts";
import { ConfigError } from "../spec/report.ts";

const ANNOTATION = "dev.tssandbox.root-size";
/** Of the container's memory limit. */
const SHARE = 1 / 2;
/** As tmpfs counts: a file takes a page and some more of the kernel's. */
const BYTES_PER_INODE = 4096;
const MIN_INODES = 1024;
const UNITS = { k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 } as const;

export interface RootSize {
  readonly bytes: number;
  readonly inodes: number;
}

/**
 * @param policy under `strict` it is never more than the memory limit (memory-mounts.ts).
 * @returns undefined where nothing says: tmpfs's own limits, half of the host's memory. @throws ConfigError for an annotation that means nothing.
 */
export function rootSizeOf({ annotations, linux }: Pick<Spec, "annotations" | "linux">, policy: PolicyName = "balanced"): RootSize | undefined {
  const asked = annotations?.[ANNOTATION];
  const limit = linux?.resources?.memory?.limit ?? 0;
  if (asked === undefined) return sizeForLimit(limit);
  return sizeOf(policy === "strict" && limit > 0 ? Math.min(parse(asked), limit) : parse(asked));
}

/** @param limit of memory in bytes; 0 and less: none. */
export function sizeForLimit(limit: number | undefined): RootSize | undefined {
  return limit === undefined || limit <= 0 ? undefined : sizeOf(Math.floor(limit * SHARE));
}

const sizeOf = (bytes: number): RootSize => ({ bytes, inodes: Math.max(Math.floor(bytes / BYTES_PER_INODE), MIN_INODES) });

function parse(text: string): number {
  const [, digits = "", unit = ""] = /^([1-9]\d{0,14})([kmg]?)$/.exec(text) ?? [];
  const bytes = Number(digits) * (UNITS[unit as keyof typeof UNITS] ?? 1);
  if (digits === "" || !Number.isSafeInteger(bytes)) throw new ConfigError("config.json", `annotations["${ANNOTATION}"]`, `must be a number of bytes, with k, m or g for binary multiples, is ${JSON.stringify(text)}`);
  return bytes;
}

/** Options of the tmpfs. Source: tmpfs(5). */
export const tmpfsSize = (size: RootSize | undefined): [string, string][] => (size === undefined ? [] : [["size", String(size.bytes)], ["nr_inodes", String(size.inodes)]]);
