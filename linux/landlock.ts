/**
 * Landlock: a process gives up access to files, ports and processes for itself and its descendants. Source: landlock(7).
 *
 *   const handled = handledAccess(landlockVersion());
 *   using ruleset = createRuleset(handled);
 *   ruleset.allowBeneath(directory, READ_ONLY);
 *   setNoNewPrivileges();
 *   ruleset.restrictSelf();
 */
import { SYS } from "./arch.ts";
import { ENOSYS, EOPNOTSUPP } from "./abi/errno.ts";
import * as ll from "./abi/landlock.ts";
import { check, SysError } from "./errors.ts";
import { Fd, fdNumber, type FdLike } from "./fd.ts";
import { scratch } from "./memory.unsafe.ts";
import { syscall } from "./syscall.unsafe.ts";

/** What a ruleset denies unless a rule allows it: bits of LANDLOCK_ACCESS_FS_*, _NET_* and LANDLOCK_SCOPE_*. */
export interface HandledAccess {
  readonly fs: number;
  readonly net: number;
  readonly scoped: number;
}

/** Rights that make sense for a file that is no directory; with others a rule on such a file is refused with EINVAL. */
export const FILE_ACCESS =
  ll.LANDLOCK_ACCESS_FS_EXECUTE | ll.LANDLOCK_ACCESS_FS_WRITE_FILE | ll.LANDLOCK_ACCESS_FS_READ_FILE | ll.LANDLOCK_ACCESS_FS_TRUNCATE |
  ll.LANDLOCK_ACCESS_FS_IOCTL_DEV;
export const READ_ONLY = ll.LANDLOCK_ACCESS_FS_EXECUTE | ll.LANDLOCK_ACCESS_FS_READ_FILE | ll.LANDLOCK_ACCESS_FS_READ_DIR;
export const ALL_FS_ACCESS = 2 * ll.LANDLOCK_ACCESS_FS_IOCTL_DEV - 1;

/** @returns the kernel's ABI version, 0 where Landlock is not built in or not among the active security modules. */
export function landlockVersion(): number {
  const result = syscall(SYS.landlock_create_ruleset, 0, 0, ll.LANDLOCK_CREATE_RULESET_VERSION);
  if (result === -ENOSYS || result === -EOPNOTSUPP) return 0;
  return check(result, "landlock_create_ruleset");
}

/** All that can be denied with ABI `version`; nothing for version 0. */
export function handledAccess(version: number): HandledAccess {
  return {
    fs: fsAccess(version),
    net: version >= 4 ? ll.LANDLOCK_ACCESS_NET_BIND_TCP | ll.LANDLOCK_ACCESS_NET_CONNECT_TCP : 0,
    scoped: version >= 6 ? ll.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | ll.LANDLOCK_SCOPE_SIGNAL : 0,
  };
}

function fsAccess(version: number): number {
  if (version >= 5) return ALL_FS_ACCESS;
  if (version >= 3) return ll.LANDLOCK_ACCESS_FS_IOCTL_DEV - 1;
  if (version === 2) return ll.LANDLOCK_ACCESS_FS_TRUNCATE - 1;
  return version === 1 ? ll.LANDLOCK_ACCESS_FS_REFER - 1 : 0;
}

/** A ruleset in the making. Rights it does not handle are taken out of its rules: they are not denied anyway. */
export class Ruleset implements Disposable {
  readonly #fd: Fd;
  readonly #handled: HandledAccess;

  constructor(fd: Fd, handled: HandledAccess) {
    this.#fd = fd;
    this.#handled = handled;
  }

  /** Allows `access` (LANDLOCK_ACCESS_FS_*) for a file, or for a directory and all beneath it. O_PATH is enough. */
  allowBeneath(fd: FdLike, access: number): void {
    const allowed = access & this.#handled.fs;
    if (allowed === 0) return;
    using s = scratch();
    const rule = s.reserve(ll.PATH_BENEATH_ATTR_SIZE);
    rule.view.setBigUint64(0, BigInt(allowed), true);
    rule.view.setInt32(8, fdNumber(fd), true);
    this.#add(ll.LANDLOCK_RULE_PATH_BENEATH, rule.address, "LANDLOCK_RULE_PATH_BENEATH");
  }

  /** Allows `access` (LANDLOCK_ACCESS_NET_*) for TCP port `port`, 0 to 65535; binding port 0 is any free one. */
  allowPort(port: number, access: number): void {
    const allowed = access & this.#handled.net;
    if (allowed === 0) return;
    using s = scratch();
    const rule = s.reserve(ll.NET_PORT_ATTR_SIZE);
    rule.view.setBigUint64(0, BigInt(allowed), true);
    rule.view.setBigUint64(8, BigInt(port), true);
    this.#add(ll.LANDLOCK_RULE_NET_PORT, rule.address, `LANDLOCK_RULE_NET_PORT ${port}`);
  }

  #add(type: number, rule: number, what: string): void {
    check(syscall(SYS.landlock_add_rule, this.#fd.number, type, rule, 0), "landlock_add_rule", what);
  }

  /** Confines the calling thread for good. @throws SysError EPERM without no_new_privs or CAP_SYS_ADMIN, E2BIG after 16 layers. */
  restrictSelf(): void {
    check(syscall(SYS.landlock_restrict_self, this.#fd.number, 0), "landlock_restrict_self");
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}

/** @param handled see `handledAccess`. @throws SysError EINVAL where the kernel does not know a bit, ENOSYS where `handled` is empty. */
export function createRuleset(handled: HandledAccess): Ruleset {
  if (handled.fs === 0 && handled.net === 0 && handled.scoped === 0) {
    throw new SysError({ syscall: "landlock_create_ruleset", errno: ENOSYS, hint: "nothing that Landlock could deny" });
  }
  using s = scratch();
  const attr = s.reserve(ll.RULESET_ATTR_SIZE.scoped);
  attr.view.setBigUint64(0, BigInt(handled.fs), true);
  attr.view.setBigUint64(8, BigInt(handled.net), true);
  attr.view.setBigUint64(16, BigInt(handled.scoped), true);
  // An older kernel takes the longer struct as long as what it does not know is zero.
  const fd = check(syscall(SYS.landlock_create_ruleset, attr.address, attr.size, 0), "landlock_create_ruleset");
  return new Ruleset(new Fd(fd), handled);
}
