/** How the guest's calls reach the sentry: what was asked for, or else what this kernel has. Decision 0040. */
import { hasUserNotification } from "../../linux/seccomp-notify.ts";
import type { PlatformName } from "../../policies/syscalls/names.ts";
import type { Logger } from "../log.ts";
import type { Group } from "./group.ts";
import { requireSandboxRecord } from "./record.ts";

/** @param given by the command line or the environment; undefined: by neither. @param group whose sentry is there already, and has one. @throws Error for what the kernel does not have. */
export function decidePlatform(given: PlatformName | undefined, group: Group | undefined, log: Pick<Logger, "warn">): PlatformName {
  if (group !== undefined) return requireSandboxRecord(group.first.directory).platform;
  const has = given !== "ptrace" && hasUserNotification();
  if (has) return "notify";
  if (given === "ptrace") return given;
  if (given === "notify") throw new Error("--platform notify: this kernel has no seccomp user notification; use --platform ptrace");
  log.warn("platform ptrace, which is slower, since this kernel has no seccomp user notification; --platform ptrace says that this is meant");
  return "ptrace";
}
