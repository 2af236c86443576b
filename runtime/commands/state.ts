import type { Registry } from "./registry.ts";
import { statusOf } from "../container/status.ts";
import { Container } from "../container/store.ts";
import { sandboxFailure } from "../sandbox/failure.ts";
import { print } from "./print.ts";

/** A container as `state` and `list` show it. */
export function describeContainer(container: Container) {
  const { ociVersion, id, pid, bundle, rootfs, created, annotations } = container.record;
  const status = statusOf(container);
  return { ociVersion, id, pid: status === "stopped" ? 0 : pid, status, bundle, rootfs, created, annotations };
}

export function registerState({ program, action }: Registry): void {
  program
    .command("state")
    .argument("<id>")
    .description("print a container's state as JSON")
    .action(
      action((globals, id: string) => {
        const container = Container.open(globals.root, id);
        const state = describeContainer(container);
        const failure = container.record.mode === "sentry" && state.status === "stopped" ? sandboxFailure(container.directory) : undefined;
        // runc leaves the owner to `list`.
        print(JSON.stringify({ ...state, owner: "", sandboxFailure: failure }, null, 2));
        return 0;
      }),
    );
}
