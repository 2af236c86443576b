/** Tap devices: a network interface of the host whose other end is a descriptor. Source: Linux Documentation/networking/tuntap.rst, if_tun.h. */
import { O_NONBLOCK, O_RDWR } from "./abi/fcntl.ts";
import type { Fd, FdLike } from "./fd.ts";
import { ioctl, open } from "./file.ts";
import { scratch } from "./memory.unsafe.ts";

const TUNSETIFF = 0x400454ca;
export const TUNSETOFFLOAD = 0x400454d0;
const TUNSETVNETHDRSZ = 0x400454d8;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const IFREQ_SIZE = 40;
const NAME_SIZE = 16;

/** What the other side of the tap can take without its being computed or cut before: TUN_F_*. */
export const TUN_F_CSUM = 1;
export const TUN_F_TSO4 = 2;
export const TUN_F_TSO6 = 4;

/**
 * Opens the tap `name`, of the calling thread's network namespace; makes it where there is none and CAP_NET_ADMIN allows that. Non-blocking;
 * every packet begins with a header of `headerSize` bytes as virtio-net's (12).
 * @throws SysError EBUSY where somebody has it open, EPERM, ENOENT without /dev/net/tun.
 */
export function openTap(name: string, headerSize = 12): Fd {
  if (name.length >= NAME_SIZE) throw new RangeError(`an interface name of ${name.length} characters`);
  const fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  using s = scratch();
  const request = s.reserve(IFREQ_SIZE);
  request.bytes.set(Buffer.from(name));
  request.view.setUint16(NAME_SIZE, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, true);
  ioctl(fd, TUNSETIFF, request.address, `TUNSETIFF ${name}`);
  const size = s.reserve(4);
  size.view.setInt32(0, headerSize, true);
  ioctl(fd, TUNSETVNETHDRSZ, size.address, "TUNSETVNETHDRSZ");
  return fd;
}

/** @param features TUN_F_* bits. */
export function setTapOffload(fd: FdLike, features: number): void {
  ioctl(fd, TUNSETOFFLOAD, features, "TUNSETOFFLOAD");
}
