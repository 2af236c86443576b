/** Why a sandbox has ended before its guest. */
import { readFileSync } from "node:fs";
import { waitUntil } from "../../linux/sleep.ts";
import { isAlive } from "../container/process-info.ts";
import { lastWords } from "./log.ts";
import { readCounters, readSandboxRecord, type OwnProcess } from "./record.ts";

const END_MS = 1000;

/**
 * To be asked when the guest's first process is gone. The kernel ends the guest before it lets go of the sentry, so that the sentry may still be
 * about to end, in one way or the other: then it is waited for, a second at most.
 * @param directory the container's state directory.
 * @returns undefined where the sandbox has ended in good order, or there is none.
 */
export function sandboxFailure(directory: string): string | undefined {
  const record = readSandboxRecord(directory);
  if (record === undefined) return undefined;
  const hasEnded = () => readCounters(directory, record).sentry.ended;
  const gone = waitUntil(END_MS, () => hasEnded() || !lives(record.sentry));
  if (hasEnded()) return undefined;
  return lastWords(directory) ?? (gone ? "the sentry has ended without a word: it was killed" : undefined);
}

/** In the flags of /proc/PID/stat: it runs no code of its own any more. Source: Linux include/linux/sched.h, PF_EXITING. */
const EXITING = 4;

/** An init of a pid namespace that has been killed stays until all others in it have been reaped: it does not live any more. */
export function lives({ pid, startTime }: OwnProcess): boolean {
  if (!isAlive(pid, startTime)) return false;
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    return (Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[6]) & EXITING) === 0;
  } catch {
    return false;
  }
}
