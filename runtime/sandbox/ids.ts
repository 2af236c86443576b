/**
 * Ids on the host that belong to one sandbox alone: a range for its guest, and one for its sentry. A range is taken by a lock on a file of its
 * number, which the sentry holds: the kernel gives the range back when the sentry ends, however it ends.
 */
import { mkdirSync } from "node:fs";
import process from "node:process";
import * as fcntl from "../../linux/abi/fcntl.ts";
import type { Fd } from "../../linux/fd.ts";
import { open } from "../../linux/file.ts";
import { lockFile } from "../../linux/flock.ts";
import { OWN_RANGES, RANGES, RANGE_SIZE, RANGE_START } from "../do/identity.ts";
import type { LinuxIDMapping } from "../spec/config.ts";

/** Above all guests' ranges. */
const SENTRIES_START = RANGE_START + RANGES * RANGE_SIZE;
const DIRECTORY = "/run/tssandbox-ids";

export interface IdRange extends Disposable {
  readonly guest: LinuxIDMapping;
  /** User and group of the sentry. */
  readonly sentry: number;
  /** Held by the sentry for as long as the ids are in use; disposing of the range closes this process's copy. */
  readonly lock: Fd;
}

/** @throws SysError; Error where all ranges are in use. */
export function claimRange(): IdRange {
  mkdirSync(DIRECTORY, { recursive: true, mode: 0o700 });
  const count = RANGES - OWN_RANGES;
  for (let i = 0; i < count; i++) {
    const range = OWN_RANGES + ((process.pid + i) % count);
    const lock = open(`${DIRECTORY}/${range}`, fcntl.O_CREAT | fcntl.O_RDWR | fcntl.O_NOFOLLOW, { mode: 0o600 });
    if (lockFile(lock, "exclusive", false)) return { guest: { containerID: 0, hostID: RANGE_START + range * RANGE_SIZE, size: RANGE_SIZE }, sentry: SENTRIES_START + range, lock, [Symbol.dispose]: () => lock.close() };
    lock.close();
  }
  throw new Error(`all ${count} ranges of ids for sandboxes are in use`);
}
