/** fsync(2), syncfs(2), posix_fadvise(2). */
import { EINVAL } from "../../../linux/abi/errno.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import type { Handler } from "../strict.ts";
import { seekable } from "./arguments.ts";

/** @param act on the file's descriptor. */
const onFile =
  (act: (fd: number) => number): Handler =>
  (call, strict) => {
    const file = seekable(call, strict, -EINVAL);
    return typeof file === "number" ? file : act(file.fd.number);
  };

export const fsync = onFile((fd) => kernel.sync(fd, false));
export const fdatasync = onFile((fd) => kernel.sync(fd, true));
export const syncfs = onFile((fd) => kernel.sync(fd, false));
/** Advice, which nobody has to take. */
export const fadvise64 = onFile(() => 0);
