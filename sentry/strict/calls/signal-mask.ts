/** Signal masks that calls bring along for the time of a wait. */
import { copyIn, small } from "../memory.ts";
import type { Strict } from "../strict.ts";
import type { Trapped } from "../trapped.ts";

/** SIGKILL and SIGSTOP. Source: Linux include/linux/signal.h, sigdelsetmask. */
const NEVER_BLOCKED = (1n << 8n) | (1n << 18n);

/** Whether that mask is what the caller has anyhow. @returns 1, 0 or the negative errno. */
export function isOwnMask(call: Trapped, strict: Strict, address: number): number {
  const copied = copyIn(call, address, small, 8);
  if (copied < 0) return copied;
  return (small.view.getBigUint64(0, true) & ~NEVER_BLOCKED) === strict.tasks.blockedSignals(call.pid) ? 1 : 0;
}
