import { rmSync } from "node:fs";
import type { Command } from "commander";
import { createContainer } from "../container/create.ts";
import { destroyContainer } from "../container/delete.ts";
import { catchSignals, openRelay, reapSandbox, supervise, type Relay, type Terminal } from "../container/foreground.ts";
import { openConsole } from "../container/launch.ts";
import { startContainer } from "../container/start.ts";
import { sandboxFailure } from "../sandbox/failure.ts";
import { traced } from "../tracing/command.ts";
import type { Globals } from "../globals.ts";
import type { Registry } from "./registry.ts";
import { addCreateOptions, createOptions, type CreateFlags } from "./create.ts";

/** What a shell makes of SIGKILL, by which the kernel ends a sandbox's guest. */
const KILLED = 137;

export interface RunFlags extends CreateFlags {
  readonly detach?: boolean;
  readonly keep?: boolean;
}

export function registerRun({ program, action }: Registry): void {
  addRunOptions(program.command("run").argument("<id>").description("create and start a container; in the foreground unless --detach"))
    .action(action((globals, id: string, flags: RunFlags) => runContainer(globals, id, flags)));
}

export function addRunOptions(command: Command): Command {
  return addCreateOptions(command)
    .option("-d, --detach", "do not wait for the process")
    .option("--keep", "keep the container's state after its process has ended")
    .option("--no-subreaper", "accepted for compatibility; without effect");
}

/** @param restored the snapshot that the container goes on from. */
export async function runContainer(globals: Globals, id: string, flags: RunFlags, restored?: { readonly snapshot: string; readonly network?: string }): Promise<number> {
  const detached = flags.detach === true;
  let relay: Relay | undefined;
  using signals = detached ? undefined : catchSignals();
  const console = (terminal: boolean) => {
    const target = openConsole(terminal, flags.consoleSocket, detached);
    if (target !== undefined || !terminal) return target;
    return (relay = openRelay()).target;
  };
  const options = createOptions(globals, id, flags);
  const container = await traced("create", globals.config, id, options.bundle, () => createContainer({ ...options, ...(restored === undefined ? {} : { mode: "vm", ...restored }), console }));
  let terminal: Terminal | undefined;
  try {
    terminal = relay?.attach();
    await traced("start", globals.config, id, container.directory, () => startContainer(container));
    if (signals === undefined) return 0;
    globals.log.flush();
    const code = await supervise(container.record.pid, signals, terminal);
    const failure = code === KILLED && container.record.mode === "sentry" ? sandboxFailure(container.directory) : undefined;
    if (failure !== undefined) globals.log.error(`the sandbox has failed: ${failure}`);
    reapSandbox(container);
    if (flags.keep !== true) destroyContainer(container, globals.log);
    return code;
  } catch (error) {
    terminal?.restore();
    destroyContainer(container, globals.log);
    if (flags.pidFile !== undefined) rmSync(flags.pidFile, { force: true });
    throw error;
  }
}

