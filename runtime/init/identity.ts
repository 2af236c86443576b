/** Who the process is: user, groups, capabilities, home. Source: runtime-spec config.md#process, capabilities(7). */
import { CAPABILITIES, capabilityMask } from "../../linux/abi/capability.ts";
import * as fcntl from "../../linux/abi/fcntl.ts";
import * as credentials from "../../linux/credentials.ts";
import { AT_FDCWD, Fd } from "../../linux/fd.ts";
import { readAll, statAt, tryOpenAt } from "../../linux/file.ts";
import * as prctl from "../../linux/prctl.ts";
import type { LinuxCapabilities, Process } from "../spec/config.ts";

/** What the last steps before execve may still need: seccomp without no_new_privs, raised limits, the final capset itself. */
const LAST_STEPS = capabilityMask(["CAP_SYS_ADMIN", "CAP_SYS_RESOURCE", "CAP_SETPCAP"]);

/**
 * Becomes the configured user, with the configured bounding set. Of the capabilities, those of the last steps are kept on;
 * `dropCapabilities` ends that.
 * Preconditions: every descriptor and mount is in place; no_new_privs and securebits are still off.
 */
export function becomeUser(process: Process, denySetgroups: boolean): void {
  const available = credentials.getCapabilities().permitted;
  dropBounding(capabilityMask(process.capabilities?.bounding ?? []));
  prctl.setKeepCapabilities(true);
  const user = process.user;
  const groups = user.additionalGids ?? [];
  if (denySetgroups && groups.length > 0) throw new Error("process.user.additionalGids: this user namespace forbids setgroups; map more than one id, or leave them out");
  if (!denySetgroups) credentials.setGroups(groups);
  credentials.setGroupId(user.gid);
  credentials.setUserId(user.uid);
  prctl.setKeepCapabilities(false);
  const wanted = capabilityMask(process.capabilities?.permitted ?? []);
  const kept = (wanted | LAST_STEPS) & available;
  credentials.setCapabilities({ permitted: kept, effective: kept, inheritable: capabilityMask(process.capabilities?.inheritable ?? []) & available });
}

function dropBounding(keep: bigint): void {
  for (const [number] of CAPABILITIES.entries()) if ((keep & (1n << BigInt(number))) === 0n) prctl.dropFromBoundingSet(number);
}

/** The configured sets, ambient last; a capability that this process does not have itself is left out, as runc does. */
export function dropCapabilities(capabilities: LinuxCapabilities | undefined): void {
  const available = credentials.getCapabilities().permitted;
  const set = (names: readonly string[] | undefined) => capabilityMask(names ?? []) & available;
  const permitted = set(capabilities?.permitted);
  credentials.setCapabilities({ permitted, effective: set(capabilities?.effective) & permitted, inheritable: set(capabilities?.inheritable) });
  prctl.clearAmbientCapabilities();
  for (const [number, name] of CAPABILITIES.entries()) {
    if (capabilities?.ambient?.includes(name) === true) prctl.tryRaiseAmbient(number);
  }
}

const PASSWD_LIMIT = 1 << 20;

/** The user's home directory by the container's /etc/passwd, `/` where it tells none. Call in the container's root. */
export function homeDirectory(uid: number): string {
  const opened = tryOpenAt(AT_FDCWD, "/etc/passwd", fcntl.O_RDONLY | fcntl.O_NONBLOCK);
  if (opened < 0) return "/";
  using passwd = new Fd(opened);
  if ((statAt(passwd).mode & fcntl.S_IFMT) !== fcntl.S_IFREG) return "/";
  for (const line of Buffer.from(readAll(passwd, PASSWD_LIMIT)).toString().split("\n")) {
    const fields = line.split(":");
    if (fields[2] === String(uid)) return fields[5] || "/";
  }
  return "/";
}
