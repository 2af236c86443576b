import { poll } from "../../linux/poll.ts";
import { statsJson } from "../cgroups/index.ts";
import type { Registry } from "./registry.ts";
import { cgroupOf, statusOf } from "../container/status.ts";
import { Container, ContainerError } from "../container/store.ts";
import { duration } from "./arguments.ts";
import { print } from "./print.ts";

interface EventsFlags {
  readonly stats?: boolean;
  readonly interval: number;
}

const DEFAULT_INTERVAL_MS = 5000;

export function registerEvents({ program, action }: Registry): void {
  program
    .command("events")
    .argument("<id>")
    .description("print statistics and OOM events, a line of JSON each")
    .option("--stats", "print the statistics once")
    .option("--interval <duration>", "time between statistics", duration, DEFAULT_INTERVAL_MS)
    .action(
      action((globals, id: string, { stats, interval }: EventsFlags) => {
        const container = Container.open(globals.root, id);
        if (interval <= 0) throw new Error("--interval must be more than 0");
        if (statusOf(container) === "stopped") throw new ContainerError(`container not running: ${id}`);
        if (stats === true) printStats(container);
        else follow(container, interval);
        return 0;
      }),
    );
}

function printStats(container: Container): void {
  print(statsJson({ type: "stats", id: container.record.id, data: cgroupOf(container).stats() }));
}

/** Until the container stops. An OOM kill is told when it happens. */
function follow(container: Container, interval: number): void {
  using oom = cgroupOf(container).oomEvents();
  for (let next = Date.now() + interval; statusOf(container) !== "stopped"; ) {
    poll(oom === undefined ? [] : [oom.request], Math.max(0, next - Date.now()));
    const news = oom?.take() ?? "none";
    if (news === "gone") return;
    if (news === "oom") print(JSON.stringify({ type: "oom", id: container.record.id }));
    if (Date.now() < next) continue;
    if (statusOf(container) === "stopped") return;
    printStats(container);
    next += interval;
  }
}
