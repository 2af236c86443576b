import { readFileSync } from "node:fs";
import { Option } from "../commander.ts";
import type { Registry } from "./registry.ts";
import { Container } from "../container/store.ts";
import { print, table } from "./print.ts";
import { describeContainer } from "./state.ts";

export function registerList({ program, action }: Registry): void {
  program
    .command("list")
    .description("list the containers below --root")
    .addOption(new Option("-f, --format <format>").choices(["table", "json"]).default("table"))
    .option("-q, --quiet", "ids only")
    .action(
      action((globals, flags: { format: "table" | "json"; quiet?: boolean }) => {
        const containers = Container.list(globals.root, (message) => globals.log.warn(message)).map((container) => ({ ...describeContainer(container), owner: userName(container.record.ownerId) }));
        if (flags.quiet === true) for (const { id } of containers) print(id);
        else if (flags.format === "json") print(containers.length === 0 ? "null" : JSON.stringify(containers));
        else print(table([["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"], ...containers.map((c) => [c.id, String(c.pid), c.status, c.bundle, c.created, c.owner])]));
        return 0;
      }),
    );
}

/** By the user database, passwd(5); the number where it has none. */
function userName(id: number): string {
  const entry = readFileSync("/etc/passwd", "utf8").split("\n").map((line) => line.split(":")).find((fields) => fields[2] === String(id));
  return entry?.[0] ?? String(id);
}
