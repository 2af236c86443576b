/**
 * Several containers in one machine. The first one's machine is the group's: the others find it by the first one's id, in its state directory, and it
 * ends with the first one.
 */
import { dirname } from "node:path";
import { effectiveUid } from "../../linux/credentials.ts";
import { statusOf } from "../container/status.ts";
import { Container, ContainerError } from "../container/store.ts";
import { validateId } from "../spec/id.ts";

/** Kubernetes' engines tell a pod's first container from the others, and what its id is. */
const ENGINES = [
  { type: "io.kubernetes.cri.container-type", sandbox: "io.kubernetes.cri.sandbox-id" },
  { type: "io.kubernetes.cri-o.ContainerType", sandbox: "io.kubernetes.cri-o.SandboxID" },
] as const;
/** Names the first container; on that itself it says that others may come. */
const ANNOTATION = "dev.tssandbox.sandbox";

/** Which part a container has in a machine. */
export type Membership = { readonly kind: "alone" } | { readonly kind: "first" } | { readonly kind: "member"; readonly of: string };

/** @throws ConfigError for an id that is none */
export function membershipOf(annotations: Readonly<Record<string, string>>, id: string): Membership {
  const first = annotations[ANNOTATION] ?? sandboxOfEngine(annotations, id);
  if (first === undefined) return { kind: "alone" };
  if (first === id) return { kind: "first" };
  validateId(first);
  return { kind: "member", of: first };
}

function sandboxOfEngine(annotations: Readonly<Record<string, string>>, id: string): string | undefined {
  for (const { type, sandbox } of ENGINES) {
    if (annotations[type] === "sandbox") return id;
    if (annotations[type] === "container") return annotations[sandbox];
  }
  return undefined;
}

/** The state directory with the machine's sockets. */
export function machineDirectory({ directory, record: { annotations, id } }: Container): string {
  const membership = membershipOf(annotations, id);
  return membership.kind === "member" ? Container.directoryOf(dirname(directory), membership.of) : directory;
}

/** @returns the first container's state directory. @throws ContainerError where a container cannot join it */
export function findMachine(root: string, first: string): string {
  const container = Container.open(root, first);
  const { record: { mode, ownerId, annotations }, directory } = container;
  if (mode !== "vm") throw new ContainerError(`container ${first} has no virtual machine to join: its mode is ${mode}`);
  if (ownerId !== effectiveUid()) throw new ContainerError(`container ${first} is another user's`);
  if (membershipOf(annotations, first).kind !== "first") throw new ContainerError(`container ${first} has a machine for itself alone: its annotation ${ANNOTATION} would have to be ${first}`);
  const status = statusOf(container);
  if (status !== "running" && status !== "created") throw new ContainerError(`cannot join the machine of a ${status} container: ${first}`);
  return directory;
}
