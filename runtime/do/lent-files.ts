/** In sentry mode: the sandbox's root and what the caller lends to it, by way of a gofer. */
import * as fcntl from "../../linux/abi/fcntl.ts";
import { open, statAt } from "../../linux/file.ts";
import type { Loan as GoferLoan } from "../../gofer/export.ts";
import { guestFiles, type GuestFiles } from "../sandbox/files.ts";
import type { Mount } from "../spec/config.ts";
import type { Loan } from "./lend.ts";
import type { SandboxRoot } from "./root.ts";

/** @throws SysError */
export function lentFiles({ lower, identity }: SandboxRoot, loans: readonly (readonly [Mount, Loan])[]): GuestFiles {
  const root = open(lower.path, fcntl.O_PATH | fcntl.O_DIRECTORY);
  const lent = new Map<string, GoferLoan>([["root", { root, readOnly: true, cache: "exclusive", ownership: lower.ownership, submounts: true, xattrs: false }]]);
  const volumes = new Map<Mount, { name: string; type: number }>();
  for (const [i, [mount, loan]] of loans.entries()) {
    const name = `volume ${i}`;
    const source = open(loan.source, fcntl.O_PATH);
    const { mode, uid, gid } = statAt(source);
    volumes.set(mount, { name, type: mode & fcntl.S_IFMT });
    // The owner's files are the sandbox's user's, as they are the caller's outside; everybody else's belong to nobody.
    const ownership = { kind: "kept", uids: [{ container: identity.user.uid, host: uid, size: 1 }], gids: [{ container: identity.user.gid, host: gid, size: 1 }] } as const;
    lent.set(name, { root: source, readOnly: !loan.writable, cache: "shared", ownership, submounts: true });
  }
  return guestFiles(lent, volumes, { rootWrites: "memory", rootSize: undefined, sysfs: true });
}
