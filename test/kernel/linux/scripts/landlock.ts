import { join } from "node:path";
import {
  LANDLOCK_ACCESS_FS_EXECUTE, LANDLOCK_ACCESS_FS_READ_DIR, LANDLOCK_ACCESS_FS_READ_FILE, LANDLOCK_ACCESS_FS_WRITE_FILE,
  LANDLOCK_ACCESS_NET_BIND_TCP,
} from "../../../../linux/abi/landlock.ts";
import { O_CREAT, O_DIRECTORY, O_PATH, O_RDONLY, O_TRUNC, O_WRONLY } from "../../../../linux/abi/fcntl.ts";
import { SIGNALS } from "../../../../linux/abi/signal.ts";
import { SYS } from "../../../../linux/arch.ts";
import { errnoName } from "../../../../linux/errors.ts";
import { makeDirectoryAt, open, writeAll } from "../../../../linux/file.ts";
import { AT_FDCWD } from "../../../../linux/fd.ts";
import { ALL_FS_ACCESS, createRuleset, FILE_ACCESS, handledAccess, landlockVersion, READ_ONLY } from "../../../../linux/landlock.ts";
import { scratch } from "../../../../linux/memory.unsafe.ts";
import { setNoNewPrivileges } from "../../../../linux/prctl.ts";
import { getParentPid, getPid, kill } from "../../../../linux/process.ts";
import { setUserId } from "../../../../linux/credentials.ts";
import { syscall } from "../../../../linux/syscall.unsafe.ts";
import { defineCases, refusal } from "../../../support/forked.ts";

/** Binds a TCP socket to a port of the loopback address. */
function bind(port: number): string {
  using s = scratch();
  const socket = syscall(SYS.socket, 2, 1, 0);
  const address = s.reserve(16);
  address.view.setUint16(0, 2, true);
  address.view.setUint16(2, port);
  address.view.setUint32(4, 0x7f000001);
  const result = syscall(SYS.bind, socket, address.address, 16);
  syscall(SYS.close, socket);
  return result === 0 ? "ok" : errnoName(-result);
}

const write = (path: string, flags = 0) => refusal(() => writeAll(open(path, O_WRONLY | flags, { mode: flags & O_CREAT ? 0o600 : 0 }), "x"));
const readFile = (path: string) => refusal(() => open(path, O_RDONLY));

defineCases({
  "version": () => ({ version: landlockVersion(), handled: handledAccess(landlockVersion()) }),
  "files": (dir = "") => {
    for (const name of ["in", "out"]) {
      makeDirectoryAt(AT_FDCWD, join(dir, name), 0o700);
      writeAll(open(join(dir, name, "file"), O_WRONLY | O_CREAT, { mode: 0o600 }), "text");
    }
    using inside = open(join(dir, "in"), O_PATH | O_DIRECTORY);
    using all = open(dir, O_PATH | O_DIRECTORY);
    using single = open(join(dir, "out", "file"), O_PATH);
    using ruleset = createRuleset(handledAccess(landlockVersion()));
    ruleset.allowBeneath(inside, ALL_FS_ACCESS);
    ruleset.allowBeneath(all, READ_ONLY);
    const dirRightsOnFile = refusal(() => ruleset.allowBeneath(single, LANDLOCK_ACCESS_FS_READ_DIR));
    ruleset.allowBeneath(single, FILE_ACCESS & ~LANDLOCK_ACCESS_FS_WRITE_FILE);
    setNoNewPrivileges();
    ruleset.restrictSelf();
    return {
      dirRightsOnFile,
      inside: [write(join(dir, "in", "file")), write(join(dir, "in", "new"), O_CREAT), refusal(() => makeDirectoryAt(AT_FDCWD, join(dir, "in", "d"), 0o700))],
      outside: [write(join(dir, "out", "file")), write(join(dir, "out", "file"), O_TRUNC), write(join(dir, "out", "new"), O_CREAT), refusal(() => makeDirectoryAt(AT_FDCWD, join(dir, "out", "d"), 0o700))],
      read: [readFile(join(dir, "out", "file")), readFile("/etc/passwd")],
    };
  },
  "best effort": (dir = "") => {
    // As on ABI 1: truncation is no right of its own there, and rules that name later rights still work.
    using all = open(dir, O_PATH | O_DIRECTORY);
    using ruleset = createRuleset(handledAccess(1));
    ruleset.allowBeneath(all, ALL_FS_ACCESS);
    ruleset.allowPort(1, LANDLOCK_ACCESS_NET_BIND_TCP);
    setNoNewPrivileges();
    ruleset.restrictSelf();
    return { inside: write(join(dir, "best"), O_CREAT), outside: readFile("/etc/passwd"), bind: bind(0) };
  },
  "ports": () => {
    using ruleset = createRuleset({ ...handledAccess(landlockVersion()), fs: 0, scoped: 0 });
    ruleset.allowPort(0, LANDLOCK_ACCESS_NET_BIND_TCP);
    setNoNewPrivileges();
    const before = bind(47391);
    ruleset.restrictSelf();
    return { before, any: bind(0), other: bind(47391) };
  },
  "scope": () => {
    using ruleset = createRuleset({ ...handledAccess(landlockVersion()), fs: 0, net: 0 });
    const before = refusal(() => kill(getParentPid(), 0));
    setNoNewPrivileges();
    ruleset.restrictSelf();
    return { before, parent: refusal(() => kill(getParentPid(), 0)), self: refusal(() => kill(getPid(), SIGNALS.SIGCONT)) };
  },
  "refusals": () => {
    using ruleset = createRuleset({ fs: LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_EXECUTE, net: 0, scoped: 0 });
    setUserId(65534);
    return {
      withoutNoNewPrivileges: refusal(() => ruleset.restrictSelf()),
      unknownBit: refusal(() => createRuleset({ fs: 2 ** 40, net: 0, scoped: 0 })),
      empty: refusal(() => createRuleset(handledAccess(0))),
    };
  },
});
