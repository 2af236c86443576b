import type { Container, ContainerOptions } from "../../support/container.ts";
import type { Spec } from "../../support/spec.ts";

export const SANDBOX = "dev.tssandbox.sandbox";

export interface MemberOptions extends ContainerOptions {
  /** Types of namespaces that it shares with the first. */
  readonly shares?: readonly string[];
}

/** What makes a container join the sandbox of `first`, which has been created. */
export function joining(first: Container, options: MemberOptions = {}): ContainerOptions {
  const edit = (spec: Spec, bundle: Parameters<NonNullable<ContainerOptions["edit"]>>[1]) => {
    spec.annotations = { ...spec.annotations, [SANDBOX]: first.id };
    for (const type of options.shares ?? ["network"]) share(spec, first, type);
    options.edit?.(spec, bundle);
  };
  return { args: ["sleep", "1000"], ...options, stateRoot: first.stateRoot, edit };
}

const FILES: Readonly<Record<string, string>> = { network: "net", mount: "mnt" };

function share(spec: Spec, { pid }: Container, type: string): void {
  const path = `/proc/${pid}/ns/${FILES[type] ?? type}`;
  const found = spec.linux.namespaces.find((namespace) => namespace.type === type);
  if (found === undefined) spec.linux.namespaces.push({ type, path });
  else found.path = path;
}
