import { messageOf, SysError } from "../../linux/errors.ts";
import type { SandboxLog } from "./log.ts";

/** The body of a process that nobody asks any more how it is: what it throws goes to the sandbox's log. @returns the exit code. */
export function complaining(who: string, log: SandboxLog, action: () => void): number {
  try {
    action();
    return 0;
  } catch (error) {
    log.error(`${who}: ${messageOf(error)}${isOurs(error) ? ` (${stackOf(error)})` : ""}`);
    return 1;
  }
}

/** A bug of ours, rather than something that happens. */
function isOurs(error: unknown): error is Error {
  return error instanceof Error && !(error instanceof SysError) && error.constructor !== Error;
}

const FRAMES = 5;

function stackOf({ stack = "" }: Error): string {
  return stack.split("\n").filter((line) => line.startsWith("    at ")).slice(0, FRAMES).map((line) => line.trim()).join(", ");
}
