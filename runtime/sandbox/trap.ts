/** The filter that brings a guest's calls before the sentry. */
import { encodeFlags } from "seccomp-bpf-ts";
import type { Fd } from "../../linux/fd.ts";
import { compiledPolicy } from "../../policies/syscalls/compiled.ts";
import type { PolicyName } from "../../policies/syscalls/trapped.ts";
import type { SeccompLaunch } from "../init/launch.ts";

/**
 * Under `strict` a call may wait in the sentry, and signals must be able to end that; under `balanced` none waits there for long.
 * @param channel where the sentry takes listeners from (sentry/messages.ts).
 */
export function trapFilter(channel: Fd, policy: PolicyName = "balanced"): SeccompLaunch {
  const flags = encodeFlags({ newListener: true, waitKillableRecv: policy !== "strict" });
  return { program: compiledPolicy(policy), early: true, flags, allows: () => true, listener: { socket: channel, message: () => "listener" } };
}
