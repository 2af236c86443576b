/** The filter that brings a guest's calls before the sentry. */
import { assertNever } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV } from "../../linux/seccomp.ts";
import { compiledPolicy } from "../../policies/syscalls/compiled.ts";
import { tracedPolicy } from "../../policies/syscalls/compiled-ptrace.ts";
import { tracedStrictPolicy } from "../../policies/syscalls/compiled-ptrace-strict.ts";
import type { PlatformName, PolicyName } from "../../policies/syscalls/names.ts";
import type { TellingTarget } from "../../sentry/messages.ts";
import type { SeccompLaunch } from "../init/launch.ts";

/**
 * Under `strict` a call may wait in the sentry, and signals must be able to end that; under `balanced` none waits there for long.
 * What traps without a tracer fails, and under `strict` so would the way to the program: there the stub loads the filter, once it is traced.
 * @param channel where the sentry is told of filters and of tasks (sentry/messages.ts). @param strace on platform ptrace, where calls are to be told of.
 */
export function trapFilter(channel: Fd, platform: PlatformName, policy: PolicyName = "balanced", strace?: TellingTarget): SeccompLaunch {
  const common = { early: true, allows: () => true };
  switch (platform) {
    case "notify":
      return { ...common, program: compiledPolicy(policy), flags: SECCOMP_FILTER_FLAG_NEW_LISTENER | (policy === "strict" ? 0 : SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV), listener: { socket: channel, message: () => "listener" } };
    case "ptrace":
      return { ...common, program: tracedFilter(policy), flags: 0, listener: undefined, gate: { socket: channel, strace, loads: policy === "strict" } };
    default:
      return assertNever(platform);
  }
}

/** struct sock_filter[] of a guest that is traced. */
export const tracedFilter = (policy: PolicyName): Uint8Array => (policy === "strict" ? tracedStrictPolicy() : tracedPolicy());
