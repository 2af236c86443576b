import type { Registry } from "./registry.ts";
import { startContainer } from "../container/start.ts";
import { Container } from "../container/store.ts";

export function registerStart({ program, action }: Registry): void {
  program
    .command("start")
    .argument("<id>")
    .description("let a created container's process run")
    .action(
      action((globals, id: string) => {
        startContainer(Container.open(globals.root, id));
        return 0;
      }),
    );
}
