import type { Registry } from "./registry.ts";
import { startContainer } from "../container/start.ts";
import { Container } from "../container/store.ts";
import { traced } from "../tracing/command.ts";

export function registerStart({ program, action }: Registry): void {
  program
    .command("start")
    .argument("<id>")
    .description("let a created container's process run")
    .action(
      action(async (globals, id: string) => {
        const container = Container.open(globals.root, id);
        await traced("start", globals.config, id, container.directory, () => startContainer(container));
        return 0;
      }),
    );
}
