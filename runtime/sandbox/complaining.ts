import { messageOf } from "../../linux/errors.ts";
import { writeAll } from "../../linux/file.ts";

const STDERR = 2;

/** The body of a process that nobody asks any more how it is: what it throws goes to the container's standard error. @returns the exit code. */
export function complaining(who: string, action: () => void): number {
  try {
    action();
    return 0;
  } catch (error) {
    writeAll(STDERR, `tssandbox: ${who}: ${error instanceof Error ? error.stack ?? error.message : messageOf(error)}\n`);
    return 1;
  }
}
