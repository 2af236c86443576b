/**
 * What a sentry counts of its containers: one file, made with the first container, of which every further one has a link in its own state directory
 * and an area of its own. A lock on the byte of its number says that an area is taken; the sentry holds it for as long as the container lives.
 */
import { ftruncateSync, linkSync } from "node:fs";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { AT_FDCWD, Fd } from "../../linux/fd.ts";
import { open, readAt, tryOpenAt } from "../../linux/file.ts";
import { mapForever } from "../../linux/kvm-memory.unsafe.ts";
import { LOCK_TYPE, tryFindConflict, tryLockRange } from "../../linux/range-lock.ts";
import { CALL_AREAS, callsIn, CALLS_SIZE, placeOfCalls, type Counters } from "../../sentry/debug-counters.ts";

const FILE = "calls";
const FIRST = 0;

/** All areas, for whoever writes them. */
export interface Calls {
  readonly bytes: Uint8Array;
}

export const areaOf = ({ bytes }: Calls, area: number): Counters => callsIn(bytes, placeOfCalls(area).offset);

/** Mapped for the life of this process and of those that it forks. @param directory the first container's state directory. @throws SysError */
export function createCalls(directory: string): Calls {
  using file = open(`${directory}/${FILE}`, fcntl.O_RDWR | fcntl.O_CREAT | fcntl.O_EXCL | fcntl.O_NOFOLLOW, { mode: 0o600 });
  ftruncateSync(file.number, CALLS_SIZE);
  return mapForever(file, CALLS_SIZE);
}

/** An area that has been taken by `lock`. */
export interface TakenArea {
  readonly area: number;
  readonly lock: Fd;
  readonly calls: Calls;
}

/**
 * @param first state directory of the sandbox's first container. @param directory that of the one that joins.
 * @param kept areas of containers that have ended, and are to be asked about still. @throws SysError; Error where none is free
 */
export function takeArea(first: string, directory: string, kept: ReadonlySet<number>): TakenArea {
  linkSync(`${first}/${FILE}`, `${directory}/${FILE}`);
  const lock = open(`${directory}/${FILE}`, fcntl.O_RDWR | fcntl.O_NOFOLLOW);
  for (let area = FIRST + 1; area < CALL_AREAS; area++) {
    if (!kept.has(area) && tryLockRange(lock.number, LOCK_TYPE.write, area, 1) === 0) return { area, lock, calls: mapForever(lock, CALLS_SIZE, "read-only") };
  }
  lock.close();
  throw new Error(`the sandbox has ${CALL_AREAS} containers already`);
}

/** Whether a further container is, or is about to be, in the sandbox. @param first state directory of its first container. */
export function hasFurther(first: string): boolean {
  const opened = tryOpenAt(AT_FDCWD, `${first}/${FILE}`, fcntl.O_RDWR | fcntl.O_NOFOLLOW);
  if (opened < 0) return false;
  using file = new Fd(opened);
  const conflict = { type: 0, start: 0, length: 0, pid: 0 };
  return tryFindConflict(file.number, LOCK_TYPE.write, FIRST + 1, CALL_AREAS, conflict) === 0 && conflict.type !== LOCK_TYPE.none;
}

/** A copy. @param directory the container's state directory. @throws SysError */
export function readCalls(directory: string, area: number): Counters {
  using file = open(`${directory}/${FILE}`, fcntl.O_RDONLY | fcntl.O_NOFOLLOW);
  const { offset, size } = placeOfCalls(area);
  return callsIn(readAt(file, offset, size));
}
