/** Who the sandbox is on the host: the user namespace's maps. */
import { readFileSync } from "node:fs";
import process from "node:process";
import { effectiveGid, effectiveUid, type UserIds } from "../../linux/credentials.ts";
import type { LinuxIDMapping } from "../spec/config.ts";

export interface Identity {
  /** The program's ids inside. */
  readonly user: UserIds;
  /** The same as the host counts them. */
  readonly host: UserIds;
  /** Start on the host of a range of its own, which nobody else has; undefined where there is only the caller's own id. */
  readonly rangeStart: number | undefined;
  readonly uidMappings: readonly LinuxIDMapping[];
  readonly gidMappings: readonly LinuxIDMapping[];
}

/** Ids above what accounts, engines' subordinate ranges and systemd's dynamic users have; below 2^31, which some programs take for negative. */
export const RANGE_START = 0x7000_0000;
export const RANGE_SIZE = 0x1_0000;
export const RANGES = 0x0fff;
/** Those from here on are sandboxes' (runtime/sandbox/ids.ts). */
export const OWN_RANGES = RANGES >> 1;

/**
 * Root gives the sandbox a range of unprivileged ids of its own. Anybody else, and root of a user namespace that holds no such range,
 * can only map himself: to the same number, or to the one that an image asks for.
 * @param wanted ids inside; undefined: the caller's numbers. @param range 0 to RANGES - 1.
 * @throws Error where `wanted` is outside of the range.
 */
export function chooseIdentity(wanted: UserIds | undefined, range: number): Identity {
  const own = { uid: effectiveUid(), gid: effectiveGid() };
  const user = wanted ?? own;
  const start = RANGE_START + range * RANGE_SIZE;
  if (own.uid !== 0 || !isMapped(start)) return single(user, own);
  if (user.uid >= RANGE_SIZE || user.gid >= RANGE_SIZE) throw new Error(`--user: ids must be below ${RANGE_SIZE}`);
  const mappings = [{ containerID: 0, hostID: start, size: RANGE_SIZE }];
  return { user, host: { uid: start + user.uid, gid: start + user.gid }, rangeStart: start, uidMappings: mappings, gidMappings: mappings };
}

function single(user: UserIds, own: UserIds): Identity {
  return {
    user,
    host: own,
    rangeStart: undefined,
    uidMappings: [{ containerID: user.uid, hostID: own.uid, size: 1 }],
    gidMappings: [{ containerID: user.gid, hostID: own.gid, size: 1 }],
  };
}

/** Whether our own user namespace has the range. Source: user_namespaces(7). */
function isMapped(start: number): boolean {
  return readFileSync("/proc/self/uid_map", "utf8").split("\n").some((line) => {
    const [inside = Number.NaN, , size = 0] = line.trim().split(/\s+/).map(Number);
    return inside <= start && start + RANGE_SIZE <= inside + size;
  });
}

/** The first range from this process's own number on that is not in `used`. */
export function freeRange(used: ReadonlySet<number>): number {
  for (let i = 0; i < OWN_RANGES; i++) {
    const range = (process.pid + i) % OWN_RANGES;
    if (!used.has(range)) return range;
  }
  throw new Error(`all ${OWN_RANGES} id ranges are in use`);
}
