import { openCgroup } from "../cgroups/index.ts";
import { isAlive } from "./process-info.ts";
import type { Container } from "./store.ts";

/** Source: runtime-spec runtime.md#state; `paused` is runc's addition. */
export type Status = "creating" | "created" | "running" | "paused" | "stopped";

export function statusOf(container: Container): Status {
  const { pid, startTime } = container.record;
  if (pid === 0) return container.isLocked("lock") ? "creating" : "stopped";
  if (!isAlive(pid, startTime)) return "stopped";
  if (cgroupOf(container).isFrozen()) return "paused";
  return container.isLocked("created") ? "created" : "running";
}

/** The container's cgroups, as far as it got any. */
export function cgroupOf(container: Container) {
  return openCgroup({ ...container.record.cgroup, paths: container.record.cgroupPaths });
}

/** The state as `state` prints it and hooks read it. Source: runtime-spec runtime.md#state. */
export function ociState(container: Container, status: Status, pid: number) {
  const { ociVersion, id, bundle, annotations } = container.record;
  return { ociVersion, id, status, pid, bundle, annotations };
}
