/** A further process in a running container: the same end as init's, without the building. */
import { inStep } from "../../linux/errors.ts";
import { newSession } from "../../linux/process.ts";
import { setAffinity } from "../../linux/sched.ts";
import { parseList } from "../spec/numbers.ts";
import { newSessionKeyring } from "./attributes.ts";
import { joinCgroup } from "./cgroup.ts";
import { takeTerminal } from "./console.ts";
import { prepareProgram } from "./finish.ts";
import type { ProcessLaunch } from "./launch.ts";
import { rendezvous } from "./protocol.ts";

/** Preconditions: a forked child in the container's namespaces, its mount namespace among them, so that `/` is the container's root. */
export function runExec(launch: ProcessLaunch): never {
  inStep("session", newSession);
  if (launch.newKeyring) inStep("keyring", () => newSessionKeyring(launch.id));
  const affinity = launch.process.execCPUAffinity;
  if (affinity?.initial) inStep("initial cpu affinity", () => setAffinity(parseList(affinity.initial ?? "")));
  // The cgroup's cpuset may change the affinity.
  joinCgroup(launch);
  if (affinity?.final) inStep("final cpu affinity", () => setAffinity(parseList(affinity.final ?? "")));
  const target = launch.console;
  if (target !== undefined) inStep("console", () => takeTerminal(target, launch.process, undefined));
  const program = prepareProgram(launch);
  rendezvous(launch.channel, { kind: "ready" });
  return program();
}
