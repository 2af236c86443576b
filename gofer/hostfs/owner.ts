/** The two kinds of ownership at work. Source for `kept`: chown(2). */
import { EINVAL, ENODATA, ENOTTY, EOPNOTSUPP, EPERM } from "../../linux/abi/errno.ts";
import { S_IFDIR, S_IFMT, S_IFREG } from "../../linux/abi/fcntl.ts";
import { tryChangeMode, tryChangeOwner } from "../../linux/at.ts";
import { CString, putCString } from "../../linux/c-string.ts";
import { assertNever } from "../../linux/errors.ts";
import type { FdLink } from "../../linux/fd-link.ts";
import { permanentBlock } from "../../linux/memory.unsafe.ts";
import type { StatBuffer } from "../../linux/stat-buffer.ts";
import { tryGetXattr, trySetXattr } from "../../linux/xattr-path.ts";
import type { Attributes } from "../fuse/file-system.ts";
import { toContainer, toHost, type Ownership } from "./ownership.ts";

/** Leaves an id as it is. */
export const SAME = -1;
const SET_ID_BITS = 0o6000;

export interface Owner {
  /** Puts owner and set-id bits of the file at `fd`, of which `stat` tells, into `out`. */
  tell(fd: number, stat: StatBuffer, out: Attributes): void;
  /** @param uid, gid of the container, or SAME. @returns 0 or the negative errno. */
  change(fd: number, stat: StatBuffer, uid: number, gid: number): number;
  /** @param mode permission bits and set-id bits. */
  changeMode(fd: number, stat: StatBuffer, mode: number): number;
}

export function ownerOf(ownership: Ownership, link: FdLink): Owner {
  switch (ownership.kind) {
    case "kept":
      return new KeptOwner(ownership, link);
    case "recorded":
      return new RecordedOwner(link);
    default:
      return assertNever(ownership);
  }
}

class KeptOwner implements Owner {
  readonly #ranges: Extract<Ownership, { kind: "kept" }>;
  readonly #link: FdLink;

  constructor(ranges: Extract<Ownership, { kind: "kept" }>, link: FdLink) {
    this.#ranges = ranges;
    this.#link = link;
  }

  tell(_fd: number, stat: StatBuffer, out: Attributes): void {
    out.uid = toContainer(this.#ranges.uids, stat.uid);
    out.gid = toContainer(this.#ranges.gids, stat.gid);
    out.mode = stat.mode;
  }

  change(fd: number, _stat: StatBuffer, uid: number, gid: number): number {
    const hostUid = uid === SAME ? SAME : toHost(this.#ranges.uids, uid);
    const hostGid = gid === SAME ? SAME : toHost(this.#ranges.gids, gid);
    if (hostUid === -EINVAL || hostGid === -EINVAL) return -EINVAL;
    return tryChangeOwner(fd, hostUid, hostGid);
  }

  changeMode(fd: number, _stat: StatBuffer, mode: number): number {
    return tryChangeMode(this.#link.of(fd), mode);
  }
}

/** uid, gid, set-id bits, each 32 bits, little-endian. */
const RECORD_SIZE = 12;

/**
 * The attribute `user.tssandbox.owner`. Without it a file is root's. Only regular files and directories can have one (xattr(7)): links,
 * FIFOs and sockets are always root's. Set-id bits go there too: on the host they would hand out the rights of whoever runs the gofer.
 */
class RecordedOwner implements Owner {
  readonly #link: FdLink;
  readonly #record = permanentBlock(RECORD_SIZE);
  readonly #nameBlock = permanentBlock(32);
  readonly #name = new CString(this.#nameBlock);

  constructor(link: FdLink) {
    this.#link = link;
    putCString(this.#nameBlock, OWNER_ATTRIBUTE);
    this.#name.point(this.#nameBlock, 0, this.#nameBlock.size);
  }

  #read(fd: number, stat: StatBuffer): void {
    const { view } = this.#record;
    const type = stat.mode & S_IFMT;
    const hasRecord = type === S_IFREG || type === S_IFDIR;
    const length = hasRecord ? tryGetXattr(this.#link.of(fd), this.#name, this.#record, 0, RECORD_SIZE) : -ENODATA;
    if (length === RECORD_SIZE) return;
    for (let at = 0; at < RECORD_SIZE; at += 4) view.setUint32(at, 0, true);
  }

  #write(fd: number, stat: StatBuffer): number {
    const type = stat.mode & S_IFMT;
    const result = trySetXattr(this.#link.of(fd), this.#name, this.#record, 0, RECORD_SIZE, 0);
    const cannot = result === -EPERM || result === -EOPNOTSUPP || result === -ENOTTY;
    return cannot && type !== S_IFREG && type !== S_IFDIR ? 0 : result;
  }

  tell(fd: number, stat: StatBuffer, out: Attributes): void {
    this.#read(fd, stat);
    const { view } = this.#record;
    out.uid = view.getUint32(0, true);
    out.gid = view.getUint32(4, true);
    out.mode = (stat.mode & ~SET_ID_BITS) | (view.getUint32(8, true) & SET_ID_BITS);
  }

  change(fd: number, stat: StatBuffer, uid: number, gid: number): number {
    this.#read(fd, stat);
    const { view } = this.#record;
    if (uid !== SAME) view.setUint32(0, uid, true);
    if (gid !== SAME) view.setUint32(4, gid, true);
    const type = stat.mode & S_IFMT;
    if (type === S_IFREG) view.setUint32(8, 0, true);
    return this.#write(fd, stat);
  }

  changeMode(fd: number, stat: StatBuffer, mode: number): number {
    const result = tryChangeMode(this.#link.of(fd), mode & ~SET_ID_BITS);
    if (result < 0) return result;
    this.#read(fd, stat);
    const { view } = this.#record;
    if (view.getUint32(8, true) === (mode & SET_ID_BITS)) return 0;
    view.setUint32(8, mode & SET_ID_BITS, true);
    return this.#write(fd, stat);
  }
}

/** Ours: the guest neither sees nor sets it. */
export const OWNER_ATTRIBUTE = "user.tssandbox.owner";
