/** memfd_create(2). */
import { EINVAL } from "../../../linux/abi/errno.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import { copyString, small } from "../memory.ts";
import { memoryFile } from "../objects/memfd.ts";
import type { Handler } from "../strict.ts";

const MFD_CLOEXEC = 1;
/** Besides, MFD_ALLOW_SEALING, MFD_NOEXEC_SEAL, MFD_EXEC; not MFD_HUGETLB. */
const KNOWN = MFD_CLOEXEC | 2 | 8 | 16;
const LONGEST_NAME = 250;

export const memfd_create: Handler = (call, strict) => {
  const flags = call.int(1);
  const length = copyString(call, call.arg(0), small, 0, LONGEST_NAME);
  if (length < 0) return length;
  if ((flags & ~KNOWN) !== 0) return -EINVAL;
  const made = kernel.makeMemoryFile(small.address, flags | MFD_CLOEXEC);
  return made < 0 ? made : strict.descriptors.give(call, memoryFile(made), (flags & MFD_CLOEXEC) !== 0);
};
