/** What a spare is told to become: a launch without what only a fork could hand on, as JSON and descriptors. */
import type { Fd } from "../../linux/fd.ts";
import type { NamespaceFile } from "../../linux/namespace.ts";
import type { Mount, Process, Spec } from "../spec/config.ts";
import type { CgroupMount, ContainerLaunch } from "./launch.ts";

/** How many standard streams go ahead of all other descriptors. */
export const STREAMS = 3;

interface Order {
  readonly id: string;
  readonly spec: Spec;
  readonly process: Process;
  readonly rootfs: string;
  readonly create: readonly NamespaceFile[];
  readonly join: readonly { readonly file: NamespaceFile; readonly path: string }[];
  readonly filters: readonly { readonly program: string; readonly flags: number; readonly early: boolean }[];
  readonly newKeyring: boolean;
  readonly denySetgroups: boolean;
  readonly cgroups: readonly CgroupMount[];
  readonly noPivot: boolean;
  /** By their places in `spec.mounts`. */
  readonly binds: readonly number[];
  readonly tasks: number;
  readonly birthplace: boolean;
  readonly console: boolean;
  /** For the hooks; status and pid are to be filled in. */
  readonly state: object;
}

/** Whether a launch has nothing but what an order can tell: no callbacks, no preserved descriptors. A stage's work is none of a spare's either. */
export function canBeOrdered({ embedded, guest, preserveFds, filters, process }: ContainerLaunch): boolean {
  const labelled = Boolean(process.apparmorProfile) || Boolean(process.selinuxLabel);
  const told = filters.some(({ listener, gate }) => listener !== undefined || gate !== undefined);
  return embedded === undefined && guest === undefined && preserveFds === 0 && !labelled && !told;
}

/**
 * @param made namespaces that the spare is in already. @returns the text and, but for the standard streams, the descriptors in their order.
 * Preconditions: `canBeOrdered`.
 */
export function encodeOrder(launch: ContainerLaunch, made: readonly NamespaceFile[]): { readonly text: string; readonly fds: readonly Fd[] } {
  const { id, spec, process, rootfs, create, join, newKeyring, denySetgroups, cgroups, noPivot, joining, console, bindSources } = launch;
  const binds = [...bindSources.keys()].map((mount) => (spec.mounts ?? []).indexOf(mount));
  const order: Order = {
    id, spec, process, rootfs, newKeyring, denySetgroups, cgroups, noPivot, binds,
    create: create.filter((file) => !made.includes(file)),
    join: join.map(({ file, path }) => ({ file, path })),
    filters: launch.filters.map(({ program, flags, early }) => ({ program: Buffer.from(program).toString("base64"), flags, early })),
    tasks: joining.tasks.length,
    birthplace: joining.birthplace !== undefined,
    console: console !== undefined,
    state: JSON.parse(launch.hookState("creating", 0)) as object,
  };
  const optional = [joining.birthplace, console?.socket].filter((fd) => fd !== undefined);
  return { text: JSON.stringify(order), fds: [launch.channel, launch.startSocket, launch.createdLock, ...joining.tasks, ...optional, ...join.map(({ fd }) => fd), ...bindSources.values()] };
}

/** What init is to run, and with which standard streams. */
export interface Ordered {
  readonly launch: ContainerLaunch;
  readonly streams: readonly Fd[];
}

/** The other way round. @param fds the standard streams first. */
export function decodeOrder(text: string, fds: readonly Fd[], hostProc: Fd): Ordered {
  const order = JSON.parse(text) as Order;
  const { spec, binds, tasks, birthplace, console, join, filters, state, ...same } = order;
  const rest = [...fds];
  const next = (): Fd => {
    const fd = rest.shift();
    if (fd === undefined) throw new Error("an order without its descriptors");
    return fd;
  };
  const several = (count: number) => Array.from({ length: count }, next);
  const streams = several(STREAMS);
  const launch: ContainerLaunch = {
    ...same,
    spec,
    channel: next(),
    startSocket: next(),
    createdLock: next(),
    joining: { tasks: several(tasks), birthplace: birthplace ? next() : undefined, move: () => undefined },
    console: console ? { socket: next() } : undefined,
    join: join.map((namespace) => ({ ...namespace, fd: next() })),
    bindSources: new Map(binds.map((place): [Mount, Fd] => [mountAt(spec, place), next()])),
    // Asked only where there is a label.
    filters: filters.map(({ program, ...filter }) => ({ ...filter, program: Buffer.from(program, "base64"), allows: () => false, listener: undefined })),
    preserveFds: 0,
    listenFds: 0,
    hostProc,
    guest: undefined,
    embedded: undefined,
    hookState: (status, pid) => JSON.stringify({ ...state, status, pid }),
  };
  return { launch, streams };
}

function mountAt({ mounts = [] }: Spec, place: number): Mount {
  const mount = mounts[place];
  if (mount === undefined) throw new Error("an order that names a mount which is none of its configuration");
  return mount;
}
