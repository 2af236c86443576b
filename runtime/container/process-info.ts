import { readFileSync } from "node:fs";

/** What /proc/PID/stat tells of a process. Source: proc_pid_stat(5). */
export interface ProcessInfo {
  /** `R`, `S`, `Z` ... */
  readonly state: string;
  readonly parent: number;
  /** Clock ticks since boot, as text: it only has to be the same again. */
  readonly startTime: string;
}

/** @returns undefined where there is no such process. */
export function processInfo(pid: number): ProcessInfo | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined;
  }
  // The name is in parentheses and may hold any byte; what follows the last one is regular.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0] ?? "", parent: Number(fields[1]), startTime: fields[19] ?? "" };
}

/** Whether that very process still runs: neither gone, nor a zombie, nor another with the same number. */
export function isAlive(pid: number, startTime: string): boolean {
  const info = pid > 0 ? processInfo(pid) : undefined;
  return info !== undefined && info.startTime === startTime && info.state !== "Z" && info.state !== "X";
}
