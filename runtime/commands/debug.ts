import { Option } from "../commander.ts";
import { oneLine } from "../log.ts";
import { Container } from "../container/store.ts";
import type { GuestMount } from "../sandbox/guest-mounts.ts";
import { inspectSandbox, type BusyReport, type CountReport, type ConnectionReport, type GoferReport, type ProcessReport, type SandboxReport } from "../sandbox/inspect.ts";
import { print, table } from "./print.ts";
import type { Registry } from "./registry.ts";

export function registerDebug({ program, action }: Registry): void {
  program
    .command("debug")
    .argument("<id>")
    .description("show what goes on in a container's sandbox: tasks, trapped calls, file requests, mounts")
    .addOption(new Option("-f, --format <format>").choices(["table", "json"]).default("table"))
    .action(
      action((globals, id: string, { format }: { format: "table" | "json" }) => {
        const report = inspectSandbox(Container.open(globals.root, id));
        print(format === "json" ? JSON.stringify(report, null, 2) : describe(report));
        return 0;
      }),
    );
}

function describe(report: SandboxReport): string {
  const { ids: { guest, sentry }, tasks, calls, connections, mounts } = report;
  const sections = [
    table([
      ["container", `${report.id}, ${report.status}`],
      ...(report.sandbox === undefined ? [] : [["sandbox", `that of ${report.sandbox}`]]),
      ["policy", report.policy],
    ["platform", report.platform],
      ["ids on the host", `guest ${guest.map(({ hostID, size }) => `${hostID} to ${hostID + size - 1}`).join(", ")}; sentry ${sentry}`],
      ["root file system", report.rootWrites === "memory" ? "writes stay in memory" : "writes reach the host"],
      ["sentry", processText(report.sentry, report.busy)],
      ...report.gofers.map((gofer) => [`gofer of ${gofer.serves.join(", ")}`, processText(gofer, busyConnection(gofer, connections))]),
      ...(report.lastWords === undefined ? [] : [["last words", report.lastWords]]),
    ]),
    table([["PID", "SANDBOX", "GUEST", "THREADS", "STATE", "NAME"], ...tasks.map((task) => [task.pid, task.sandboxPid, task.guestPid, task.threads, task.state, oneLine(task.name)].map(String))]),
    table([["TRAPPED CALL", ...COUNTS], ...calls.map(countCells)]),
    table([["CONNECTION", "CACHE", "ACCESS", "OPERATION", ...COUNTS], ...connections.flatMap(connectionRows)]),
    table([["MOUNT", "TYPE", "ACCESS", "CONNECTION"], ...mountRows(mounts)]),
  ];
  return sections.join("\n\n");
}

const MIB = 1 << 20;
const COUNTS = ["COUNT", "TOTAL", "MEAN"];

function processText({ pid, alive, memory }: ProcessReport, busy: BusyReport | undefined): string {
  if (!alive) return "has ended";
  const size = memory === undefined ? "" : `, ${(memory.proportional / MIB).toFixed(1)} MiB (${(memory.own / MIB).toFixed(1)} of its own)`;
  return `pid ${pid}${size}${busy === undefined ? "" : `, handles ${busy.name} of task ${busy.sandboxPid} for ${busy.sinceMs.toFixed(1)} ms`}`;
}

function busyConnection({ serves }: GoferReport, connections: readonly ConnectionReport[]): BusyReport | undefined {
  return connections.flatMap(({ name, busy }) => (busy === undefined || !serves.includes(name) ? [] : { ...busy, name: `${busy.name} in ${name}` }))[0];
}

function countCells({ name, count, totalMs }: CountReport): string[] {
  return [name, String(count), `${totalMs.toFixed(1)} ms`, `${((totalMs / count) * 1000).toFixed(1)} us`];
}

/** The connection's name stands in the first of its rows. */
function connectionRows({ name, cache, readOnly, operations }: ConnectionReport): string[][] {
  const head = [name, cache ?? "made up", readOnly ? "read only" : "read, write"];
  if (operations.length === 0) return [head];
  return operations.map((operation, i) => [...(i === 0 ? head : ["", "", ""]), ...countCells(operation)]);
}

/** Of the many files that are the sandbox's own in /proc only their number is shown. */
function mountRows(mounts: readonly GuestMount[]): string[][] {
  const own = mounts.filter(({ connection }) => connection === "system");
  const rows = mounts.filter(({ connection }) => connection !== "system").map(({ path, type, readOnly, connection }) => [oneLine(path), type, readOnly ? "read only" : "read, write", connection ?? ""]);
  return own.length === 0 ? rows : [...rows, [`${own.length} of /proc and /sys`, "fuse", "read only", "system"]];
}
