import { poll } from "../../linux/poll.ts";
import { waitUntil } from "../../linux/sleep.ts";
import type { Registry } from "./registry.ts";
import { oomEventsOf, statsOf } from "../container/resources.ts";
import { statusOf } from "../container/status.ts";
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
  print(statsOf(container));
}

/** How long the host takes at most to see that a machine's container has ended. */
const END_MS = 2000;

/** @returns false where the container has ended meanwhile. */
function printed(container: Container): boolean {
  try {
    printStats(container);
    return true;
  } catch (error) {
    if (waitUntil(END_MS, () => statusOf(container) === "stopped")) return false;
    throw error;
  }
}

/** Until the container stops. An OOM kill is told when it happens; one that came with the end, or while statistics were taken, after that. */
function follow(container: Container, interval: number): void {
  using oom = oomEventsOf(container);
  for (let next = Date.now() + interval; ; ) {
    const ended = statusOf(container) === "stopped";
    if (!ended) poll(oom === undefined ? [] : [oom.request], Math.max(0, next - Date.now()));
    const news = oom?.take() ?? "none";
    if (news === "oom") print(JSON.stringify({ type: "oom", id: container.record.id }));
    if (ended || news === "gone") return;
    if (Date.now() >= next && statusOf(container) !== "stopped" && printed(container)) next += interval;
  }
}
