/** The filter that brings a guest's calls before the sentry. */
import { encodeFlags } from "seccomp-bpf-ts";
import type { Fd } from "../../linux/fd.ts";
import { compiledPolicy } from "../../policies/syscalls/compiled.ts";
import type { SeccompLaunch } from "../init/launch.ts";

/** @param channel where the sentry takes listeners from (sentry/messages.ts). */
export function trapFilter(channel: Fd): SeccompLaunch {
  const flags = encodeFlags({ newListener: true, waitKillableRecv: true });
  return { program: compiledPolicy("balanced"), early: true, flags, allows: () => true, listener: { socket: channel, message: () => "listener" } };
}
