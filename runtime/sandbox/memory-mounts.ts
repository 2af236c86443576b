/**
 * Under the policy `strict` the sentry writes for the guest, so that what lies on a tmpfs is charged to the sentry's cgroup, and not to the container's.
 * What bounds it then is the file system's own size: none is larger than the container's memory limit.
 */
import type { Mount, Spec } from "../spec/config.ts";

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/** @returns the configuration with sizes for what is mounted in memory. Without a limit it stays as it is. */
export function withinMemory(spec: Spec): Spec {
  const limit = spec.linux?.resources?.memory?.limit ?? 0;
  return limit <= 0 ? spec : { ...spec, mounts: (spec.mounts ?? []).map((mount) => (isInMemory(mount) ? sized(mount, limit) : mount)) };
}

const isInMemory = ({ type }: Mount): boolean => type === "tmpfs" || type === "ramfs";

/** A ramfs has no size at all. */
function sized(mount: Mount, limit: number): Mount {
  const { options = [] } = mount;
  const kept = options.filter((option) => !/^(size|nr_blocks)=/.test(option));
  return { ...mount, type: "tmpfs", options: [...kept, `size=${Math.min(limit, ...options.flatMap(sizeOf))}`] };
}

/** Of an option; a share of the host's memory, and blocks, are as good as none. Source: tmpfs(5). */
function sizeOf(option: string): number[] {
  const [, digits, unit = ""] = /^size=(\d+)([kmg]?)$/i.exec(option) ?? [];
  return digits === undefined || Number(digits) === 0 ? [] : [Number(digits) * (UNITS[unit.toLowerCase()] ?? 1)];
}
