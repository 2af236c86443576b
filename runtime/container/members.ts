import { readdirSync, readlinkSync } from "node:fs";
import { cgroupOf } from "./status.ts";
import type { Container } from "./store.ts";

/**
 * Every process of a container by its pid on the host: those of its cgroup; where it has none, as a rootless one on cgroup v1, those of its
 * pid namespace; and without that only init.
 * Preconditions: init is alive, or not born yet.
 */
export function membersOf(container: Container): number[] {
  const pids = cgroupOf(container).pids();
  if (pids.length > 0) return pids;
  const { pid, ownPidNamespace } = container.record;
  if (pid === 0) return [];
  const namespace = ownPidNamespace ? namespaceOf(pid) : undefined;
  return namespace === undefined ? [pid] : allPids().filter((other) => namespaceOf(other) === namespace);
}

const allPids = (): number[] => readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number);

/** @returns undefined where it is gone, or not ours to look at. */
function namespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return undefined;
  }
}
