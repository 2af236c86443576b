import { effectiveUid } from "../../linux/credentials.ts";
import { inUserNamespace } from "../container/id-maps.ts";
import type { PlatformName } from "../../policies/syscalls/names.ts";
import { ConfigError } from "../spec/report.ts";
import type { Mode } from "./mode.ts";

const ANNOTATION = "dev.tssandbox.strace";

/** Who tells of system calls: a process that is started for it, or where every task has the sentry for a tracer, that. */
export type StraceBy = "tracer" | "sentry";

/**
 * Whether system calls are to be told of: by the command line, or because the container asks for it.
 * @throws ConfigError for a value that means nothing; Error where there is no sandbox to do it for.
 */
export function wantsStrace(given: boolean, mode: Mode, platform: PlatformName | undefined, annotations: Readonly<Record<string, string>> | undefined): StraceBy | undefined {
  const asked = annotations?.[ANNOTATION] ?? "false";
  if (asked !== "true" && asked !== "false") throw new ConfigError("config.json", `annotations["${ANNOTATION}"]`, `must be "true" or "false", is ${JSON.stringify(asked)}`);
  if (given && mode !== "sentry") throw new Error("--strace needs a sandbox: --mode sentry");
  if (mode !== "sentry" || (!given && asked !== "true")) return undefined;
  if (platform === "ptrace") return "sentry";
  if (effectiveUid() !== 0 || inUserNamespace()) throw new Error("--strace takes the host's root, who may trace what is not a program yet");
  return "tracer";
}
