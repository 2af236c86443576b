/** What `debug` and the end of a container need to know of its sandbox: `sandbox.json` in the container's state directory, written once. */
import { readFileSync, writeFileSync } from "node:fs";
import { ENOENT } from "../../linux/abi/errno.ts";
import { isErrno } from "../../linux/errors.ts";
import type { CachePolicy } from "../../gofer/export.ts";
import type { PlatformName } from "../../policies/syscalls/names.ts";
import { connectionsIn, type SandboxCounters } from "../../sentry/debug-counters.ts";
import type { Chassis } from "../../sentry/machine.ts";
import { processInfo } from "../container/process-info.ts";
import type { LinuxIDMapping, Spec } from "../spec/config.ts";
import type { GuestFiles } from "./files.ts";
import type { GoferGroup } from "./gofer-groups.ts";
import { readCalls } from "./calls.ts";
import type { SandboxIds } from "./ids.ts";

const FILE = "sandbox.json";
/** See sentry/debug-counters.ts. */
export const COUNTERS = "counters";

/** A process of the sandbox's own, by its pid on the host. */
export interface OwnProcess {
  readonly pid: number;
  /** See `ContainerRecord`. */
  readonly startTime: string;
}

export interface GoferRecord extends OwnProcess {
  /** Names of its connections. */
  readonly serves: GoferGroup;
}

export interface ConnectionRecord {
  readonly name: string;
  /** The FUSE connection's, as fusectl has it. */
  readonly number: number;
  /** Where it is mounted; undefined for `system`, which is in many places. */
  readonly destination: string | undefined;
  /** Undefined for what is made up. */
  readonly cache: CachePolicy | undefined;
  readonly readOnly: boolean;
}

export interface SandboxRecord {
  readonly policy: string;
  readonly platform: PlatformName;
  /** Id of the sandbox's first container, where it is another one. */
  readonly sandbox?: string | undefined;
  /** What the sentry counts of the container (calls.ts). */
  readonly area: number;
  readonly chassis: Chassis;
  readonly sentry: OwnProcess;
  /** The first serves the root file system. */
  readonly gofers: readonly GoferRecord[];
  /** On the host. */
  readonly ids: { readonly guest: readonly LinuxIDMapping[]; readonly sentry: number };
  /** Where writes to the root file system go. */
  readonly rootWrites: "memory" | "host";
  /** In the order of the counters. */
  readonly connections: readonly ConnectionRecord[];
}

interface Known {
  readonly policy: string;
  readonly directory: string;
  readonly sandbox: string | undefined;
  readonly ids: Pick<SandboxIds, "sentry">;
  readonly platform: PlatformName;
  /** As the guest gets it. */
  readonly spec: Spec;
  readonly files: Pick<GuestFiles, "fileSystems" | "loans" | "volumes" | "rootWrites">;
}

interface Started extends Pick<SandboxRecord, "area" | "chassis" | "sentry"> {
  readonly gofers: readonly Omit<GoferRecord, "startTime">[];
  /** Numbers of the connections. */
  readonly connections: readonly number[];
}

export function writeSandboxRecord({ directory, sandbox, ids, platform, spec, files, policy }: Known, { gofers, connections, ...started }: Started): void {
  const record: SandboxRecord = {
    policy,
    platform,
    sandbox,
    ...started,
    gofers: gofers.map(({ pid, serves }) => ({ ...ownProcess(pid), serves })),
    ids: { guest: spec.linux?.uidMappings ?? [], sentry: ids.sentry.uid },
    rootWrites: files.rootWrites,
    connections: files.fileSystems.map((name, i) => connection(name, connections[i] ?? 0, files)),
  };
  writeFileSync(`${directory}/${FILE}`, JSON.stringify(record), { mode: 0o600 });
}

/** One that has ended meanwhile has no start time: it is taken for ended later, too. */
export const ownProcess = (pid: number): OwnProcess => ({ pid, startTime: processInfo(pid)?.startTime ?? "" });

function connection(name: string, number: number, { loans, volumes }: Known["files"]): ConnectionRecord {
  const loan = loans.get(name);
  const mount = [...volumes].find(([, volume]) => volume.name === name)?.[0];
  return { name, number, destination: name === "root" ? "/" : mount?.destination, cache: loan?.cache, readOnly: loan?.readOnly ?? true };
}

/** @returns undefined where the container has no sandbox. */
export function readSandboxRecord(directory: string): SandboxRecord | undefined {
  try {
    return JSON.parse(readFileSync(`${directory}/${FILE}`, "utf8")) as SandboxRecord;
  } catch (error) {
    if (isErrno(error, ENOENT)) return undefined;
    throw error;
  }
}

export function requireSandboxRecord(directory: string): SandboxRecord {
  const record = readSandboxRecord(directory);
  if (record === undefined) throw new Error(`${directory}: there is no sandbox`);
  return record;
}

export function readCounters(directory: string, { area, connections }: SandboxRecord): SandboxCounters {
  // A copy, because what Node gives may lie anywhere.
  const bytes = new Uint8Array(readFileSync(`${directory}/${COUNTERS}`));
  return { sentry: readCalls(directory, area), connections: connectionsIn(bytes, connections.length) };
}
