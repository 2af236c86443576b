import type { Registry } from "./registry.ts";
import { deleteContainer } from "../container/delete.ts";

export function registerDelete({ program, action }: Registry): void {
  program
    .command("delete")
    .argument("<id>")
    .description("remove a container that has stopped")
    .option("-f, --force", "end it first; succeed where there is none")
    .action(
      action((globals, id: string, flags: { force?: boolean }) => {
        deleteContainer(globals.root, id, flags.force === true, globals.log);
        return 0;
      }),
    );
}
