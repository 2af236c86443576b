/** What a span of a container tells. Names: opentelemetry.io, Semantic Conventions, "Container" and "Kubernetes". */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { labelsOf } from "../container/labels.ts";
import type { About } from "./tracing.ts";

const NAMES: Readonly<Record<string, string>> = { container: "container.id", containerName: "k8s.container.name", pod: "k8s.pod.name", podNamespace: "k8s.namespace.name", podId: "tssandbox.pod.id" };

const TRACEPARENT = "traceparent";

/** @param call what came with it: containerd hands its own span on. @param bundle whose annotations may name one too, if it has a configuration yet. */
export function aboutContainer(id: string, bundle: string, call: ReadonlyMap<string, string> = new Map()): About {
  const annotations = annotationsIn(bundle);
  const labels = Object.entries(labelsOf(id, annotations)).map(([name, value]) => [NAMES[name] ?? name, value] as const);
  return { attributes: Object.fromEntries(labels), parents: [call.get(TRACEPARENT), annotations[`dev.tssandbox.${TRACEPARENT}`], process.env["TRACEPARENT"]] };
}

function annotationsIn(bundle: string): Readonly<Record<string, string>> {
  try {
    const { annotations = {} } = JSON.parse(readFileSync(join(bundle, "config.json"), "utf8")) as { annotations?: Record<string, string> };
    return annotations;
  } catch {
    return {};
  }
}
