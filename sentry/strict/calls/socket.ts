/** socket(2), socketpair(2). What kinds there are the filter knows (policies/syscalls/strict.ts). */
import { EAFNOSUPPORT, EINVAL, ESOCKTNOSUPPORT } from "../../../linux/abi/errno.ts";
import { AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_SEQPACKET, SOCK_STREAM } from "../../../linux/abi/socket.ts";
import { Fd } from "../../../linux/fd.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import type { Handler, Strict } from "../strict.ts";
import { HostSocket } from "../sockets/host.ts";
import { UnixConnection } from "../sockets/unix-connection.ts";
import { UnixDatagram } from "../sockets/unix-datagram.ts";

const FLAGS = SOCK_CLOEXEC | SOCK_NONBLOCK;
const OF_THE_HOST: readonly number[] = [AF_INET, AF_INET6, AF_NETLINK];

function makeUnix(strict: Strict, type: number, flags: number): UnixConnection | UnixDatagram | number {
  if (type === SOCK_DGRAM) return new UnixDatagram(strict, type, flags);
  return type === SOCK_STREAM || type === SOCK_SEQPACKET ? new UnixConnection(strict, type, flags) : -ESOCKTNOSUPPORT;
}

export const socket: Handler = (call, strict) => {
  const [family, type, flags] = [call.int(0), call.int(1) & ~FLAGS, call.int(1) & FLAGS];
  const closes = (flags & SOCK_CLOEXEC) !== 0;
  if (family === AF_UNIX) {
    const made = makeUnix(strict, type, flags);
    return typeof made === "number" ? made : strict.descriptors.give(call, made, closes);
  }
  if (!OF_THE_HOST.includes(family)) return -EAFNOSUPPORT;
  strict.callers.asCaller(call);
  const made = kernel.makeSocket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, call.int(2));
  return made < 0 ? made : strict.descriptors.give(call, new HostSocket(strict, new Fd(made), family, type, flags), closes);
};

export const socketpair: Handler = (call, strict) => {
  const [type, flags] = [call.int(1) & ~FLAGS, call.int(1) & FLAGS];
  if (call.int(0) !== AF_UNIX) return -EAFNOSUPPORT;
  const [one, other] = [makeUnix(strict, type, flags), makeUnix(strict, type, flags)];
  if (one instanceof UnixConnection && other instanceof UnixConnection) {
    const credentials = strict.callers.credentials(call);
    UnixConnection.join(one, other, credentials, credentials);
  } else if (one instanceof UnixDatagram && other instanceof UnixDatagram) {
    one.connectTo(other);
    other.connectTo(one);
  } else return -EINVAL;
  return strict.descriptors.giveTwo(call, one, other, (flags & SOCK_CLOEXEC) !== 0, call.arg(3));
};
