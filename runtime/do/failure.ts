import { EACCES, ENOENT, ENOEXEC, ENOTDIR, EPERM } from "../../linux/abi/errno.ts";
import { SysError } from "../../linux/errors.ts";

/** As env(1), timeout(1) and engines have them: what failed was the sandbox, the program, or finding it. */
const CODES = { sandbox: 125, notExecutable: 126, notFound: 127 } as const;

/** The exit code for what kept the program from running (runtime/init/program.ts tells of it). */
export function exitCodeOf(error: unknown): number {
  if (error instanceof SysError && (error.fields.syscall === "exec" || error.fields.syscall === "execve")) {
    if ([ENOENT, ENOTDIR].includes(error.errno)) return CODES.notFound;
    if ([EACCES, EPERM, ENOEXEC].includes(error.errno)) return CODES.notExecutable;
  }
  const notFound = error instanceof Error && /executable file not found in/.test(error.message);
  return notFound ? CODES.notFound : CODES.sandbox;
}
