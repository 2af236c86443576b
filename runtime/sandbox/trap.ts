/** The filter that brings a guest's calls before the sentry. */
import { encodeFlags } from "seccomp-bpf-ts";
import type { Fd } from "../../linux/fd.ts";
import { compilePolicy } from "../../policies/syscalls/filter.ts";
import { balanced } from "../../policies/syscalls/policy.ts";
import type { SeccompLaunch } from "../init/launch.ts";

/** @param channel where the sentry takes listeners from (sentry/messages.ts). */
export function trapFilter(channel: Fd): SeccompLaunch {
  const flags = encodeFlags({ newListener: true, waitKillableRecv: true });
  return { program: compilePolicy(balanced), flags, listener: { socket: channel, message: () => "listener" } };
}
