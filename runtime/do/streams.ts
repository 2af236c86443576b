import { fchownSync } from "node:fs";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { fileSystemMagic, statAt } from "../../linux/file.ts";
import type { Identity } from "./identity.ts";

/** Source: Linux include/uapi/linux/magic.h. */
const PIPEFS_MAGIC = 0x50495045;

/**
 * The program may open its standard streams by name (/dev/stderr): anonymous pipes become its user's. Files stay the caller's, and can be
 * written to, but not opened again. Only root can do this, and only for a range of ids it is needed.
 */
export function givePipes({ rangeStart, host }: Pick<Identity, "rangeStart" | "host">): void {
  if (rangeStart === undefined) return;
  for (const fd of [0, 1, 2]) {
    if ((statAt(fd).mode & fcntl.S_IFMT) === fcntl.S_IFIFO && fileSystemMagic(fd) === PIPEFS_MAGIC) fchownSync(fd, host.uid, host.gid);
  }
}
