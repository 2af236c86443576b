import { assertNever } from "../../linux/errors.ts";
import type { NodeResources } from "../../linux/inherited.unsafe.ts";
import type { PlatformName } from "../../policies/syscalls/platform.ts";
import { refuseOtherCalls } from "../jail.ts";
import type { Tasks } from "../tasks.ts";
import { notify } from "./notify.ts";
import type { Platform } from "./platform.ts";
import { startPtrace } from "./ptrace/ptrace.ts";

/** What a platform needs of the sentry's process. */
export interface Premises {
  readonly inherited: NodeResources;
  readonly tasks: Tasks;
  /** Tells of processes that could not be let in. */
  readonly warn: (message: string) => void;
}

/** Preconditions: in the sentry's jail, before its filter. @throws SysError */
export function startPlatform(name: PlatformName, premises: Premises): Platform {
  switch (name) {
    case "notify":
      return notify;
    case "ptrace":
      return startPtrace({ ...premises, confine: () => refuseOtherCalls("balanced", "ptrace") });
    default:
      return assertNever(name);
  }
}
