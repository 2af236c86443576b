/** Sockets that the guest was born with, as its standard streams often are. */
import { O_NONBLOCK } from "../../../../linux/abi/fcntl.ts";
import { AF_UNIX, SOCK_STREAM, SOL_SOCKET } from "../../../../linux/abi/socket.ts";
import type { Fd } from "../../../../linux/fd.ts";
import { permanentBlock } from "../../../../linux/memory.unsafe.ts";
import * as kernel from "../../../../linux/on-behalf.ts";
import type { Strict } from "../../strict.ts";
import { HostSocket } from "./host.ts";

const SO_TYPE = 3;
const SO_DOMAIN = 39;
const value = permanentBlock(16);

function ask(fd: Fd, option: number, otherwise: number): number {
  value.view.setUint32(8, 4, true);
  const result = kernel.getOption(fd.number, SOL_SOCKET, option, value.address, value.address + 8);
  return result < 0 ? otherwise : value.view.getInt32(0, true);
}

/** @param flags of the open file. */
export function adoptSocket(strict: Strict, fd: Fd, flags: number): HostSocket {
  return new HostSocket(strict, fd, ask(fd, SO_DOMAIN, AF_UNIX), ask(fd, SO_TYPE, SOCK_STREAM), flags & O_NONBLOCK, true);
}
