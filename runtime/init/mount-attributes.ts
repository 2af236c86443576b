import * as ms from "../../linux/abi/mount.ts";
import type { MountAttributes } from "../../linux/mount.ts";

const PAIRS = [
  [ms.MS_RDONLY, ms.MOUNT_ATTR_RDONLY],
  [ms.MS_NOSUID, ms.MOUNT_ATTR_NOSUID],
  [ms.MS_NODEV, ms.MOUNT_ATTR_NODEV],
  [ms.MS_NOEXEC, ms.MOUNT_ATTR_NOEXEC],
  [ms.MS_NODIRATIME, ms.MOUNT_ATTR_NODIRATIME],
  [ms.MS_NOSYMFOLLOW, ms.MOUNT_ATTR_NOSYMFOLLOW],
] as const;

const ACCESS_TIMES = [
  [ms.MS_STRICTATIME, ms.MOUNT_ATTR_STRICTATIME],
  [ms.MS_NOATIME, ms.MOUNT_ATTR_NOATIME],
  [ms.MS_RELATIME, ms.MOUNT_ATTR_RELATIME],
] as const;

/**
 * The per-mount bits of mount(2) in mount_setattr(2)'s terms. What is neither set nor cleared keeps its value: a bind mount inherits
 * `nosuid` from its source unless `suid` was asked for.
 */
export function mountAttributes(flags: number, cleared: number): Required<Pick<MountAttributes, "set" | "clear">> {
  let set = 0;
  let clear = 0;
  for (const [flag, attribute] of PAIRS) {
    if ((flags & flag) !== 0) set |= attribute;
    else if ((cleared & flag) !== 0) clear |= attribute;
  }
  const time = ACCESS_TIMES.find(([flag]) => (flags & flag) !== 0);
  // The access-time attribute is one field: setting a value wants the whole field cleared first.
  if (time !== undefined) return { set: set | time[1], clear: clear | ms.MOUNT_ATTR__ATIME };
  const backToDefault = (cleared & (ms.MS_NOATIME | ms.MS_STRICTATIME)) !== 0;
  return { set, clear: backToDefault ? clear | ms.MOUNT_ATTR__ATIME : clear };
}
