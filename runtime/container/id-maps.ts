/** The maps of a new user namespace. Source: user_namespaces(7), newuidmap(1). */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { SysError } from "../../linux/errors.ts";
import { effectiveGid, effectiveUid, maySetIds } from "../../linux/credentials.ts";
import type { LinuxIDMapping } from "../spec/config.ts";

export interface IdMaps {
  readonly uid: readonly LinuxIDMapping[];
  readonly gid: readonly LinuxIDMapping[];
}

/** Whether this process is in a user namespace other than the first, whose map is of all ids to themselves. */
export function inUserNamespace(): boolean {
  return readFileSync("/proc/self/uid_map", "latin1").trim().split(/\s+/).join(" ") !== "0 0 4294967295";
}

/** Whether setgroups(2) is refused to a process, as its user namespace has decided. Source: user_namespaces(7). */
export function setgroupsDenied(pid: number | "self"): boolean {
  return readFileSync(`/proc/${pid}/setgroups`, "latin1").startsWith("deny");
}

/** An ordinary user may map one id, his own, himself, and loses setgroups by it; for more there are newuidmap and newgidmap. */
export function needsHelpers(maps: IdMaps): boolean {
  if (maySetIds()) return false;
  return !mapsOnly(maps.uid, effectiveUid()) || !mapsOnly(maps.gid, effectiveGid());
}

function mapsOnly(map: readonly LinuxIDMapping[], own: number): boolean {
  return map.length === 1 && map[0]?.size === 1 && map[0].hostID === own;
}

/** Whether setgroups(2) will be refused in the namespace. */
export function deniesSetgroups(maps: IdMaps): boolean {
  return setgroupsDenied("self") || (!maySetIds() && !needsHelpers(maps));
}

/** @throws SysError or Error naming the map. */
export function writeIdMaps(pid: number, maps: IdMaps): void {
  if (needsHelpers(maps)) {
    runHelper("newuidmap", pid, maps.uid);
    runHelper("newgidmap", pid, maps.gid);
    return;
  }
  if (deniesSetgroups(maps)) writeFileSync(`/proc/${pid}/setgroups`, "deny");
  writeMap(`/proc/${pid}/uid_map`, maps.uid);
  writeMap(`/proc/${pid}/gid_map`, maps.gid);
}

function writeMap(path: string, map: readonly LinuxIDMapping[]): void {
  try {
    writeFileSync(path, map.map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}\n`).join(""));
  } catch (error) {
    const errno = -((error as NodeJS.ErrnoException).errno ?? 0);
    throw new SysError({ syscall: "write", errno, path: path.split("/").at(-1), hint: "the mapped ids must be the caller's to give and must not overlap" });
  }
}

function runHelper(command: string, pid: number, map: readonly LinuxIDMapping[]): void {
  const numbers = map.flatMap(({ containerID, hostID, size }) => [String(containerID), String(hostID), String(size)]);
  const result = spawnSync(command, [String(pid), ...numbers], { encoding: "utf8" });
  if (result.error !== undefined) throw new Error(`${command}: ${result.error.message}; a rootless container with several ids needs it (package uidmap)`);
  if (result.status !== 0) throw new Error(`${command}: ${result.stderr.trim() || `exit status ${result.status}`}; see /etc/subuid and /etc/subgid`);
}
