import type { Labels } from "../log.ts";

/** Annotations by which engines tell what a container is part of. Sources: containerd, pkg/cri/annotations; cri-o, pkg/annotations; podman, libpod/define/annotations.go. */
const SOURCES: Readonly<Record<string, readonly string[]>> = {
  pod: ["io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"],
  podNamespace: ["io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"],
  podId: ["io.kubernetes.cri.sandbox-id", "io.kubernetes.cri-o.SandboxID", "io.podman.annotations.pod"],
  containerName: ["io.kubernetes.cri.container-name", "io.kubernetes.container.name"],
};

/** Of a container, for logs and metrics. */
export function labelsOf(id: string, annotations: Readonly<Record<string, string>>): Labels {
  const found = Object.entries(SOURCES).flatMap(([label, names]) => {
    const value = names.map((name) => annotations[name]).find((text) => text !== undefined && text !== "");
    return value === undefined ? [] : [[label, value]];
  });
  return { container: id, ...(Object.fromEntries(found) as Labels) };
}
