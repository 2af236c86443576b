/**
 * memfd_create(2): a file in memory of the kernel's, which is the sentry's alone until it is mapped or written to. What is written is the kernel's work (lend.ts): pages are
 * charged to the cgroup of whoever writes them, and that is to be the guest's, whose limit bounds them.
 */
import { EINVAL } from "../../../linux/abi/errno.ts";
import { O_RDWR, S_IFREG } from "../../../linux/abi/fcntl.ts";
import { Fd } from "../../../linux/fd.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import { HostFile } from "./files.ts";
import { deviceOf } from "../volumes/volumes.ts";
import { copyString, small } from "../guest/memory.ts";
import type { Handler } from "../trapped.ts";

const MFD_CLOEXEC = 1;
/** Besides, MFD_ALLOW_SEALING, MFD_NOEXEC_SEAL, MFD_EXEC; not MFD_HUGETLB. */
const KNOWN = MFD_CLOEXEC | 2 | 8 | 16;
const LONGEST_NAME = 250;
const O_LARGEFILE = 0o100000;

export class MemoryFile extends HostFile {}

/** The kernel's own mount that all of them lie on; undefined before there is one. */
let device: string | undefined;

export const isMemoryFile = (fd: number): boolean => device !== undefined && deviceOf(fd) === device;

export const memfd_create: Handler = (call, strict) => {
  const flags = call.int(1);
  const length = copyString(call, call.arg(0), small, 0, LONGEST_NAME);
  if (length < 0) return length;
  if ((flags & ~KNOWN) !== 0) return -EINVAL;
  const made = kernel.makeMemoryFile(small.address, flags | MFD_CLOEXEC);
  if (made < 0) return made;
  device ??= deviceOf(made);
  return strict.give(call, new MemoryFile(new Fd(made), O_RDWR | O_LARGEFILE, S_IFREG), (flags & MFD_CLOEXEC) !== 0);
};
