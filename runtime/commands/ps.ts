import { spawnSync } from "node:child_process";
import { Option } from "../commander.ts";
import type { Registry } from "./registry.ts";
import { membersOf } from "../container/members.ts";
import { statusOf } from "../container/status.ts";
import { Container } from "../container/store.ts";
import { labelsOf } from "../container/labels.ts";
import { allContainers } from "../container/roots.ts";
import type { Globals } from "../globals.ts";
import { oneLine } from "../log.ts";
import { processesOf, type ProcessLine } from "../vm/ask.ts";
import { print, table } from "./print.ts";

export function registerPs({ program, action }: Registry): void {
  program
    .command("ps")
    .argument("[id]")
    .argument("[options...]", "options for ps(1), default -ef")
    .description("list a container's processes by their pids on the host (those of a machine by the guest's, with no options), or all containers of this machine")
    .option("--all", "the containers of all engines, with their pods")
    .addOption(new Option("-f, --format <format>").choices(["table", "json"]).default("table"))
    .passThroughOptions()
    .action(
      action((globals, id: string | undefined, options: string[], flags: { format: "table" | "json"; all?: boolean }) => {
        if (flags.all === true) return printAll(globals, flags.format);
        if (id === undefined) throw new Error("ps: give a container's id, or --all");
        const container = Container.open(globals.root, id);
        if (container.record.mode === "vm") {
          const processes = statusOf(container) === "stopped" ? [] : processesOf(container);
          print(flags.format === "json" ? JSON.stringify(processes.map(({ pid }) => pid)) : guestTable(processes));
          return 0;
        }
        const pids = statusOf(container) === "stopped" ? [] : membersOf(container);
        print(flags.format === "json" ? JSON.stringify(pids) : filteredTable(options.length === 0 ? ["-ef"] : options, new Set(pids)));
        return 0;
      }),
    );
}

function printAll({ config, root, log }: Globals, format: "table" | "json"): number {
  const rows = allContainers(config, [root], (message) => log.warn(message)).map(({ root, container }) => {
    const { id, mode, pid, annotations } = container.record;
    const status = statusOf(container);
    const { pod, podNamespace, containerName } = labelsOf(id, annotations);
    return { id, root, mode, status, pid: status === "stopped" ? 0 : pid, processes: status === "stopped" ? 0 : membersOf(container).length, containerName, pod, podNamespace };
  });
  const cells = rows.map(({ id, root, mode, status, pid, processes, pod, podNamespace, containerName }) => [id, mode, status, String(pid), String(processes), [podNamespace, pod, containerName].filter((text) => text !== undefined).join("/"), root]);
  print(format === "json" ? JSON.stringify(rows) : table([["ID", "MODE", "STATUS", "PID", "PROCESSES", "POD", "ROOT"], ...cells]));
  return 0;
}

/** By the guest's numbers. What a hostile guest writes is not to reach a terminal as it is. */
function guestTable(processes: readonly ProcessLine[]): string {
  const lines = processes.map(({ uid, pid, parent, command }) => guestLine([uid, pid, parent], oneLine(command)));
  return [guestLine(["UID", "PID", "PPID"], "CMD"), ...lines].join("\n");
}

const guestLine = (numbers: readonly unknown[], command: string) => [...numbers.map((number) => String(number).padStart(8)), command].join(" ");

/** The lines of ps(1) whose PID is one of `pids`, under its header. */
function filteredTable(options: readonly string[], pids: ReadonlySet<number>): string {
  const result = spawnSync("ps", options, { encoding: "utf8" });
  if (result.error !== undefined) throw new Error(`ps: ${result.error.message}; the table needs ps(1) on the host, --format json does not`);
  if (result.status !== 0) throw new Error(`ps ${options.join(" ")}: ${result.stderr.trim()}`);
  const [header = "", ...lines] = result.stdout.trimEnd().split("\n");
  const column = header.trim().split(/\s+/).indexOf("PID");
  if (column === -1) throw new Error(`ps ${options.join(" ")}: its output has no PID column`);
  return [header, ...lines.filter((line) => pids.has(Number(line.trim().split(/\s+/)[column])))].join("\n");
}
