import type { Registry } from "./registry.ts";
import { statusOf } from "../container/status.ts";
import { Container } from "../container/store.ts";
import { print } from "./print.ts";

/** A container as `state` and `list` show it. */
export function describeContainer(container: Container) {
  const { ociVersion, id, pid, bundle, rootfs, created, annotations, owner } = container.record;
  const status = statusOf(container);
  return { ociVersion, id, pid: status === "stopped" ? 0 : pid, status, bundle, rootfs, created, annotations, owner };
}

export function registerState({ program, action }: Registry): void {
  program
    .command("state")
    .argument("<id>")
    .description("print a container's state as JSON")
    .action(
      action((globals, id: string) => {
        // runc leaves the owner to `list`.
        print(JSON.stringify({ ...describeContainer(Container.open(globals.root, id)), owner: "" }, null, 2));
        return 0;
      }),
    );
}
