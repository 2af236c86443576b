/**
 * Which sandbox a container belongs to: annotations name the sandbox's first container, as engines do with a pod's. An image may bring annotations along,
 * and to get into somebody else's sandbox is to get nearer to him: so the configuration must share a namespace with that container as well, by a
 * path, which nobody but its author can have written. Decision 0042.
 */
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { effectiveUid } from "../../linux/credentials.ts";
import { inUserNamespace } from "../container/id-maps.ts";
import type { PolicyName } from "../../policies/syscalls/names.ts";
import type { Logger } from "../log.ts";
import { statusOf } from "../container/status.ts";
import { Container, ContainerError } from "../container/store.ts";
import { validateId } from "../spec/id.ts";
import type { LinuxNamespace, LinuxNamespaceType, Spec } from "../spec/config.ts";
import { ConfigError } from "../spec/report.ts";
import { lives } from "./failure.ts";
import { lastWords } from "./log.ts";
import { readSandboxRecord } from "./record.ts";

/** The container that another one names as its sandbox's first. */
export interface Named {
  readonly first: Container;
  /** The annotation that names it. */
  readonly annotation: string;
  /** See `Naming`. */
  readonly binding: boolean;
}

/** The sandbox that a container joins. */
export interface Group extends Named {
  /** Whose processes, or ids, the configuration shares; undefined: nobody's. */
  readonly fellow: Container | undefined;
}

interface Naming {
  /** Its value is the sandbox's id. */
  readonly sandbox: string;
  /** Its value is `container` for who joins, `sandbox` for the first; undefined: no such annotation is asked for. */
  readonly role: string | undefined;
  /** Whether who names a sandbox that cannot be joined is refused, or gets one of his own: an engine's pod may have no first container of ours. */
  readonly binding: boolean;
}

const NAMINGS: readonly Naming[] = [
  { sandbox: "dev.tssandbox.sandbox", role: undefined, binding: true },
  // containerd, pkg/cri/annotations.
  { sandbox: "io.kubernetes.cri.sandbox-id", role: "io.kubernetes.cri.container-type", binding: false },
  // CRI-O, pkg/annotations.
  { sandbox: "io.kubernetes.cri-o.SandboxID", role: "io.kubernetes.cri-o.ContainerType", binding: false },
];

const MEMBER = "container";
const FIRST = "sandbox";

/** Whether a container says of itself that others may come: a pod's first one by its engine's annotation, or any by ours with its own id. */
export const saysItIsFirst = (annotations: Readonly<Record<string, string>>, id: string): boolean =>
  NAMINGS.some(({ sandbox, role }) => (role === undefined ? annotations[sandbox] === id : annotations[role] === FIRST));

/**
 * @param root directory of the containers' state. @returns undefined for a container that has a sandbox of its own, or is its first.
 * @throws ConfigError, ContainerError where it cannot join the one that it names.
 */
export function findNamed(root: string, id: string, spec: Spec, log: Pick<Logger, "debug">): Named | undefined {
  const annotations = spec.annotations ?? {};
  const naming = NAMINGS.find(({ sandbox, role }) => annotations[sandbox] && annotations[sandbox] !== id && (role === undefined || annotations[role] === MEMBER));
  if (naming === undefined) return undefined;
  const named = annotations[naming.sandbox] ?? "";
  const annotation = `annotations["${naming.sandbox}"]`;
  validateId(named);
  const first = Container.tryOpen(root, named);
  const obstacle = first === undefined ? "there is no such container" : obstacleTo(first, annotation, spec);
  if (first === undefined || obstacle !== undefined) {
    if (naming.binding) throw new ConfigError("config.json", annotation, `${named}: ${obstacle}`);
    log.debug(`${annotation}: ${named}: ${obstacle}: a sandbox of its own`);
    return undefined;
  }
  return { first, annotation, binding: naming.binding };
}

/**
 * Under `strict` a sentry is in its one guest's namespaces: there each container has a sandbox of its own.
 * @throws ConfigError where the configuration joins a pid or user namespace of nobody's in the sandbox.
 */
export function joinGroup(root: string, named: Named, spec: Spec, policy: PolicyName): Group | undefined {
  if (policy === "strict" && named.binding) throw new ConfigError("config.json", named.annotation, "under the policy strict each container has a sandbox of its own");
  if (policy === "strict") return undefined;
  return { ...named, fellow: fellowOf(spec, [named.first, ...membersOf(root, named.first)]) };
}

/** A machine's containers have rules of their own: runtime/vm/group.ts. */
function obstacleTo(first: Container, annotation: string, spec: Spec): string | undefined {
  if (first.record.mode !== "sentry") return undefined;
  requireAlive(first, annotation);
  if (effectiveUid() !== 0 || inUserNamespace()) return "several containers in one sandbox take the host's root so far";
  if (first.record.sandbox !== undefined) return `it belongs to the sandbox ${first.record.sandbox} itself`;
  const shares = (spec.linux?.namespaces ?? []).some((namespace) => namespace.path && isOf(namespace, first));
  return shares ? undefined : "the configuration shares no namespace with it: give the path of one, of its network for example, in linux.namespaces";
}

/** @throws ContainerError */
export function requireAlive(first: Container, annotation: string): void {
  const status = statusOf(first);
  if (status === "stopped" || status === "creating") throw new ContainerError(`${annotation}: the sandbox ${first.record.id} cannot be joined: its first container is ${status}`);
}

/** Why a container could not join, if the sandbox has ended meanwhile. */
export function endOfGroup({ first, annotation }: Group): string | undefined {
  const sentry = readSandboxRecord(first.directory)?.sentry;
  if (sentry !== undefined && lives(sentry) && statusOf(first) !== "stopped") return undefined;
  const words = lastWords(first.directory);
  return `the sandbox ${first.record.id}, which ${annotation} names, has ended${words === undefined ? "" : ` (${words})`}`;
}

const FILES: Readonly<Record<LinuxNamespaceType, string>> = { pid: "pid", network: "net", mount: "mnt", ipc: "ipc", uts: "uts", user: "user", cgroup: "cgroup", time: "time" };

/** Whether the namespace is the container's. */
function isOf({ type, path }: LinuxNamespace, { record: { pid } }: Container): boolean {
  const [one, other] = [path ?? "", `/proc/${pid}/ns/${FILES[type]}`].map((file) => statSync(file, { throwIfNoEntry: false }));
  return one !== undefined && other !== undefined && one.ino === other.ino && one.dev === other.dev;
}

/** In the first container's state directory: a file for each further one, by its id, which stays when that one is deleted. */
const MEMBERS = "members";

/** @param id of a container whose record says that it belongs to the sandbox. */
export function enroll({ directory }: Container, id: string): void {
  mkdirSync(join(directory, MEMBERS), { recursive: true, mode: 0o700 });
  writeFileSync(join(directory, MEMBERS, id), "");
}

/** Containers of a sandbox beside its first one, those that have ended included. Who has been deleted is forgotten. */
export function membersOf(root: string, first: Container): Container[] {
  const list = join(first.directory, MEMBERS);
  if (!existsSync(list)) return [];
  return readdirSync(list).flatMap((id) => {
    const member = Container.tryOpen(root, id);
    if (member?.record.sandbox === first.record.id) return [member];
    rmSync(join(list, id), { force: true });
    return [];
  });
}

/** Who has the pid namespace that is to be joined, or the user namespace: among several, the one whose init is that of the namespace. */
function fellowOf({ linux }: Spec, candidates: readonly Container[]): Container | undefined {
  const wanted = (linux?.namespaces ?? []).filter(({ type, path }) => (type === "pid" || type === "user") && path);
  if (wanted.length === 0) return undefined;
  const fellow = candidates.find((candidate) => candidate.record.ownPidNamespace && wanted.every((namespace) => isOf(namespace, candidate)));
  if (fellow === undefined) throw new ConfigError("config.json", "linux.namespaces", `the path of the ${wanted.map(({ type }) => type).join(" and the ")} namespace must be that of a container in the same sandbox`);
  return fellow;
}
