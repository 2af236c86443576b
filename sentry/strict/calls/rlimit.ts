/** RLIMIT_FSIZE: the kernel would hold the sentry to its own when it writes for a task. Source: Linux fs/read_write.c, generic_write_check_limits. */
import { EFBIG } from "../../../linux/abi/errno.ts";
import { O_APPEND } from "../../../linux/abi/fcntl.ts";
import { CONTINUE } from "../../platform/platform.ts";
import { HERE, type Description } from "../objects/description.ts";
import { HostFile } from "../objects/files.ts";
import type { Handler, Strict } from "../strict.ts";
import type { Trapped } from "../trapped.ts";

const RLIMIT_FSIZE = 1;
const SIGXFSZ = 25;

/** @param position where the caller writes. @returns by how many bytes it may go on; Infinity where nothing limits it. */
export function roomIn(call: Trapped, strict: Strict, file: Description, position: number): number {
  if (!strict.tasks.limitsFileSizes || !(file instanceof HostFile) || !file.isRegular) return Infinity;
  const limit = strict.tasks.fileSizeLimit(call.pid);
  if (limit === Infinity) return limit;
  const at = position !== HERE ? position : (file.flags & O_APPEND) !== 0 ? file.size : file.position;
  return Math.max(limit - at, 0);
}

export const tooLarge = (call: Trapped, strict: Strict): number => strict.callers.failWith(call, EFBIG, SIGXFSZ);

/** Whether a file may not be made so large. */
export const isBeyondLimit = (call: Trapped, { tasks }: Strict, size: number): boolean => tasks.limitsFileSizes && size > tasks.fileSizeLimit(call.pid);

/** The kernel goes on. @param resource which argument has it. @param value which one has the new limit. */
const limiting = (resource: number, value: number): Handler => (call, strict) => {
  strict.callers.becomes(call);
  if (call.int(resource) === RLIMIT_FSIZE && call.arg(value) !== 0) strict.tasks.limitsFileSizes = true;
  return CONTINUE;
};

export const setrlimit = limiting(0, 1);
export const prlimit64 = limiting(1, 2);
