/** What is told of each container: read from state, cgroups and counters; no sandbox is asked, so one that hangs delays nothing. */
import { policies } from "../../../policies/syscalls/policy.ts";
import type { Config } from "../../config/schema.ts";
import { labelsOf } from "../../container/labels.ts";
import { allContainers } from "../../container/roots.ts";
import { cgroupOf, statusOf, type Status } from "../../container/status.ts";
import type { Container } from "../../container/store.ts";
import { inspectSandbox, type CountReport, type SandboxReport } from "../../sandbox/inspect.ts";
import { readSandboxRecord } from "../../sandbox/record.ts";
import { COMMIT, VERSION } from "../../version.ts";
import { Histogram, familyLines, head, type Family, type LabelSet, type Sample } from "./exposition.ts";

/** Seconds. A fork takes a millisecond, a machine's boot some seconds. */
const CREATE_BOUNDS = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30];

/** What goes on adding up from one look to the next. */
export class Collector {
  readonly #create = new Map<string, Histogram>();
  #seen: ReadonlySet<string> = new Set();
  readonly #config: Config;
  readonly #roots: readonly string[];
  readonly #warn: (message: string) => void;

  constructor(config: Config, roots: readonly string[], warn: (message: string) => void) {
    this.#config = config;
    this.#roots = roots;
    this.#warn = warn;
  }

  /** @returns the page. */
  collect(): string {
    const containers = allContainers(this.#config, this.#roots, this.#warn).map(({ container }) => container);
    this.#observe(containers);
    const families = familiesOf(containers.flatMap((container) => look(container) ?? []));
    const histograms = [...this.#create].flatMap(([mode, histogram]) => histogram.lines("create_seconds", { mode }));
    return [...families.flatMap(familyLines), ...(histograms.length === 0 ? [] : head("create_seconds", "Time that creating a container took, from its state directory to a process that waits for start.", "histogram")), ...histograms, ""].join("\n");
  }

  /** A container that is seen for the first time is counted, once. */
  #observe(containers: readonly Container[]): void {
    const now = new Set<string>();
    for (const { record: { id, created, mode, createMs } } of containers) {
      const key = `${id} ${created}`;
      now.add(key);
      if (createMs === undefined || this.#seen.has(key)) continue;
      const histogram = this.#create.get(mode) ?? new Histogram(CREATE_BOUNDS);
      this.#create.set(mode, histogram);
      histogram.observe(createMs / 1000);
    }
    this.#seen = now;
  }
}

interface Look {
  readonly labels: LabelSet;
  readonly mode: string;
  readonly status: Status;
  readonly tasks: number;
  readonly memory: number;
  readonly cpuSeconds: number;
  readonly sandbox: SandboxReport | undefined;
  /** Whether its sentry is that of another container, which tells of it. */
  readonly joined: boolean;
}

/** @returns undefined for one that is deleted at this moment. */
function look(container: Container): Look | undefined {
  const { id, mode, annotations } = container.record;
  try {
    const status = statusOf(container);
    const { memory, pids, cpu } = cgroupOf(container).stats();
    const total = Number(cpu.usage.total ?? 0);
    return { labels: named(labelsOf(id, annotations)), mode, status, tasks: Number(pids.current ?? 0), memory: Number(memory.usage?.usage ?? 0), cpuSeconds: total / 1e9, sandbox: mode === "sentry" ? inspectSandbox(container) : undefined, joined: readSandboxRecord(container.directory)?.sandbox !== undefined };
  } catch {
    return undefined;
  }
}

/** As cAdvisor names them. */
function named({ container = "", containerName, pod, podNamespace }: LabelSet): LabelSet {
  return { id: container, ...(containerName === undefined ? {} : { container: containerName }), ...(pod === undefined ? {} : { pod }), ...(podNamespace === undefined ? {} : { namespace: podNamespace }) };
}

function familiesOf(looks: readonly Look[]): Family[] {
  const each = (samples: (look: Look) => Sample | readonly Sample[]): Sample[] => looks.flatMap(samples);
  const ofSandbox = (samples: (sandbox: SandboxReport, labels: LabelSet, joined: boolean) => Sample | readonly Sample[]): Sample[] => looks.flatMap(({ sandbox, labels, joined }) => (sandbox === undefined ? [] : samples(sandbox, labels, joined)));
  return [
    { name: "build_info", help: "This program.", type: "gauge", samples: [{ labels: { version: VERSION, commit: COMMIT }, value: 1 }] },
    { name: "container_info", help: "A container, its mode and what it is doing.", type: "gauge", samples: each(({ labels, mode, status, sandbox }) => ({ labels: { ...labels, mode, status, ...(sandbox === undefined ? {} : { policy: sandbox.policy }) }, value: 1 })) },
    { name: "tasks", help: "Processes and threads of a container.", type: "gauge", samples: each(({ labels, tasks }) => ({ labels, value: tasks })) },
    { name: "memory_bytes", help: "Memory that a container's cgroup is charged with.", type: "gauge", samples: each(({ labels, memory }) => ({ labels, value: memory })) },
    { name: "cpu_seconds_total", help: "Processor time of a container's cgroup.", type: "counter", samples: each(({ labels, cpuSeconds }) => ({ labels, value: cpuSeconds })) },
    { name: "sandbox_memory_bytes", help: "Proportional share of memory of a sandbox's own processes.", type: "gauge", samples: ofSandbox(({ sentry, gofers }, labels, joined) => [...(sentry.memory === undefined || joined ? [] : [memorySample(labels, "sentry", sentry.memory.proportional)]), ...gofers.flatMap(({ memory, serves }) => (memory === undefined ? [] : [memorySample(labels, `gofer of ${serves.join(", ")}`, memory.proportional)]))]) },
    { name: "sandbox_failed", help: "Whether a sandbox's own process has ended before its time.", type: "gauge", samples: ofSandbox(({ lastWords }, labels) => ({ labels, value: lastWords === undefined ? 0 : 1 })) },
    { name: "trapped_calls_total", help: "System calls that the sentry has handled, by the class of the policy's table. What the filter refuses by itself nobody can count.", type: "counter", samples: ofSandbox((sandbox, labels) => sandbox.calls.map((call) => ({ labels: { ...labels, ...callLabels(sandbox, call) }, value: call.count }))) },
    { name: "trapped_call_seconds_total", help: "Time that handling them took.", type: "counter", samples: ofSandbox((sandbox, labels) => sandbox.calls.map((call) => ({ labels: { ...labels, ...callLabels(sandbox, call) }, value: call.totalMs / 1000 }))) },
    { name: "gofer_operations_total", help: "Requests for files that a gofer has handled.", type: "counter", samples: ofSandbox(({ connections }, labels) => connections.flatMap(({ name, operations }) => operations.map((operation) => ({ labels: { ...labels, connection: name, operation: operation.name }, value: operation.count })))) },
    { name: "gofer_operation_seconds_total", help: "Time that handling them took.", type: "counter", samples: ofSandbox(({ connections }, labels) => connections.flatMap(({ name, operations }) => operations.map((operation) => ({ labels: { ...labels, connection: name, operation: operation.name }, value: operation.totalMs / 1000 })))) },
  ];
}

const memorySample = (labels: LabelSet, process: string, value: number): Sample => ({ labels: { ...labels, process }, value });

function callLabels({ policy }: SandboxReport, { name }: CountReport): LabelSet {
  const rows = Object.values(policies).find((known) => known.name === policy)?.rows ?? [];
  return { call: name, class: rows.find((row) => row.name === name)?.class ?? "unknown" };
}
