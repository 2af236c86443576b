/** Guest memory: read once, checked, and then only the copy is used (principle 5 of the architecture). */
import { EFAULT, ESRCH } from "../linux/abi/errno.ts";
import type { Block } from "../linux/memory.unsafe.ts";
import { readProcess, writeProcess } from "../linux/process-vm.ts";
import type { Call } from "./platform/platform.ts";

/**
 * Copies `size` bytes at `address` of the caller's to the start of `block`, and makes sure that they were the caller's.
 * @returns 0, -EFAULT where not all of them are readable, -ESRCH where the caller is gone.
 */
export function copyIn(call: Call, address: number, block: Block, size: number): number {
  if (readProcess(call.pid, address, block, size) !== size) return -EFAULT;
  return call.isWaiting() ? 0 : -ESRCH;
}

/** The other way. The check comes first: nobody else's memory may be written to. @returns as `copyIn`. */
export function copyOut(call: Call, address: number, block: Block, size: number): number {
  if (!call.isWaiting()) return -ESRCH;
  return writeProcess(call.pid, address, block, size) === size ? 0 : -EFAULT;
}
