/** Who owns a file: what the guest is told, and what is written down on the host. */
import { EINVAL } from "../../linux/abi/errno.ts";

/** `size` ids from `host` on are `container` and the following ones to the guest. */
export interface IdRange {
  readonly container: number;
  readonly host: number;
  readonly size: number;
}

/**
 * `kept`: as owner of the host's file, by these ranges; a process with CAP_CHOWN can. What is in no range is nobody's (65534).
 * `recorded`: every file belongs to `uid` and `gid` on the host, who need not be privileged; the guest's owner stands in an attribute.
 */
export type Ownership =
  | { readonly kind: "kept"; readonly uids: readonly IdRange[]; readonly gids: readonly IdRange[] }
  | { readonly kind: "recorded" };

export const ALL_IDS: readonly IdRange[] = [{ container: 0, host: 0, size: 0xffff_ffff }];
/** Container ids are the host's: what runc does without a user namespace. */
export const SAME_IDS: Ownership = { kind: "kept", uids: ALL_IDS, gids: ALL_IDS };

/** /proc/sys/kernel/overflowuid. */
const NOBODY = 65534;

export function toContainer(ranges: readonly IdRange[], id: number): number {
  for (const { container, host, size } of ranges) if (id >= host && id - host < size) return container + (id - host);
  return NOBODY;
}

/** @returns -EINVAL for an id in no range, as chown(2) has it. */
export function toHost(ranges: readonly IdRange[], id: number): number {
  for (const { container, host, size } of ranges) if (id >= container && id - container < size) return host + (id - container);
  return -EINVAL;
}
