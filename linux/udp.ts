/** UDP sockets. They belong to the network namespace in which they were made. Sources: udp(7), ip(7), ipv6(7). */
import { SYS } from "./arch.ts";
import { EAGAIN, ECONNREFUSED } from "./abi/errno.ts";
import { check } from "./errors.ts";
import { Fd } from "./fd.ts";
import { scratch, type Scratch } from "./memory.unsafe.ts";
import { ipFamily, parseIp } from "./netlink/ip.ts";
import { retrying, syscall } from "./syscall.unsafe.ts";

const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const MSG_NOSIGNAL = 0x4000;
/** struct sockaddr_in6, the larger one. */
const ADDRESS_SIZE = 28;
const LARGEST = 65_535;

/** The other end, as the kernel has it: a sockaddr. */
export type Peer = Uint8Array;

export interface Datagram {
  readonly data: Uint8Array;
  readonly from: Peer;
}

function sockaddr(s: Scratch, ip: Uint8Array, port: number): { readonly address: number; readonly size: number } {
  const block = s.reserve(ADDRESS_SIZE);
  block.bytes.fill(0, 0, ADDRESS_SIZE);
  block.view.setUint16(0, ipFamily(ip), true);
  block.view.setUint16(2, port, false);
  block.bytes.set(ip, ip.length === 4 ? 4 : 8);
  return { address: block.address, size: ip.length === 4 ? 16 : ADDRESS_SIZE };
}

function openUdp(ip: string): Fd {
  return new Fd(check(syscall(SYS.socket, ipFamily(parseIp(ip)), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket", ip));
}

/** @param port 0 for one that is free. @throws SysError EAFNOSUPPORT, EADDRNOTAVAIL where there is no such protocol or address here */
export function bindUdp(ip: string, port: number): Fd {
  const fd = openUdp(ip);
  using s = scratch();
  const { address, size } = sockaddr(s, parseIp(ip), port);
  const result = syscall(SYS.bind, fd.number, address, size);
  if (result < 0) fd.close();
  check(result, "bind", `${ip}:${port}`);
  return fd;
}

/** It hears of nobody else. @throws SysError ENETUNREACH */
export function connectUdp(ip: string, port: number): Fd {
  const fd = openUdp(ip);
  using s = scratch();
  const { address, size } = sockaddr(s, parseIp(ip), port);
  const result = syscall(SYS.connect, fd.number, address, size);
  if (result < 0) fd.close();
  check(result, "connect", `${ip}:${port}`);
  return fd;
}

export function localPort(fd: Fd): number {
  using s = scratch();
  const block = s.reserve(ADDRESS_SIZE + 4);
  block.view.setUint32(ADDRESS_SIZE, ADDRESS_SIZE, true);
  check(syscall(SYS.getsockname, fd.number, block.address, block.address + ADDRESS_SIZE), "getsockname");
  return block.view.getUint16(2, false);
}

/** @returns undefined where there is none at the moment, or only the news that nobody listens at the other end. */
export function receiveUdp(fd: Fd): Datagram | undefined {
  using s = scratch();
  const buffer = s.reserve(LARGEST);
  const from = s.reserve(ADDRESS_SIZE + 4);
  from.view.setUint32(ADDRESS_SIZE, ADDRESS_SIZE, true);
  const length = retrying(SYS.recvfrom, fd.number, buffer.address, LARGEST, 0, from.address, from.address + ADDRESS_SIZE);
  if (length === -EAGAIN || length === -ECONNREFUSED) return undefined;
  check(length, "recvfrom");
  return { data: buffer.bytes.slice(0, length), from: from.bytes.slice(0, from.view.getUint32(ADDRESS_SIZE, true)) };
}

/** @param to left out: the one that the socket is connected to. What cannot be sent is lost, as datagrams may be. */
export function sendUdp(fd: Fd, data: Uint8Array, to?: Peer): void {
  using s = scratch();
  const address = to === undefined ? 0 : s.copy(to);
  retrying(SYS.sendto, fd.number, s.copy(data), data.length, MSG_NOSIGNAL, address, to?.length ?? 0);
}
