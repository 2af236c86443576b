/** The filter that brings a guest's calls before the sentry. */
import { compile, encodeFlags } from "seccomp-bpf-ts";
import type { Fd } from "../../linux/fd.ts";
import type { SeccompLaunch } from "../init/launch.ts";

/** @param channel where the sentry takes listeners from (sentry/messages.ts). */
export function trapFilter(channel: Fd): SeccompLaunch {
  const program = compile({ defaultAction: "allow", architectures: ["x86_64"], rules: [{ names: ["uname", "sysinfo", "sethostname", "setdomainname"], action: "notify" }] });
  return { program, flags: encodeFlags({ newListener: true, waitKillableRecv: true }), listener: { socket: channel, message: () => "listener" } };
}
