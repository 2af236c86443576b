/**
 * What unix sockets are bound to (unix(7)): a name of the guest's file systems, where a socket's inode stands for it, or an abstract one, of this
 * sandbox's. Sockets of the host that were lent with a directory are inodes that nobody here is bound to: ECONNREFUSED.
 */
import { EACCES, EADDRINUSE, ECONNREFUSED, EEXIST, EINVAL, EPROTOTYPE } from "../../../linux/abi/errno.ts";
import { AT_EMPTY_PATH, O_NOFOLLOW, O_PATH, S_IFMT } from "../../../linux/abi/fcntl.ts";
import { AF_UNIX } from "../../../linux/abi/socket.ts";
import { Fd } from "../../../linux/fd.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import { small } from "../memory.ts";
import { name } from "../paths.ts";
import type { Strict } from "../strict.ts";
import type { Trapped } from "../trapped.ts";
import type { Socket } from "./socket.ts";

const FAMILY_SIZE = 2;
/** struct sockaddr_un. */
const LONGEST = 110;
const S_IFSOCK = 0o140000;
const W_OK = 2;
const AT_EACCESS = 0x200;

/** What a socket without a name is told to be bound to. */
export const UNNAMED = Uint8Array.of(AF_UNIX, 0);

interface Bound {
  readonly socket: Socket;
  /** Keeps its inode, and so the inode's number, from being somebody else's. */
  readonly inode: Fd;
}

const abstract = new Map<string, Socket>();
const files = new Map<string, Bound>();

const keyOf = (address: Uint8Array): string => Buffer.from(address).toString("latin1");

/** The kernel's struct stat is in `small`. */
const inodeInStat = (): string => `${small.view.getBigUint64(0, true)}:${small.view.getBigUint64(8, true)}`;

function pathIn(address: Uint8Array): Uint8Array {
  const end = address.indexOf(0, FAMILY_SIZE);
  return address.subarray(FAMILY_SIZE, end < 0 ? undefined : end);
}

/** @returns the negative errno where it is no address of a unix socket's. */
export function checkUnixAddress(address: Uint8Array): number {
  const isUnix = address.length >= FAMILY_SIZE && address.length <= LONGEST && (address[0] ?? 0) + (address[1] ?? 0) * 256 === AF_UNIX;
  return isUnix ? 0 : -EINVAL;
}

/** Preconditions: the socket is not bound. @returns the name that it has now, or the negative errno. */
export function bindUnix(call: Trapped, strict: Strict, socket: Socket, address: Uint8Array): Uint8Array | number {
  const checked = checkUnixAddress(address);
  if (checked < 0) return checked;
  if (address.length === FAMILY_SIZE) return bindAbstract(socket, freeName());
  return address[FAMILY_SIZE] === 0 ? bindAbstract(socket, address) : bindFile(call, strict, socket, pathIn(address));
}

function bindAbstract(socket: Socket, address: Uint8Array): Uint8Array | number {
  const key = keyOf(address);
  if (abstract.has(key)) return -EADDRINUSE;
  abstract.set(key, socket);
  return address;
}

/** Five hexadecimal digits. Source: unix(7), "Autobind feature". */
function freeName(): Uint8Array {
  for (let number = 0; ; number++) {
    const address = Buffer.concat([UNNAMED, Buffer.from(`\0${number.toString(16).padStart(5, "0")}`)]);
    if (!abstract.has(keyOf(address))) return address;
  }
}

function bindFile(call: Trapped, strict: Strict, socket: Socket, path: Uint8Array): Uint8Array | number {
  const taken = name.take(call, strict, path);
  if (taken < 0) return taken;
  kernel.setMask(strict.surroundings.mask(call.pid));
  strict.callers.asCaller(call);
  const made = kernel.makeNode(name.dir, name.path, S_IFSOCK | 0o777);
  if (made < 0) return made === -EEXIST ? -EADDRINUSE : made;
  const opened = kernel.open(name.dir, name.path, O_PATH | O_NOFOLLOW, 0, 0);
  if (opened < 0) return opened;
  const inode = new Fd(opened);
  kernel.stat(opened, kernel.EMPTY_PATH, small.address, AT_EMPTY_PATH);
  files.set(inodeInStat(), { socket, inode });
  return Buffer.concat([UNNAMED, path, Uint8Array.of(0)]);
}

/** The socket is no more. */
export function unbindUnix(socket: Socket, address: Uint8Array): void {
  if (abstract.get(keyOf(address)) === socket) abstract.delete(keyOf(address));
  for (const [key, bound] of files) {
    if (bound.socket !== socket) continue;
    files.delete(key);
    bound.inode.close();
  }
}

/** The socket that an address leads to. */
export function findUnix(call: Trapped, strict: Strict, address: Uint8Array, type: number): Socket | number {
  const checked = checkUnixAddress(address);
  if (checked < 0 || address.length === FAMILY_SIZE) return -EINVAL;
  const found = address[FAMILY_SIZE] === 0 ? abstract.get(keyOf(address)) : findFile(call, strict, pathIn(address));
  if (typeof found === "number") return found;
  if (found === undefined) return -ECONNREFUSED;
  return found.type === type ? found : -EPROTOTYPE;
}

/** Who may write to the inode may connect. */
function findFile(call: Trapped, strict: Strict, path: Uint8Array): Socket | number | undefined {
  const taken = name.take(call, strict, path);
  if (taken < 0) return taken;
  strict.callers.asCaller(call);
  const result = kernel.stat(name.dir, name.path, small.address, 0);
  if (result < 0) return result;
  const MODE = 24;
  const bound = (small.view.getUint32(MODE, true) & S_IFMT) === S_IFSOCK ? files.get(inodeInStat())?.socket : undefined;
  return kernel.access(name.dir, name.path, W_OK, AT_EACCESS) < 0 ? -EACCES : bound;
}
