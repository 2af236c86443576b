import { MS_BIND } from "../../linux/abi/mount.ts";
import { assertNever } from "../../linux/errors.ts";
import { MOUNT_OPTIONS, type MountOption } from "./mount-options.ts";

/** The options of one mount, taken apart. */
export interface ParsedMountOptions {
  /** MS_* for mount(2). */
  flags: number;
  /** MS_* that were asked to be off: a bind mount's remount has to clear these even if its source had them. */
  cleared: number;
  /** MS_* of the propagation calls, in their order. */
  propagation: number[];
  /** MOUNT_ATTR_* for mount_setattr(2) with AT_RECURSIVE; both 0: no call. */
  recursive: { set: number; clear: number };
  idmap: "none" | "mount" | "recursive";
  copyUp: boolean;
  /** The file system's own options, in their order. */
  data: string[];
}

/** Later options win. Never fails: what is not a known option is the file system's. */
export function parseMountOptions(options: readonly string[] | undefined): ParsedMountOptions {
  const parsed: ParsedMountOptions = { flags: 0, cleared: 0, propagation: [], recursive: { set: 0, clear: 0 }, idmap: "none", copyUp: false, data: [] };
  for (const option of options ?? []) {
    const known = MOUNT_OPTIONS.get(option);
    if (known === undefined) parsed.data.push(option);
    else apply(parsed, known);
  }
  return parsed;
}

/** config.md#mounts: "A mount is a bind mount if it has either bind or rbind in the options", whatever its type says. */
export const isBind = (parsed: ParsedMountOptions): boolean => (parsed.flags & MS_BIND) !== 0;

function apply(parsed: ParsedMountOptions, option: MountOption): void {
  switch (option.kind) {
    case "flag":
      parsed.flags = (parsed.flags & ~option.clear) | option.set;
      parsed.cleared = (parsed.cleared | option.clear) & ~option.set;
      return;
    case "recursive":
      // An attribute may stand in both: mount_setattr(2) clears first, then sets, which the access-time field needs.
      parsed.recursive.set = (parsed.recursive.set & ~option.clear) | option.set;
      parsed.recursive.clear = (parsed.recursive.clear & ~option.set) | option.clear;
      return;
    case "propagation":
      parsed.propagation.push(option.flags);
      return;
    case "idmap":
      parsed.idmap = option.recursive ? "recursive" : "mount";
      return;
    case "tmpcopyup":
      parsed.copyUp = true;
      return;
    default:
      assertNever(option);
  }
}
