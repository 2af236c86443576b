/** User, groups and capabilities of the calling task. Sources: credentials(7), capabilities(7). */
import { SYS } from "./arch.ts";
import { EPERM } from "./abi/errno.ts";
import { check, isErrno } from "./errors.ts";
import { scratch } from "./memory.unsafe.ts";
import { syscall } from "./syscall.unsafe.ts";

export interface UserIds {
  readonly uid: number;
  readonly gid: number;
}

export function effectiveUid(): number {
  return syscall(SYS.geteuid);
}

export function effectiveGid(): number {
  return syscall(SYS.getegid);
}

/** Sets the effective id alone, and with it the file system's: the others keep the way back open. Source: setresuid(2). */
export function setEffectiveUserId(uid: number): void {
  check(syscall(SYS.setresuid, -1, uid, -1), "setresuid", String(uid));
}

/** The id that access to files is decided by. The kernel tells of no refusal. Source: setfsuid(2). */
export function setFileSystemUserId(uid: number): void {
  syscall(SYS.setfsuid, uid);
}

/** The group's counterpart. Source: setfsgid(2). */
export function setFileSystemGroupId(gid: number): void {
  syscall(SYS.setfsgid, gid);
}

/** Sets real, effective and saved ids alike. */
export function setUserId(uid: number): void {
  check(syscall(SYS.setresuid, uid, uid, uid), "setresuid", String(uid));
}

export function setGroupId(gid: number): void {
  check(syscall(SYS.setresgid, gid, gid, gid), "setresgid", String(gid));
}

/** The supplementary groups. @throws SysError EPERM in a user namespace whose setgroups is denied. */
export function setGroups(gids: readonly number[]): void {
  using s = scratch();
  const list = s.reserve(Math.max(4 * gids.length, 4));
  for (const [i, gid] of gids.entries()) list.view.setUint32(4 * i, gid, true);
  check(syscall(SYS.setgroups, gids.length, list.address), "setgroups", gids.join(","));
}

/**
 * Becomes another user for good, without supplementary groups, unless the user namespace forbids setgroups(2): what needs the same capability
 * follows. @throws SysError EPERM, EINVAL for an id that is not mapped
 */
export function becomeUser({ uid, gid }: UserIds): void {
  try {
    setGroups([]);
  } catch (error) {
    if (!isErrno(error, EPERM)) throw error;
  }
  setGroupId(gid);
  setUserId(uid);
}

const SET_IDS = (1n << 6n) | (1n << 7n);

/** Whether the caller has CAP_SETUID and CAP_SETGID in its user namespace. */
export function maySetIds(): boolean {
  return (getCapabilities().effective & SET_IDS) === SET_IDS;
}

/** Three of the five capability sets as bit masks, bit n for capability n. */
export interface CapabilitySets {
  readonly effective: bigint;
  readonly permitted: bigint;
  readonly inheritable: bigint;
}

const LOW = 0xffffffffn;

/** struct __user_cap_header_struct, version 3, of the caller. */
export const CAPABILITY_HEADER = new Uint8Array(Uint32Array.of(0x20080522, 0).buffer);

/** struct __user_cap_data_struct[2]: the low halves of the sets, then the high ones. */
export function capabilityData({ effective, permitted, inheritable }: CapabilitySets): Uint8Array {
  const sets = [effective, permitted, inheritable];
  return new Uint8Array(Uint32Array.from([...sets.map((set) => Number(set & LOW)), ...sets.map((set) => Number(set >> 32n))]).buffer);
}

/** capset(2) for the caller. */
export function setCapabilities(sets: CapabilitySets): void {
  using s = scratch();
  check(syscall(SYS.capset, s.copy(CAPABILITY_HEADER), s.copy(capabilityData(sets))), "capset");
}

/** capget(2) of the caller. */
export function getCapabilities(): CapabilitySets {
  using s = scratch();
  const data = s.reserve(24);
  check(syscall(SYS.capget, s.copy(CAPABILITY_HEADER), data.address), "capget");
  const set = (i: number) => BigInt(data.view.getUint32(4 * i, true)) | (BigInt(data.view.getUint32(12 + 4 * i, true)) << 32n);
  return { effective: set(0), permitted: set(1), inheritable: set(2) };
}
