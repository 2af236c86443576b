/** An image's user. Source: OCI image-spec config.md, "User": user, uid, user:group, uid:gid, uid:group, user:gid. */
import * as fcntl from "../../../linux/abi/fcntl.ts";
import { Fd } from "../../../linux/fd.ts";
import { readAll, statAt, tryOpenAt } from "../../../linux/file.ts";
import type { UserIds } from "../../../linux/credentials.ts";
import { ArchiveError } from "./tree.ts";

/** @param root the root file system. @throws ArchiveError where it does not know a name. */
export function resolveUser(user: string, root: Fd): UserIds {
  const [name = "", group] = user.split(":");
  const account = lines(root, "etc/passwd").find((fields) => fields[0] === name || fields[2] === name);
  const uid = account === undefined ? number(name, "user") : Number(account[2]);
  if (group !== undefined) return { uid, gid: resolveGroup(group, root) };
  return { uid, gid: account === undefined ? 0 : Number(account[3]) };
}

function resolveGroup(name: string, root: Fd): number {
  const entry = lines(root, "etc/group").find((fields) => fields[0] === name);
  return entry === undefined ? number(name, "group") : Number(entry[2]);
}

function number(text: string, what: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new ArchiveError(`the image's ${what} ${JSON.stringify(text)} is not in its /etc/${what === "user" ? "passwd" : "group"}`);
}

function lines(root: Fd, path: string): string[][] {
  const opened = tryOpenAt(root, path, fcntl.O_RDONLY | fcntl.O_NONBLOCK, { resolve: fcntl.RESOLVE_IN_ROOT });
  if (opened < 0) return [];
  using file = new Fd(opened);
  if ((statAt(file).mode & fcntl.S_IFMT) !== fcntl.S_IFREG) return [];
  return Buffer.from(readAll(file)).toString().split("\n").map((line) => line.split(":"));
}
