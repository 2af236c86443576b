/** What creating a container, and a further process in one, is told. */
import type { Fd } from "../../linux/fd.ts";
import type { PlatformName, PolicyName } from "../../policies/syscalls/names.ts";
import type { Config } from "../config/schema.ts";
import type { ConsoleTarget, Embedded } from "../init/launch.ts";
import type { Logger } from "../log.ts";
import type { GuestFiles } from "../sandbox/files.ts";
import type { Mode } from "../sandbox/mode.ts";
import type { Mount, Process, Spec } from "../spec/config.ts";
import type { Spare } from "./spare.ts";

/** A container that no bundle describes: `do` composes it in memory. Its state directory serves as the mount point of its root. */
export interface Composed {
  readonly spec: Spec;
  readonly bindSources: ReadonlyMap<Mount, Fd>;
  readonly embedded: Embedded;
  /** In sentry mode, what takes the place of `bindSources`. */
  readonly files: GuestFiles | undefined;
}

export interface CreateOptions {
  readonly root: string;
  readonly id: string;
  /** Absolute. */
  readonly bundle: string;
  /** In the place of the bundle's config.json and root file system. */
  readonly composed?: Composed;
  /** A directory from `vm snapshot`, which the container goes on from. */
  readonly snapshot?: string;
  /** The network namespace of such a container, in the place of the configuration's. */
  readonly network?: string;
  /** Undefined: the configured one, or else the default. */
  readonly mode: Mode | undefined;
  /** The host's. */
  readonly config: Config;
  /** Undefined: the default one. */
  readonly policy?: PolicyName | undefined;
  /** For a sandbox; undefined: what the kernel has. */
  readonly platform?: PlatformName | undefined;
  /** Whether the program's system calls are told of. */
  readonly strace?: boolean;
  readonly systemdCgroup: boolean;
  readonly rootless: boolean;
  /** Where the terminal's master goes, if there is one to send it to. */
  readonly console: (terminal: boolean) => ConsoleTarget | undefined;
  readonly pidFile: string | undefined;
  readonly preserveFds: number;
  readonly noPivot: boolean;
  readonly newKeyring: boolean;
  /** May become init, in namespace mode. */
  readonly spare?: Spare | undefined;
  readonly log: Logger;
}

export interface ExecOptions {
  readonly spec: Spec;
  readonly process: Process;
  readonly console: ConsoleTarget | undefined;
  readonly pidFile: string | undefined;
  readonly preserveFds: number;
  readonly newKeyring: boolean;
  readonly ignorePaused: boolean;
  /** `[CONTROLLER,...:]PATH` below the container's cgroup. */
  readonly cgroups: readonly string[];
  /** Whether its system calls are told of; they are also where the container asks for it. */
  readonly strace: boolean;
  readonly log: Logger;
}
