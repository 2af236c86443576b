import { assertNever } from "../../linux/errors.ts";
import type { NodeResources } from "../../linux/inherited.unsafe.ts";
import type { PlatformName } from "../../policies/syscalls/names.ts";
import { refuseOtherCalls } from "../jail.ts";
import type { StrictSentry } from "../strict/sentry.ts";
import type { Lobby } from "./ptrace/lobby.ts";
import type { TellingTarget } from "../messages.ts";
import type { Tasks } from "../tasks.ts";
import { notify } from "./notify.ts";
import type { Platform } from "./platform.ts";
import { loadNames, startPtrace } from "./ptrace/ptrace.ts";

/** What a platform needs of the sentry's process. */
export interface Premises {
  readonly inherited: NodeResources;
  readonly tasks: Tasks;
  /** Tells of processes that could not be let in. */
  readonly warn: (message: string) => void;
  /** The guest's, of platform ptrace: struct sock_filter[]. */
  readonly filter: () => Uint8Array;
  /** A line of a log of this form. */
  readonly line: (form: TellingTarget["form"], text: string) => string;
  /** Of platform ptrace under the policy strict. */
  readonly strict?: { readonly kernel: StrictSentry; readonly lobby: Lobby } | undefined;
}

/**
 * To be asked for before the sentry is born: what is loaded at its first use cannot be loaded in an empty root.
 * @returns what starts it, in the sentry's jail, before its filter; it throws SysError.
 */
export function platformStarter(name: PlatformName): (premises: Premises) => Platform {
  switch (name) {
    case "notify":
      return () => notify;
    case "ptrace": {
      const start = startPtrace;
      loadNames();
      return (premises) => start({ ...premises, confine: () => refuseOtherCalls("balanced", "ptrace") });
    }
    default:
      return assertNever(name);
  }
}
