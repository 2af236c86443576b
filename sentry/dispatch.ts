/** From a trapped call's number to its handler. */
import { syscallNumber } from "seccomp-bpf-ts";
import { ENOSYS } from "../linux/abi/errno.ts";
import { trappedSyscalls, type TrappedSyscall } from "../policies/syscalls/trapped.ts";
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
export function dispatcher(kernel: Kernel, meter: Meter, more: Readonly<Record<string, (call: Call) => number>> = {}): Handle {
  const table: (Handler | undefined)[] = [];
  for (const name of trappedSyscalls) table[syscallNumber("x86_64", name) ?? -1] = HANDLERS[name];
  for (const [name, handler] of Object.entries(more)) table[syscallNumber("x86_64", name) ?? -1] = handler;
  return (call) => {
    meter.begin(call.nr, call.pid);
    const result = table[call.nr]?.(call, kernel) ?? -ENOSYS;
    meter.end();
    return result;
  };
}
