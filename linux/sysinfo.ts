/** Size of the machine's memory. Source: sysinfo(2). */
import { SYS } from "./arch.ts";
import { check } from "./errors.ts";
import { scratch } from "./memory.unsafe.ts";
import { syscall } from "./syscall.unsafe.ts";

/** struct sysinfo on 64-bit machines. */
export const SYSINFO = {
  size: 112, uptime: 0, loads: 8, totalram: 32, freeram: 40, sharedram: 48, bufferram: 56, totalswap: 64, freeswap: 72, procs: 80,
  totalhigh: 88, freehigh: 96, memUnit: 104,
} as const;

/** Bytes. */
export function hostMemory(): number {
  using s = scratch();
  const info = s.reserve(SYSINFO.size);
  check(syscall(SYS.sysinfo, info.address), "sysinfo");
  return Number(info.view.getBigUint64(SYSINFO.totalram, true)) * info.view.getUint32(SYSINFO.memUnit, true);
}
