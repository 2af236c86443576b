import { SIGNALS } from "../../linux/abi/signal.ts";
import type { Registry } from "./registry.ts";
import { killContainer } from "../container/kill.ts";
import { Container } from "../container/store.ts";
import { signalArgument } from "./arguments.ts";

export function registerKill({ program, action }: Registry): void {
  program
    .command("kill")
    .argument("<id>")
    .argument("[signal]", "name or number", signalArgument, SIGNALS.SIGTERM)
    .description("send a signal to a container's init")
    .option("-a, --all", "send it to every process of the container")
    .action(
      action((globals, id: string, signal: number, flags: { all?: boolean }) => {
        killContainer(Container.open(globals.root, id), signal, flags.all === true);
        return 0;
      }),
    );
}
