import type { LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg } from "./config-linux.ts";
import { member, type Report } from "./report.ts";

// The rules for linux.seccomp: config-linux.md#seccomp and runc's libcontainer/seccomp/seccomp_linux.go.

const AT = "linux.seccomp";
const NOTIFY = "SCMP_ACT_NOTIFY";

export function checkSeccomp(seccomp: LinuxSeccomp, report: Report): void {
  listener(seccomp, report);
  errnoRet(seccomp.defaultAction, seccomp.defaultErrnoRet, `${AT}.defaultErrnoRet`, report);
  seccomp.syscalls?.forEach(({ names, action, errnoRet: errno, args }, index) => {
    const at = member(`${AT}.syscalls`, index);
    syscallNames(names, member(at, "names"), report);
    errnoRet(action, errno, member(at, "errnoRet"), report);
    args?.forEach((arg, number) => argument(arg, member(member(at, "args"), number), report));
  });
}

/**
 * The notification descriptor reaches its listener after the filter is in force, so what hands it over cannot wait for that
 * listener: not write(2) (runc's rule) and not every call. "listenerMetadata [...] MUST NOT be set if listenerPath is not set".
 */
function listener({ defaultAction, listenerPath = "", listenerMetadata = "", syscalls = [] }: LinuxSeccomp, report: Report): void {
  if (listenerMetadata !== "" && listenerPath === "") report.refuse(`${AT}.listenerMetadata`, "needs listenerPath");
  if (defaultAction === NOTIFY) report.refuse(`${AT}.defaultAction`, `must not be ${NOTIFY}`);
  syscalls.forEach(({ action, names }, index) => {
    if (action !== NOTIFY) return;
    const at = member(`${AT}.syscalls`, index);
    if (listenerPath === "") report.refuse(member(at, "action"), `${NOTIFY} needs ${AT}.listenerPath`);
    if (names.includes("write")) report.refuse(member(at, "names"), `${NOTIFY} cannot be used for write`);
  });
}

/** "When the action doesn't support an errno, the runtime MUST print and error and fail." Bounds: MAX_ERRNO; 16 bits of data. */
function errnoRet(action: LinuxSeccompAction, errno: number | undefined, field: string, report: Report): void {
  if (errno === undefined) return;
  if (action !== "SCMP_ACT_ERRNO" && action !== "SCMP_ACT_TRACE") report.refuse(field, `is for SCMP_ACT_ERRNO and SCMP_ACT_TRACE, the action is ${action}`);
  const max = action === "SCMP_ACT_ERRNO" ? 4095 : 0xffff;
  if (errno > max) report.refuse(field, `must be from 0 to ${max}, is ${errno}`);
}

/** "names MUST contain at least one entry." Names that this kernel does not have are skipped later, as libseccomp's users do. */
function syscallNames(names: readonly string[], field: string, report: Report): void {
  if (names.length === 0) report.refuse(field, "must have at least one entry");
  const empty = names.indexOf("");
  if (empty >= 0) report.refuse(member(field, empty), "must not be empty");
}

/** A system call has six arguments. */
function argument({ index }: LinuxSeccompArg, at: string, report: Report): void {
  if (index > 5) report.refuse(member(at, "index"), `must be from 0 to 5, is ${index}`);
}
