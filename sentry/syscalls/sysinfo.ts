/** sysinfo(2). */
import { permanentBlock } from "../../linux/memory.unsafe.ts";
import { SYSINFO } from "../../linux/sysinfo.ts";
import type { Kernel } from "../kernel.ts";
import { copyOut } from "../memory.ts";
import type { Call } from "../platform/platform.ts";

const block = permanentBlock(SYSINFO.size);
const MAX_TASKS = 0xffff;

/** Loads, swap and buffers are zero: what the host has of them is nobody's business. */
export function sysinfo(call: Call, { machine }: Kernel): number {
  const { bytes, view } = block;
  bytes.fill(0);
  view.setBigInt64(SYSINFO.uptime, BigInt(Math.ceil(machine.uptime)), true);
  view.setBigUint64(SYSINFO.totalram, BigInt(machine.memoryTotal), true);
  view.setBigUint64(SYSINFO.freeram, BigInt(machine.memoryFree), true);
  view.setUint16(SYSINFO.procs, Math.min(machine.tasks, MAX_TASKS), true);
  view.setUint32(SYSINFO.memUnit, 1, true);
  return copyOut(call, call.arg(0), block, SYSINFO.size);
}
