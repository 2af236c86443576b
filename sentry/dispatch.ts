/** From a trapped call's number to its handler. */
import { ENOSYS } from "../linux/abi/errno.ts";
import { SYS } from "../linux/arch.ts";
import type { Kernel } from "./kernel.ts";
import type { Call, Handle } from "./platform/platform.ts";
import { sysinfo } from "./syscalls/sysinfo.ts";
import { setName, uname } from "./syscalls/uname.ts";

export type Handler = (call: Call, kernel: Kernel) => number;

const HANDLERS = { uname, sysinfo, sethostname: setName, setdomainname: setName } satisfies Partial<Record<keyof typeof SYS, Handler>>;

export function dispatcher(kernel: Kernel): Handle {
  const table: (Handler | undefined)[] = [];
  for (const [name, handler] of Object.entries(HANDLERS)) table[SYS[name as keyof typeof HANDLERS]] = handler;
  return (call) => table[call.nr]?.(call, kernel) ?? -ENOSYS;
}
