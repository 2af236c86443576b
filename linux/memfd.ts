/** Files without a name, in memory. Source: memfd_create(2), fcntl(2) "File sealing". */
import { SYS } from "./arch.ts";
import { EINVAL } from "./abi/errno.ts";
import * as fcntl from "./abi/fcntl.ts";
import { MFD_ALLOW_SEALING, MFD_CLOEXEC, MFD_EXEC, MFD_NOEXEC_SEAL } from "./abi/memfd.ts";
import { check } from "./errors.ts";
import { Fd, fdNumber, type FdLike } from "./fd.ts";
import { writeAll } from "./file.ts";
import { scratch } from "./memory.unsafe.ts";
import { syscall } from "./syscall.unsafe.ts";

/** An empty file that can be sealed; `name` is for /proc only. @throws SysError EACCES where vm.memfd_noexec forbids executable ones. */
export function createMemfd(name: string, kind: "data" | "program" = "data"): Fd {
  using s = scratch();
  const text = s.cstr(name);
  const flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  const result = syscall(SYS.memfd_create, text, flags | (kind === "program" ? MFD_EXEC : MFD_NOEXEC_SEAL));
  // Kernels before 6.3 know neither flag, and let every memfd be executed.
  return new Fd(check(result === -EINVAL ? syscall(SYS.memfd_create, text, flags) : result, "memfd_create", name));
}

/** Adds F_SEAL_* bits for good. @throws SysError EPERM after F_SEAL_SEAL, EBUSY for F_SEAL_WRITE while it is mapped writable. */
export function addSeals(fd: FdLike, seals: number): void {
  check(syscall(SYS.fcntl, fdNumber(fd), fcntl.F_ADD_SEALS, seals), "fcntl", "F_ADD_SEALS");
}

export const IMMUTABLE = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE;

/** A file with `content` that nobody can change any more. */
export function createSealed(name: string, content: Uint8Array, kind: "data" | "program" = "data"): Fd {
  const fd = createMemfd(name, kind);
  writeAll(fd, content);
  addSeals(fd, IMMUTABLE);
  return fd;
}
