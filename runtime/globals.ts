import type { Config } from "./config/schema.ts";
import type { PlatformName, PolicyName } from "../policies/syscalls/names.ts";
import type { Logger } from "./log.ts";
import type { Mode } from "./sandbox/mode.ts";

/** The global options, decided. */
export interface Globals {
  readonly root: string;
  /** The host's. */
  readonly config: Config;
  /** By flag or environment; undefined: the configured one, or else the default. */
  readonly mode: Mode | undefined;
  /** Undefined: the default one. */
  readonly policy: PolicyName | undefined;
  /** Undefined: what the kernel has. */
  readonly platform: PlatformName | undefined;
  /** Whether the system calls of sandboxed programs are told of. */
  readonly strace: boolean;
  readonly systemdCgroup: boolean;
  readonly rootless: boolean;
  readonly log: Logger;
}
