import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openCgroup } from "../cgroups/index.ts";
import { isAlive } from "./process-info.ts";
import type { Container } from "./store.ts";

/** Source: runtime-spec runtime.md#state; `paused` is runc's addition. */
export type Status = "creating" | "created" | "running" | "paused" | "stopped";

export function statusOf(container: Container): Status {
  const { pid, startTime } = container.record;
  if (pid === 0) return container.isLocked("lock") ? "creating" : "stopped";
  if (!isAlive(pid, startTime)) return "stopped";
  if (container.record.mode === "vm" ? isMarkedPaused(container) : cgroupOf(container).isFrozen()) return "paused";
  return container.isLocked("created") ? "created" : "running";
}

const PAUSED = "paused";

/** In mode vm what stands still is in the guest, or all of the guest: its cgroup has a machine in it that may be others', too. */
const isMarkedPaused = ({ directory }: Container): boolean => existsSync(join(directory, PAUSED));

export function markPaused({ directory }: Container, paused: boolean): void {
  if (paused) writeFileSync(join(directory, PAUSED), "");
  else rmSync(join(directory, PAUSED), { force: true });
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
