/** From a trapped call's number to its handler. */
import { ENOSYS } from "../linux/abi/errno.ts";
import { trappedNumbers } from "../policies/syscalls/numbers.ts";
import { trappedSyscalls, type StrictlyTrapped, type TrappedSyscall } from "../policies/syscalls/trapped.ts";
import type { Kernel } from "./kernel.ts";
import type { Call, Handle } from "./platform/platform.ts";
import { ptrace } from "./syscalls/ptrace.ts";
import { sync } from "./syscalls/sync.ts";
import { sysinfo } from "./syscalls/sysinfo.ts";
import { uname } from "./syscalls/uname.ts";
import type { Meter } from "./watchdog.ts";

type Handler = (call: Call, kernel: Kernel) => number;

const HANDLERS: Readonly<Record<TrappedSyscall, Handler>> = { ptrace, sync, sysinfo, uname };

/** @param more handlers by name, besides and instead of those that every policy has. */
export function dispatcher(kernel: Kernel, meter: Meter, more: Readonly<Partial<Record<StrictlyTrapped, (call: Call) => number>>> = {}): Handle {
  const table: (Handler | undefined)[] = [];
  for (const name of trappedSyscalls) table[trappedNumbers[name]] = HANDLERS[name];
  for (const [name, handler] of Object.entries(more)) table[trappedNumbers[name as StrictlyTrapped]] = handler;
  return (call) => {
    meter.begin(call.nr, call.pid);
    const result = table[call.nr]?.(call, kernel) ?? -ENOSYS;
    meter.end();
    return result;
  };
}
