/**
 * The ids of a sandbox whose caller is not the host's root. Two are set aside for sentry and gofer, where there are more than the caller's own:
 * what belongs to different users is kept apart by every check of the kernel's. Sources: subuid(5), newuidmap(1), user_namespaces(7).
 */
import { accessSync, constants, readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { effectiveGid, effectiveUid } from "../../linux/credentials.ts";
import type { IdMaps } from "../container/id-maps.ts";
import type { LinuxIDMapping } from "../spec/config.ts";
import type { SandboxIds } from "./ids.ts";

type Kind = keyof IdMaps;
type Chosen = Pick<SandboxIds, "guest" | "sentry" | "gofer">;

/** Ids in a row. */
export interface Ids {
  readonly first: number;
  readonly count: number;
}

/** Root of a user namespace, as under podman: what that maps is to be given away. */
export function idsOfNamespace(): Chosen {
  const [uid, gid] = [setAside(mapped("uid"), effectiveUid()), setAside(mapped("gid"), effectiveGid())];
  return { guest: { uid: identity(uid.rest), gid: identity(gid.rest) }, sentry: { uid: uid.sentry, gid: gid.sentry }, gofer: { uid: uid.gofer, gid: gid.gofer } };
}

/** An ordinary user: his own id, and his subordinate ones where there is somebody to map them. */
export function idsOfUser(): Chosen & Pick<SandboxIds, "within"> {
  const own = { uid: { first: effectiveUid(), count: 1 }, gid: { first: effectiveGid(), count: 1 } };
  const root = (kind: Kind): LinuxIDMapping[] => [{ containerID: 0, hostID: own[kind].first, size: 1 }];
  const more = canMapMore() ? { uid: subordinate("uid"), gid: subordinate("gid") } : { uid: [], gid: [] };
  const useful = more.uid.length > 0 && more.gid.length > 0;
  const of = (kind: Kind) => ({ ...setAside(useful ? more[kind] : [], own[kind].first), all: identity([own[kind], ...(useful ? more[kind] : [])]) });
  const [uid, gid] = [of("uid"), of("gid")];
  return {
    guest: { uid: root("uid"), gid: root("gid") },
    sentry: { uid: uid.sentry, gid: gid.sentry },
    gofer: { uid: uid.gofer, gid: gid.gofer },
    within: { uid: uid.all, gid: gid.all },
  };
}

interface SetAside {
  readonly rest: readonly Ids[];
  readonly sentry: number;
  readonly gofer: number;
}

/** The two last ids of the last row that has three; `own` for both where none has. */
export function setAside(ids: readonly Ids[], own: number): SetAside {
  const index = ids.findLastIndex(({ count }) => count > 2);
  const chosen = ids[index];
  if (chosen === undefined) return { rest: ids, sentry: own, gofer: own };
  const [end, count] = [chosen.first + chosen.count, chosen.count - 2];
  return { rest: ids.with(index, { first: chosen.first, count }), sentry: end - 1, gofer: end - 2 };
}

/** Each id to itself: nothing has to be translated then between the caller's user namespace and one inside of it. */
const identity = (ids: readonly Ids[]): LinuxIDMapping[] => ids.map(({ first, count }) => ({ containerID: first, hostID: first, size: count }));

/** The ids inside, of lines of the form: first inside, first outside, count. */
function mapped(kind: Kind): Ids[] {
  return readFileSync(`/proc/self/${kind}_map`, "latin1").trim().split("\n").map((line) => {
    const [first = 0, , count = 0] = line.trim().split(/\s+/).map(Number);
    return { first, count };
  });
}

/** Set-user-ID programs, which have no effect where no_new_privs is set, as in many a CI job. */
function canMapMore(): boolean {
  return !/^NoNewPrivs:\t1$/m.test(readFileSync("/proc/self/status", "latin1")) && ["newuidmap", "newgidmap"].every(isCommand);
}

function isCommand(name: string): boolean {
  return (process.env["PATH"] ?? "").split(":").some((directory) => {
    try {
      accessSync(join(directory, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function subordinate(kind: Kind): Ids[] {
  try {
    return parseSubordinate(readFileSync(`/etc/sub${kind}`, "utf8"), [String(effectiveUid()), ...loginName()]);
  } catch {
    return [];
  }
}

/** @param text lines of the form: name or uid, first id, count. */
export function parseSubordinate(text: string, names: readonly string[]): Ids[] {
  return text.split("\n").flatMap((line) => {
    const [name = "", first = "", count = ""] = line.split(":");
    return names.includes(name) && /^\d+$/.test(first) && /^\d+$/.test(count) && Number(count) > 0 ? [{ first: Number(first), count: Number(count) }] : [];
  });
}

function loginName(): string[] {
  try {
    return [userInfo().username];
  } catch {
    return [];
  }
}
