/** What a container's configuration becomes when it runs as the guest of a sandbox. */
import { monotonicSeconds } from "../../linux/clock.ts";
import type { LinuxNamespace, Spec } from "../spec/config.ts";
import { ConfigError } from "../spec/report.ts";
import type { IdRange } from "./ids.ts";

/** Kernel file systems that tell of the host: the sandbox has its own in their place (runtime/sandbox/system.ts). */
const REPLACED: ReadonlySet<string> = new Set(["sysfs", "cgroup", "cgroup2"]);

/** @throws ConfigError for what a sandbox cannot give. */
export function asGuest(spec: Spec, { guest }: Pick<IdRange, "guest">): Spec {
  const namespaces = spec.linux?.namespaces ?? [];
  refuseShared(namespaces);
  return {
    ...spec,
    mounts: (spec.mounts ?? []).filter(({ type }) => !REPLACED.has(type ?? "")),
    linux: {
      ...spec.linux,
      timeOffsets: spec.linux?.timeOffsets ?? sinceNow(),
      maskedPaths: outsideOfSystem(spec.linux?.maskedPaths),
      readonlyPaths: outsideOfSystem(spec.linux?.readonlyPaths),
      namespaces: guestNamespaces(namespaces), uidMappings: mappings(spec.linux?.uidMappings, guest), gidMappings: mappings(spec.linux?.gidMappings, guest),
    },
  };
}

/** Of /proc and /sys there is nothing to mask: they hold what the sandbox shows, and nothing else. */
function outsideOfSystem(paths: readonly string[] = []): string[] {
  return paths.filter((path) => !/^\/+(proc|sys)(\/|$)/.test(path));
}

type Mappings = NonNullable<NonNullable<Spec["linux"]>["uidMappings"]>;

/** The configured maps, or else a range of the sandbox's own: a guest is nobody on the host, always. */
function mappings(configured: Mappings | undefined, range: Mappings[number]): Mappings {
  return configured !== undefined && configured.length > 0 ? configured : [range];
}

/** What a guest has of its own, whatever its configuration says. */
export const GUEST_NAMESPACES = ["user", "pid", "mount", "time"] as const;

function guestNamespaces(namespaces: readonly LinuxNamespace[]): LinuxNamespace[] {
  const missing = GUEST_NAMESPACES.filter((type) => !namespaces.some((namespace) => namespace.type === type));
  return [...namespaces, ...missing.map((type) => ({ type }))];
}

/** The clocks that count from the host's start count from the guest's: `ps` and uptime agree then, and neither tells of the host. */
function sinceNow(): NonNullable<NonNullable<Spec["linux"]>["timeOffsets"]> {
  const offset = { secs: -Math.floor(monotonicSeconds()) };
  return { monotonic: offset, boottime: offset };
}

/** Namespaces that the sandbox must have to itself. */
function refuseShared(namespaces: readonly LinuxNamespace[]): void {
  for (const type of GUEST_NAMESPACES) {
    const index = namespaces.findIndex((namespace) => namespace.type === type && namespace.path);
    if (index >= 0) throw new ConfigError("config.json", `linux.namespaces[${index}].path`, `a sandbox has a ${type} namespace of its own, and joins none; use --mode namespace to share one`);
  }
}
