import { inStep } from "../../linux/errors.ts";
import { writeAll } from "../../linux/file.ts";
import type { ProcessLaunch } from "./launch.ts";
import { rendezvous } from "./protocol.ts";

/**
 * Joins the container's cgroups. As late as can be: what this process has touched of the runtime's heap by then, some megabytes, is not
 * charged to the container.
 */
export function joinCgroup({ joining, channel }: ProcessLaunch): void {
  inStep("join cgroup", () => {
    for (const tasks of joining.tasks) writeAll(tasks, "0");
  });
  rendezvous(channel, { kind: "cgroup" });
}
