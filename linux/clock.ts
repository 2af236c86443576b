/** The system's clock and its random numbers, as root sets them. Sources: clock_settime(2), random(4). */
import { SYS } from "./arch.ts";
import { O_WRONLY } from "./abi/fcntl.ts";
import { check } from "./errors.ts";
import { ioctl, open } from "./file.ts";
import { scratch } from "./memory.unsafe.ts";
import { syscall } from "./syscall.unsafe.ts";

const CLOCK_REALTIME = 0;
const RNDADDENTROPY = 0x4008_5203;
const RNDRESEEDCRNG = 0x5207;

/** @param milliseconds since 1970. @throws SysError EPERM without CAP_SYS_TIME */
export function setClock(milliseconds: number): void {
  using s = scratch();
  const time = s.reserve(16);
  time.view.setBigInt64(0, BigInt(Math.floor(milliseconds / 1000)), true);
  time.view.setBigInt64(8, BigInt(Math.floor((milliseconds % 1000) * 1e6)), true);
  check(syscall(SYS.clock_settime, CLOCK_REALTIME, time.address), "clock_settime");
}

/** Mixes `seed` into the kernel's random numbers, which are made anew from it. @throws SysError EPERM without CAP_SYS_ADMIN */
export function addEntropy(seed: Uint8Array): void {
  using s = scratch();
  const info = s.reserve(8 + seed.length);
  info.view.setInt32(0, seed.length * 8, true);
  info.view.setInt32(4, seed.length, true);
  info.bytes.set(seed, 8);
  using device = open("/dev/urandom", O_WRONLY);
  ioctl(device, RNDADDENTROPY, info.address, "RNDADDENTROPY");
  ioctl(device, RNDRESEEDCRNG, 0, "RNDRESEEDCRNG");
}
