import { readdirSync, readFileSync } from "node:fs";
import { inStep } from "../../linux/errors.ts";
import type { Registry } from "./registry.ts";
import { enterRdt, planRdt, schemataOf, setSchemata } from "../container/intel-rdt.ts";
import { updateContainer } from "../container/resources.ts";
import { cgroupOf, statusOf } from "../container/status.ts";
import { Container, ContainerError } from "../container/store.ts";
import type { LinuxIntelRdt, LinuxResources } from "../spec/config.ts";
import { parseResources, type Checked } from "../spec/validate.ts";
import { bytes, integer } from "./arguments.ts";

/** How a value is read; -1 is no limit. */
const PARSERS = { number: integer(-1, Number.MAX_SAFE_INTEGER), bytes: bytes(-1), text: (text: string) => text };

/** One flag, where its value goes in linux.resources. */
type Setting = readonly [flag: string, description: string, section: "cpu" | "memory" | "pids" | "blockIO", key: string, kind: keyof typeof PARSERS];

const SETTINGS: readonly Setting[] = [
  ["--blkio-weight", "weight, 10 to 1000", "blockIO", "weight", "number"],
  ["--cpu-period", "period of the CPU limit in us", "cpu", "period", "number"],
  ["--cpu-quota", "CPU time in a period in us", "cpu", "quota", "number"],
  ["--cpu-burst", "CPU time that may be carried over in us", "cpu", "burst", "number"],
  ["--cpu-share", "relative weight", "cpu", "shares", "number"],
  ["--cpu-rt-period", "period of the realtime limit in us", "cpu", "realtimePeriod", "number"],
  ["--cpu-rt-runtime", "realtime CPU time in a period in us", "cpu", "realtimeRuntime", "number"],
  ["--cpu-idle", "1 for idle priority", "cpu", "idle", "number"],
  ["--cpuset-cpus", "CPUs", "cpu", "cpus", "text"],
  ["--cpuset-mems", "memory nodes", "cpu", "mems", "text"],
  ["--memory", "limit, with an optional suffix k, m or g", "memory", "limit", "bytes"],
  ["--memory-reservation", "soft limit", "memory", "reservation", "bytes"],
  ["--memory-swap", "limit of memory and swap together", "memory", "swap", "bytes"],
  ["--kernel-memory", "accepted for compatibility: no kernel has this limit any more", "memory", "kernel", "bytes"],
  ["--kernel-memory-tcp", "limit of TCP buffers", "memory", "kernelTCP", "bytes"],
  ["--pids-limit", "number of tasks", "pids", "limit", "number"],
];

/** As commander hands them over: those of SETTINGS by their names. */
interface UpdateFlags extends Record<string, string | number | undefined> {
  readonly resources?: string;
  readonly l3CacheSchema?: string;
  readonly memBwSchema?: string;
}

export function registerUpdate({ program, action }: Registry): void {
  const command = program
    .command("update")
    .argument("<id>")
    .description("change a container's limits")
    .option("-r, --resources <file>", "linux.resources as JSON; - for standard input");
  for (const [flag, description, , , kind] of SETTINGS) command.option<string | number>(`${flag} <value>`, description, PARSERS[kind]);
  command.option("--mem-bw-schema <schema>", "memory bandwidth of the container's resctrl group").option("--l3-cache-schema <schema>", "L3 cache of that group");
  command.action(
    action((globals, id: string, flags: UpdateFlags) => {
      const container = Container.open(globals.root, id);
      if (statusOf(container) === "stopped") throw new ContainerError(`container not running: ${id}`);
      const rdt = rdtOf(flags);
      updateContainer(container, resourcesOf(flags), globals.log);
      if (schemataOf(rdt).length > 0) inStep("resctrl", () => updateRdt(container, rdt));
      return 0;
    }),
  );
}

/** `--resources` replaces all other flags, as in runc. */
function resourcesOf({ resources: file, ...flags }: UpdateFlags): Checked<LinuxResources> {
  if (file !== undefined) return parseResources(readFileSync(file === "-" ? 0 : file, "utf8"));
  const resources: Record<string, Record<string, string | number>> = {};
  for (const [flag, , section, key] of SETTINGS) {
    const value = flags[flag.slice(2).replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())];
    if (value !== undefined) (resources[section] ??= {})[key] = value;
  }
  return parseResources(JSON.stringify(resources));
}

function rdtOf({ l3CacheSchema, memBwSchema }: UpdateFlags): LinuxIntelRdt {
  if (l3CacheSchema?.includes("\n") === true) throw new Error("--l3-cache-schema: must be one line");
  if (memBwSchema !== undefined && !/^MB:[^\n]*$/.test(memBwSchema)) throw new Error("--mem-bw-schema: must be one line that starts with MB:");
  return { l3CacheSchema, memBwSchema };
}

/** A container that was created without a group gets one of its own now, as in runc; here all of its tasks move there. */
function updateRdt(container: Container, rdt: LinuxIntelRdt): void {
  if (container.record.rdt !== undefined) return setSchemata(container.record.rdt, schemataOf(rdt));
  using _lock = container.lock();
  container.reload();
  const plan = planRdt(rdt, container.record.id);
  container.save({ ...container.record, rdt: plan });
  const tasks = cgroupOf(container).pids().flatMap((pid) => readdirSync(`/proc/${pid}/task`).map(Number));
  if (plan !== undefined) enterRdt(plan, rdt, tasks);
}
