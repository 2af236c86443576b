import { spawnSync } from "node:child_process";
import { Option } from "commander";
import type { Registry } from "./registry.ts";
import { membersOf } from "../container/members.ts";
import { statusOf } from "../container/status.ts";
import { Container } from "../container/store.ts";
import { print } from "./print.ts";

export function registerPs({ program, action }: Registry): void {
  program
    .command("ps")
    .argument("<id>")
    .argument("[options...]", "options for ps(1), default -ef")
    .description("list a container's processes by their pids on the host")
    .addOption(new Option("-f, --format <format>").choices(["table", "json"]).default("table"))
    .passThroughOptions()
    .action(
      action((globals, id: string, options: string[], flags: { format: "table" | "json" }) => {
        const container = Container.open(globals.root, id);
        const pids = statusOf(container) === "stopped" ? [] : membersOf(container);
        print(flags.format === "json" ? JSON.stringify(pids) : filteredTable(options.length === 0 ? ["-ef"] : options, new Set(pids)));
        return 0;
      }),
    );
}

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
