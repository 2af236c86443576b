import { SIGNALS } from "../../linux/abi/signal.ts";
import { kill } from "../../linux/process.ts";

/** As timeout(1). */
const TIMED_OUT = 124;
/** Between SIGTERM and SIGKILL. */
const GRACE_MS = 5000;

/**
 * @param limitMs Infinity for none. @param pid process 1 of the sandbox.
 * @returns what `wait` does, or 124 where the time was over first: the program has been told by SIGTERM, and killed if that did not help.
 */
export async function superviseWithin(limitMs: number, pid: number, wait: () => Promise<number>): Promise<number> {
  if (limitMs === Infinity) return wait();
  let timedOut = false;
  let killer: NodeJS.Timeout | undefined;
  const timer = setTimeout(() => {
    timedOut = true;
    kill(pid, SIGNALS.SIGTERM);
    killer = setTimeout(() => kill(pid, SIGNALS.SIGKILL), GRACE_MS);
  }, limitMs);
  try {
    const code = await wait();
    return timedOut ? TIMED_OUT : code;
  } finally {
    clearTimeout(timer);
    clearTimeout(killer);
  }
}
