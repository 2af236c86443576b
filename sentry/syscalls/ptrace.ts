/** ptrace(2), of which only PTRACE_TRACEME comes here: the rest is native or refused by the filter (policies/syscalls). */
import { EPERM } from "../../linux/abi/errno.ts";
import type { Kernel } from "../kernel.ts";
import { CONTINUE, type Call } from "../platform/platform.ts";

/** Makes the caller's parent its tracer. That of a process which the runtime has put into the sandbox is an engine's on the host. */
export function ptrace(call: Call, { tasks }: Kernel): number {
  return tasks.parentOf(call.pid) === 0 ? -EPERM : CONTINUE;
}
