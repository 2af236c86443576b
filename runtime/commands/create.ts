import { resolve } from "node:path";
import process from "node:process";
import type { Command } from "commander";
import type { Globals } from "../globals.ts";
import type { Registry } from "./registry.ts";
import { createContainer } from "../container/create.ts";
import { openConsole } from "../container/launch.ts";
import { traced } from "../tracing/command.ts";
import { integer } from "./arguments.ts";

/** Flags that create and run share. */
export interface CreateFlags {
  readonly bundle: string;
  readonly consoleSocket?: string;
  readonly pidFile?: string;
  readonly preserveFds: number;
  readonly pivot: boolean;
  readonly newKeyring: boolean;
}

export function addCreateOptions(command: Command): Command {
  return command
    .option("-b, --bundle <dir>", "the bundle", process.cwd())
    .option("--console-socket <path>", "unix socket that receives the terminal's master")
    .option("--pid-file <file>", "write init's pid to this file")
    .option("--preserve-fds <n>", "how many more descriptors, from 3 on, the process inherits", integer(0, 1024), 0)
    .option("--no-pivot", "move the root instead of pivot_root, for a host whose root is a ramfs")
    .option("--no-new-keyring", "keep the session keyring");
}

export function createOptions(globals: Globals, id: string, flags: CreateFlags) {
  return {
    root: globals.root,
    id,
    bundle: resolve(flags.bundle),
    mode: globals.mode,
    config: globals.config,
    policy: globals.policy,
    platform: globals.platform,
    strace: globals.strace,
    systemdCgroup: globals.systemdCgroup,
    rootless: globals.rootless,
    pidFile: flags.pidFile,
    preserveFds: flags.preserveFds,
    noPivot: !flags.pivot,
    newKeyring: flags.newKeyring,
    log: globals.log,
  };
}

export function registerCreate({ program, action }: Registry): void {
  addCreateOptions(program.command("create").argument("<id>").description("create a container, whose process waits for start")).action(
    action(async (globals, id: string, flags: CreateFlags) => {
      const options = createOptions(globals, id, flags);
      await traced("create", globals.config, id, options.bundle, () => createContainer({ ...options, console: (terminal) => openConsole(terminal, flags.consoleSocket, true) }));
      return 0;
    }),
  );
}
