/**
 * Ids on the host that a sandbox's processes have. Root gives each sandbox a range of its own for its guest and one id for its sentry; a range is
 * taken by a lock on a file of its number, which the sentry holds: the kernel gives the range back when the sentry ends, however it ends. Who is
 * not root has what his user namespace maps, or /etc/subuid allows, and at least his own (rootless-ids.ts).
 */
import { mkdirSync, readFileSync } from "node:fs";
import process from "node:process";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { effectiveUid, type UserIds } from "../../linux/credentials.ts";
import type { Fd } from "../../linux/fd.ts";
import { open } from "../../linux/file.ts";
import { lockFile } from "../../linux/flock.ts";
import { inUserNamespace, type IdMaps } from "../container/id-maps.ts";
import type { LinuxIDMapping } from "../spec/config.ts";
import type { Group } from "./group.ts";
import { requireSandboxRecord } from "./record.ts";
import { OWN_RANGES, RANGES, RANGE_SIZE, RANGE_START } from "../do/identity.ts";
import { idsOfNamespace, idsOfUser } from "./rootless-ids.ts";

/** Above all guests' ranges. */
const SENTRIES_START = RANGE_START + RANGES * RANGE_SIZE;
const DIRECTORY = "/run/tssandbox-ids";
const NOBODY: UserIds = { uid: 65534, gid: 65534 };

export interface SandboxIds extends Disposable {
  /** The guest's maps, where its configuration has none. */
  readonly guest: IdMaps;
  readonly sentry: UserIds;
  readonly gofer: UserIds;
  /** Held by the sentry for as long as the ids are in use; disposing of the ids closes this process's copy. */
  readonly lock: Fd | undefined;
  /** Of the user namespace that the sandbox has to be made in, where the caller's own gives no right to. */
  readonly within: IdMaps | undefined;
}

/** @param group the sandbox that is joined, by root. @throws SysError; Error where all ranges are in use. */
export function claimIds(group?: Group): SandboxIds {
  if (group !== undefined) return idsInGroup(group);
  if (effectiveUid() !== 0) return { ...idsOfUser(), lock: undefined, [Symbol.dispose]: () => {} };
  if (inUserNamespace()) return { ...idsOfNamespace(), lock: undefined, within: undefined, [Symbol.dispose]: () => {} };
  return claimRange();
}

/**
 * A container has a range of its own in another's sandbox too, unless it shares processes: ids that are the same have rights over one another by
 * whatever two containers share. The sentry is that of the sandbox.
 */
function idsInGroup({ first, fellow }: Group): SandboxIds {
  const { sentry } = requireSandboxRecord(first.directory).ids;
  if (fellow === undefined) return { ...claimRange(), sentry: { uid: sentry, gid: sentry } };
  const guest = { uid: mapOf(fellow.record.pid, "uid"), gid: mapOf(fellow.record.pid, "gid") };
  return { guest, sentry: { uid: sentry, gid: sentry }, gofer: NOBODY, lock: undefined, within: undefined, [Symbol.dispose]: () => {} };
}

/** Source: user_namespaces(7). */
function mapOf(pid: number, kind: keyof IdMaps): LinuxIDMapping[] {
  return readFileSync(`/proc/${pid}/${kind}_map`, "latin1").trim().split("\n").map((line) => {
    const [containerID = 0, hostID = 0, size = 0] = line.trim().split(/\s+/).map(Number);
    return { containerID, hostID, size };
  });
}

function claimRange(): SandboxIds {
  mkdirSync(DIRECTORY, { recursive: true, mode: 0o700 });
  const count = RANGES - OWN_RANGES;
  for (let i = 0; i < count; i++) {
    const range = OWN_RANGES + ((process.pid + i) % count);
    const lock = open(`${DIRECTORY}/${range}`, fcntl.O_CREAT | fcntl.O_RDWR | fcntl.O_NOFOLLOW, { mode: 0o600 });
    if (lockFile(lock, "exclusive", false)) return idsOfRange(range, lock);
    lock.close();
  }
  throw new Error(`all ${count} ranges of ids for sandboxes are in use`);
}

function idsOfRange(range: number, lock: Fd): SandboxIds {
  const map = [{ containerID: 0, hostID: RANGE_START + range * RANGE_SIZE, size: RANGE_SIZE }];
  const sentry = SENTRIES_START + range;
  return { guest: { uid: map, gid: map }, sentry: { uid: sentry, gid: sentry }, gofer: NOBODY, lock, within: undefined, [Symbol.dispose]: () => lock.close() };
}
