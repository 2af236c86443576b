/** Sockets between a virtual machine and its host. Source: vsock(7). */
import { SYS } from "./arch.ts";
import { check } from "./errors.ts";
import { Fd } from "./fd.ts";
import { scratch } from "./memory.unsafe.ts";
import { syscall } from "./syscall.unsafe.ts";

const AF_VSOCK = 40;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const VMADDR_CID_ANY = 0xffff_ffff;
/** struct sockaddr_vm: family, reserved, port, cid, zeros. */
const ADDRESS_SIZE = 16;
const BACKLOG = 64;

/** A listening stream socket at `port` of every address of ours; `acceptUnix` takes its connections. @throws SysError */
export function listenVsock(port: number): Fd {
  const fd = new Fd(check(syscall(SYS.socket, AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket", "AF_VSOCK"));
  using s = scratch();
  const address = s.reserve(ADDRESS_SIZE);
  address.bytes.fill(0);
  address.view.setUint16(0, AF_VSOCK, true);
  address.view.setUint32(4, port, true);
  address.view.setUint32(8, VMADDR_CID_ANY, true);
  check(syscall(SYS.bind, fd.number, address.address, ADDRESS_SIZE), "bind", `port ${port}`);
  check(syscall(SYS.listen, fd.number, BACKLOG), "listen", `port ${port}`);
  return fd;
}
