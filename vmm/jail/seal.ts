/**
 * The last step of the jail, in the VMM itself: its files are read, its devices made and its threads have started, the guest does not run yet.
 * From here on it makes the calls of policy.ts and no other.
 */
import { inStep } from "../../linux/errors.ts";
import { setDumpable } from "../../linux/prctl.ts";
import { SECCOMP_FILTER_FLAG_TSYNC, setSeccompFilter } from "../../linux/seccomp.ts";
import { vmmFilter } from "./compiled.ts";

/** For all threads of the process. Preconditions: `enterVmmJail` before its program was executed. @throws SysError */
export function sealVmm(): void {
  inStep("seccomp", () => {
    setDumpable(false);
    setSeccompFilter(vmmFilter(), SECCOMP_FILTER_FLAG_TSYNC);
  });
}
