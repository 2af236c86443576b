import { CAPABILITIES } from "../../linux/abi/capability.ts";
import { MOUNT_OPTIONS } from "./mount-options.ts";
import {
  HOOK_NAMES,
  MEMORY_POLICY_FLAGS,
  MEMORY_POLICY_MODES,
  NAMESPACE_TYPES,
  OCI_VERSION,
  OCI_VERSION_MIN,
  SECCOMP_ACTIONS,
  SECCOMP_FLAGS,
  SECCOMP_OPERATORS,
} from "./names.ts";

// The output of `features` (features.md, features-linux.md). It tells what the runtime implements, "irrelevant to the actual
// availability of the features in the host operating system"; what was compiled into the runtime comes from the caller.

/** What the parts of this runtime can do, told by those who know. */
export interface FeatureFacts {
  /** This runtime's version, and the commit it was built from if known. */
  readonly version: string;
  readonly commit?: string | undefined;
  /** SCMP_ARCH_* that the seccomp compiler has tables for. */
  readonly seccompArchs: readonly string[];
  /** SECCOMP_FILTER_FLAG_* that the running kernel takes. */
  readonly seccompFlags: readonly string[];
  readonly cgroup: { readonly v1: boolean; readonly v2: boolean; readonly systemd: boolean; readonly systemdUser: boolean; readonly rdma: boolean };
  readonly apparmor: boolean;
  readonly selinux: boolean;
  readonly intelRdt: boolean;
  readonly netDevices: boolean;
  readonly checkpoint: boolean;
}

/** The structure of features.md for runtime-spec 1.3. */
export function features(facts: FeatureFacts) {
  return {
    ociVersionMin: OCI_VERSION_MIN,
    ociVersionMax: OCI_VERSION,
    hooks: [...HOOK_NAMES],
    mountOptions: [...MOUNT_OPTIONS.keys()].sort(),
    linux: {
      namespaces: [...NAMESPACE_TYPES].sort(),
      capabilities: [...CAPABILITIES],
      cgroup: { ...facts.cgroup },
      seccomp: {
        enabled: true,
        actions: [...SECCOMP_ACTIONS],
        operators: [...SECCOMP_OPERATORS],
        archs: [...facts.seccompArchs],
        knownFlags: [...SECCOMP_FLAGS],
        supportedFlags: [...facts.seccompFlags],
      },
      apparmor: { enabled: facts.apparmor },
      selinux: { enabled: facts.selinux },
      intelRdt: { enabled: facts.intelRdt, schemata: facts.intelRdt, monitoring: facts.intelRdt },
      memoryPolicy: { modes: [...MEMORY_POLICY_MODES], flags: [...MEMORY_POLICY_FLAGS] },
      mountExtensions: { idmap: { enabled: true } },
      netDevices: { enabled: facts.netDevices },
    },
    annotations: annotations(facts),
    potentiallyUnsafeConfigAnnotations: [...UNSAFE_ANNOTATIONS, ...(facts.checkpoint ? ["org.criu.config"] : [])],
  };
}

/**
 * Annotations of config.json that change what the runtime does to the host (features.md: an engine should not let an image or a
 * pod set them). A trailing dot makes it a prefix: systemd properties of the container's scope; everything under our own name.
 */
export const UNSAFE_ANNOTATIONS = ["org.systemd.property.", "tssandbox."] as const;

function annotations({ version, commit, checkpoint }: FeatureFacts): Record<string, string> {
  return {
    "tssandbox.version": version,
    ...(commit === undefined ? {} : { "tssandbox.commit": commit }),
    "tssandbox.checkpoint.enabled": String(checkpoint),
  };
}
