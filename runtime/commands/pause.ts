import type { Registry } from "./registry.ts";
import { freezeContainer, thawContainer } from "../container/resources.ts";
import { statusOf, type Status } from "../container/status.ts";
import { Container, ContainerError } from "../container/store.ts";

/** `pause` and `resume`. */
export function registerPause({ program, action }: Registry): void {
  program
    .command("pause")
    .argument("<id>")
    .description("freeze every process of a container")
    .action(
      action((globals, id: string) => {
        const container = Container.open(globals.root, id);
        requireStatus(container, ["running", "created"], "pause");
        freezeContainer(container);
        return 0;
      }),
    );
  program
    .command("resume")
    .argument("<id>")
    .description("thaw a paused container")
    .action(
      action((globals, id: string) => {
        const container = Container.open(globals.root, id);
        requireStatus(container, ["paused"], "resume");
        thawContainer(container);
        return 0;
      }),
    );
}

function requireStatus(container: Container, allowed: readonly Status[], verb: string): void {
  const status = statusOf(container);
  if (!allowed.includes(status)) throw new ContainerError(`cannot ${verb} a container that is ${status}: ${container.record.id}`);
}
