/**
 * What a call has done before it had to wait, or before it was interrupted and was made again, with the same arguments: a signal must not have
 * data sent twice.
 */
import { trappedNumbers as SYS } from "../../../policies/syscalls/numbers.ts";
import type { Trapped } from "../trapped.ts";

const FOUR_ARGUMENTS: ReadonlySet<number> = new Set([SYS.sendto, SYS.recvfrom, SYS.sendmmsg, SYS.recvmmsg]);

export class Progress {
  readonly #byTask = new Map<number, { readonly call: string; readonly done: number }>();

  /** @returns bytes; it is forgotten. */
  take(call: Trapped): number {
    const before = this.#byTask.get(call.pid);
    if (before === undefined) return 0;
    this.#byTask.delete(call.pid);
    return before.call === signature(call) ? before.done : 0;
  }

  keep(call: Trapped, done: number): void {
    if (done > 0) this.#byTask.set(call.pid, { call: signature(call), done });
  }
}

/** Who makes the call again after EINTR has anything in the registers that it has no arguments in. */
const signature = (call: Trapped): string => `${call.nr} ${call.arg(0)} ${call.arg(1)} ${call.arg(2)} ${FOUR_ARGUMENTS.has(call.nr) ? call.arg(3) : ""}`;
