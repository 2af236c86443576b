import type { ProcessLaunch } from "./launch.ts";
import { homeDirectory } from "./identity.ts";

/** The program's environment: as configured, HOME added where it is missing, the later of two equal names winning. */
export function environment({ process, listenFds }: ProcessLaunch): string[] {
  const variables = new Map<string, string>();
  for (const entry of process.env ?? []) variables.set(entry.slice(0, entry.indexOf("=")), entry);
  if (variables.get("HOME") === undefined) variables.set("HOME", `HOME=${homeDirectory(process.user.uid)}`);
  if (listenFds > 0) {
    variables.set("LISTEN_FDS", `LISTEN_FDS=${listenFds}`);
    variables.set("LISTEN_PID", "LISTEN_PID=1");
  }
  return [...variables.values()];
}
