/**
 * The configuration of a sandbox's first container, whose program only waits, from the pod's: what containerd's own controller writes for the pause container.
 * Source: containerd, internal/cri/server/podsandbox/sandbox_run_linux.go, sandboxContainerSpec; internal/cri/annotations.
 */
import { posix } from "node:path";
import { NamespaceMode, type LinuxPodSandboxConfig, type PodSandboxConfig, type UserNamespace } from "../proto/generated/pod_pb.js";
import type { LinuxNamespace, Mount, Spec } from "../../runtime/spec/config.ts";
import { OCI_VERSION } from "../../runtime/spec/names.ts";

export const PAUSE_PROGRAM = "/pause";

/** The user that Kubernetes' pause image names. */
const NOBODY = 65535;

export interface Pod {
  readonly id: string;
  readonly config: PodSandboxConfig;
  /** Path of the root file system. */
  readonly root: string;
  /** Empty in the host's network. */
  readonly network: string;
  /** Path of its user namespace, if it has one. */
  readonly user: string | undefined;
}

const namespacesOf = ({ linux }: PodSandboxConfig) => linux?.securityContext?.namespaceOptions;

export const hasHostNetwork = (config: PodSandboxConfig): boolean => namespacesOf(config)?.network === NamespaceMode.NODE;
export const hasHostIpc = (config: PodSandboxConfig): boolean => namespacesOf(config)?.ipc === NamespaceMode.NODE;

/** Its mappings, where the pod has a user namespace of its own. */
export function userNamespaceOf(config: PodSandboxConfig): UserNamespace | undefined {
  const options = namespacesOf(config)?.usernsOptions;
  return options?.mode === NamespaceMode.POD ? options : undefined;
}

const rootIn = (maps: UserNamespace["uids"] = []) => maps.find(({ containerId }) => containerId === 0)?.hostId ?? 0;

/** To whom its containers' pipes belong. */
export function rootOfPod(config: PodSandboxConfig): { uid: number; gid: number } {
  const user = userNamespaceOf(config);
  return { uid: rootIn(user?.uids), gid: rootIn(user?.gids) };
}

export function pauseSpec(pod: Pod): Spec {
  const { config } = pod;
  const { linux } = config;
  return {
    ociVersion: OCI_VERSION,
    process: { terminal: false, user: { uid: NOBODY, gid: NOBODY }, args: [PAUSE_PROGRAM], env: [], cwd: "/", noNewPrivileges: true },
    root: { path: pod.root, readonly: true },
    ...(hasHostNetwork(config) ? {} : { hostname: config.hostname }),
    mounts: MOUNTS,
    annotations: annotationsOf(pod),
    linux: {
      namespaces: namespaces(pod),
      ...mappings(config),
      sysctl: { ...linux?.sysctls },
      resources: { devices: [{ allow: false, access: "rwm" }], cpu: { shares: 2 } },
      ...(linux?.cgroupParent ? { cgroupsPath: cgroupsPath(linux.cgroupParent, pod.id) } : {}),
    },
  };
}

const MOUNTS: Mount[] = [
  { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
  { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "strictatime", "mode=755", "size=65536k"] },
];

/** One of its own, unless the node's is asked for. */
const own = (type: LinuxNamespace["type"], mode: NamespaceMode | undefined): LinuxNamespace[] => (mode === NamespaceMode.NODE ? [] : [{ type }]);

function namespaces({ config, network, user }: Pod): LinuxNamespace[] {
  const options = namespacesOf(config);
  return [
    { type: "mount" },
    ...own("pid", options?.pid),
    ...own("ipc", options?.ipc),
    ...own("uts", options?.network),
    ...(hasHostNetwork(config) ? [] : [{ type: "network" as const, path: network }]),
    ...(user === undefined ? [] : [{ type: "user" as const, path: user }]),
  ];
}

const oci = ({ containerId, hostId, length }: UserNamespace["uids"][number]) => ({ containerID: containerId, hostID: hostId, size: length });

/** As a pod's mounts have them, too. */
export function mappings(config: PodSandboxConfig) {
  const user = userNamespaceOf(config);
  if (user === undefined) return {};
  return { uidMappings: user.uids.map(oci), gidMappings: user.gids.map(oci) };
}

/** What the pod itself may say: the rest of its annotations is not for a runtime. */
const OWN_ANNOTATIONS = "dev.tssandbox.";

function annotationsOf({ id, config }: Pod): Record<string, string> {
  const { metadata, logDirectory, annotations, linux } = config;
  return {
    ...Object.fromEntries(Object.entries(annotations).filter(([name]) => name.startsWith(OWN_ANNOTATIONS))),
    ...resources(linux),
    "io.kubernetes.cri.container-type": "sandbox",
    "io.kubernetes.cri.sandbox-id": id,
    "io.kubernetes.cri.sandbox-name": metadata?.name ?? "",
    "io.kubernetes.cri.sandbox-namespace": metadata?.namespace ?? "",
    "io.kubernetes.cri.sandbox-uid": metadata?.uid ?? "",
    "io.kubernetes.cri.sandbox-log-directory": logDirectory,
  };
}

/** The sum of its containers'. */
function resources(linux: LinuxPodSandboxConfig | undefined): Record<string, string> {
  if (linux?.resources === undefined) return {};
  const { cpuPeriod, cpuQuota, cpuShares, memoryLimitInBytes } = linux.resources;
  return {
    "io.kubernetes.cri.sandbox-cpu-period": String(cpuPeriod),
    "io.kubernetes.cri.sandbox-cpu-quota": String(cpuQuota),
    "io.kubernetes.cri.sandbox-cpu-shares": String(cpuShares),
    "io.kubernetes.cri.sandbox-memory": String(memoryLimitInBytes),
  };
}

/** systemd's form for a slice: `SLICE:PREFIX:NAME`. Source: containerd, internal/cri/server/podsandbox/helpers_linux.go, getCgroupsPath. */
function cgroupsPath(parent: string, id: string): string {
  const base = posix.basename(parent);
  return base.endsWith(".slice") ? `${base}:cri-containerd:${id}` : posix.join(parent, id);
}
