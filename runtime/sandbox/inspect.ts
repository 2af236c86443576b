/** What can be said of a running sandbox, from its counters and the host's /proc: nothing in it is asked, so it may hang. */
import { readFileSync } from "node:fs";
import { callName, operationName } from "../../sentry/debug-names.ts";
import type { Counters } from "../../sentry/debug-counters.ts";
import { now } from "../../linux/sleep.ts";
import { membersOf } from "../container/members.ts";
import { isAlive } from "../container/process-info.ts";
import { statusOf } from "../container/status.ts";
import { ContainerError, type Container } from "../container/store.ts";
import { lastWords } from "./log.ts";
import { guestMounts, type GuestMount } from "./guest-mounts.ts";
import { readCounters, readSandboxRecord, type ConnectionRecord, type OwnProcess, type SandboxRecord } from "./record.ts";

/** A process of the guest's. */
export interface TaskReport {
  /** On the host. */
  readonly pid: number;
  /** In the sentry's pid namespace, as the sandbox's log has it. */
  readonly sandboxPid: number;
  /** In the guest's. */
  readonly guestPid: number;
  readonly name: string;
  /** `R (running)` ... */
  readonly state: string;
  readonly threads: number;
}

export interface CountReport {
  readonly name: string;
  readonly count: number;
  readonly totalMs: number;
}

/** What is being handled at this moment. */
export interface BusyReport {
  readonly name: string;
  readonly sandboxPid: number;
  readonly sinceMs: number;
}

export interface ProcessReport {
  readonly pid: number;
  readonly alive: boolean;
  /** Bytes: its share of all that it has mapped, and what it has alone. Left out where that may not be read. */
  readonly memory?: { readonly proportional: number; readonly own: number };
}

export interface GoferReport extends ProcessReport {
  /** Names of its connections. */
  readonly serves: readonly string[];
}

export interface ConnectionReport extends ConnectionRecord {
  readonly operations: readonly CountReport[];
  readonly busy?: BusyReport;
}

export interface SandboxReport {
  readonly id: string;
  readonly status: string;
  readonly policy: string;
  readonly platform: SandboxRecord["platform"];
  /** Id of the sandbox's first container, where it is another one. */
  readonly sandbox?: string;
  readonly ids: SandboxRecord["ids"];
  readonly rootWrites: SandboxRecord["rootWrites"];
  readonly sentry: ProcessReport;
  readonly gofers: readonly GoferReport[];
  readonly tasks: readonly TaskReport[];
  /** Trapped system calls. */
  readonly calls: readonly CountReport[];
  readonly busy?: BusyReport;
  readonly connections: readonly ConnectionReport[];
  readonly mounts: readonly GuestMount[];
  /** Why the sandbox's processes say that they have ended. */
  readonly lastWords?: string;
}

/** @throws ContainerError where the container has no sandbox. */
export function inspectSandbox(container: Container): SandboxReport {
  const { directory, record: { id, pid } } = container;
  const record = readSandboxRecord(directory);
  if (record === undefined) throw new ContainerError(`container ${id} has no sandbox: it was not created with --mode sentry`);
  const counters = readCounters(directory, record);
  const status = statusOf(container);
  const stopped = status === "stopped";
  return {
    id,
    status,
    policy: record.policy,
    platform: record.platform,
    ...(record.sandbox !== undefined && { sandbox: record.sandbox }),
    ids: record.ids,
    rootWrites: record.rootWrites,
    sentry: describeProcess(record.sentry),
    gofers: record.gofers.map((gofer) => ({ ...describeProcess(gofer), serves: gofer.serves })),
    tasks: stopped ? [] : membersOf(container).flatMap((member) => describeTask(member) ?? []),
    calls: countsOf(counters.sentry, callName),
    ...busyOf(counters.sentry, callName),
    connections: record.connections.map((connection, i) => describeConnection(connection, counters.connections[i])),
    mounts: stopped ? [] : guestMounts(pid, record),
    ...wordsOf(directory),
  };
}

function describeConnection(connection: ConnectionRecord, counters: Counters | undefined): ConnectionReport {
  if (counters === undefined) return { ...connection, operations: [] };
  return { ...connection, operations: countsOf(counters, operationName), ...busyOf(counters, operationName) };
}

const countsOf = (counters: Counters, nameOf: (operation: number) => string): CountReport[] =>
  counters.counts().map(({ operation, count, total }) => ({ name: nameOf(operation), count, totalMs: total }));

function busyOf({ busy }: Counters, nameOf: (operation: number) => string): { busy?: BusyReport } {
  return busy === undefined ? {} : { busy: { name: nameOf(busy.operation), sandboxPid: busy.task, sinceMs: now() - busy.since } };
}

function wordsOf(directory: string): { lastWords?: string } {
  const words = lastWords(directory);
  return words === undefined ? {} : { lastWords: words };
}

function describeProcess({ pid, startTime }: OwnProcess): ProcessReport {
  const alive = isAlive(pid, startTime);
  const memory = alive ? memoryOf(pid) : undefined;
  return { pid, alive, ...(memory !== undefined && { memory }) };
}

/** Source: proc_pid_smaps(5), smaps_rollup. @returns undefined where it is gone or not ours to read. */
function memoryOf(pid: number): ProcessReport["memory"] {
  const text = readProc(pid, "smaps_rollup");
  if (text === undefined) return undefined;
  const kib = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(text)?.[1] ?? 0);
  return { proportional: kib("Pss") * 1024, own: (kib("Private_Clean") + kib("Private_Dirty")) * 1024 };
}

/** Source: proc_pid_status(5). @returns undefined where it is gone. */
function describeTask(pid: number): TaskReport | undefined {
  const text = readProc(pid, "status");
  if (text === undefined) return undefined;
  const field = (name: string) => new RegExp(`^${name}:\\t(.*)$`, "m").exec(text)?.[1] ?? "";
  const [, sandboxPid = 0, guestPid = 0] = field("NSpid").split("\t").map(Number);
  return { pid, sandboxPid, guestPid, name: field("Name"), state: field("State"), threads: Number(field("Threads")) };
}

function readProc(pid: number, name: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "latin1");
  } catch {
    return undefined;
  }
}
